//! Requests that are not done, with exactly what they are answered.

use super::fake::{Admin, Mood, event_id};
use pylon_receiver::internals::{Access, ORDER_LIMIT};
use pylon_receiver::ledger::LedgerError;

const MOMENT: &str = "expected a time such as 2026-11-23T08:00:00Z, found something else";
const EVENT: &str = "expected an event id such as 019aaf3c-9f10-7aa0-8000-0123456789ab, found something else";
const DELIVERY: &str = "expected a delivery id such as 019aaf3c-9f10-7aa0-8000-0123456789ab.1, found something else";
const EVENT_STATES: &str = "expected `pending`, `dead`, `delivered`, `parked` or `unrouted`, found something else";
const DELIVERY_STATES: &str =
    "expected `waiting`, `held`, `delivering`, `delivered`, `dead`, `dropped` or `redelivered`, found something else";
const LIMIT: &str = "expected a whole number from 1 to 1000, found";
const NUMBER: &str = "expected a whole number, found";
const PART: &str = "expected 4 to 31 hexadecimal digits, the beginning or the end of an event id; found something else";
const EVENTS: &str =
    "`since`, `until`, `kind`, `endpoint`, `state`, `contains`, `issue`, `id`, `term`, `after`, `limit` or `order`";

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused_by_the_name_of_its_fault() {
    let admin = Admin::new(Access::Loopback);
    let long = format!("/api/events?{}=1", "a".repeat(70));
    let cases: &[(&str, String)] = &[
        ("/api/events?since=yesterday", format!("malformed parameter since: {MOMENT}")),
        ("/api/events?since=", format!("malformed parameter since: {MOMENT}")),
        ("/api/events?since=1795420800", format!("malformed parameter since: {MOMENT}")),
        ("/api/events?until=2026-13-01T00:00:00Z", format!("malformed parameter until: {MOMENT}")),
        // An unencoded plus sign is a space.
        ("/api/events?until=2026-11-23T08:00:00+01:00", format!("malformed parameter until: {MOMENT}")),
        ("/api/events?state=Dead", format!("malformed parameter state: {EVENT_STATES}")),
        ("/api/events?state=waiting", format!("malformed parameter state: {EVENT_STATES}")),
        ("/api/events?state=", format!("malformed parameter state: {EVENT_STATES}")),
        ("/api/events?contains=", "malformed parameter contains: expected a text, found an empty one; leave it out".into()),
        ("/api/events?term=", "malformed parameter term: expected a text, found an empty one; leave it out".into()),
        ("/api/events?issue=", "malformed parameter issue: expected a text, found an empty one; leave it out".into()),
        ("/api/deliveries?issue=", "malformed parameter issue: expected a text, found an empty one; leave it out".into()),
        ("/api/events?id=abc", format!("malformed parameter id: {PART}")),
        ("/api/events?id=01a2zz", format!("malformed parameter id: {PART}")),
        ("/api/events?after=1", format!("malformed parameter after: {EVENT}")),
        ("/api/events?limit=0", format!("malformed parameter limit: {LIMIT} another number")),
        ("/api/events?limit=1001", format!("malformed parameter limit: {LIMIT} another number")),
        ("/api/events?limit=-1", format!("malformed parameter limit: {NUMBER} another number")),
        ("/api/events?limit=1.5", format!("malformed parameter limit: {NUMBER} another number")),
        ("/api/events?limit=99999999999999999999", format!("malformed parameter limit: {NUMBER} another number")),
        ("/api/events?limit=ten", format!("malformed parameter limit: {NUMBER} text")),
        ("/api/events?limit", format!("malformed parameter limit: {NUMBER} text")),
        ("/api/events?order=newest", "malformed parameter order: expected `newest_first` or `oldest_first`, found something else".into()),
        ("/api/events?sinse=1", format!("unknown parameter `sinse`: expected {EVENTS}, found another name; did you mean `since`?")),
        ("/api/events?x", format!("unknown parameter `x`: expected {EVENTS}, found another name")),
        ("/api/events?%E2%80%AEx%0A=1", format!("unknown parameter `\\u{{202e}}x\\n`: expected {EVENTS}, found another name")),
        (&long, format!("unknown parameter `{}...`: expected {EVENTS}, found another name", "a".repeat(60))),
        ("/api/events?limit=1&limit=2", "malformed query: expected each parameter once, found `limit` twice".into()),
        ("/api/events?kind=a&kind=a", "malformed query: expected each parameter once, found `kind` twice".into()),
        ("/api/events?kind=%FF", "malformed parameter `kind`: expected percent-encoded UTF-8, found other bytes".into()),
        ("/api/events?kind=%4", "malformed parameter `kind`: expected percent-encoded UTF-8, found other bytes".into()),
        ("/api/events?kind=%zz", "malformed parameter `kind`: expected percent-encoded UTF-8, found other bytes".into()),
        ("/api/events?%FF=1", "malformed query: expected percent-encoded UTF-8, found other bytes".into()),
        ("/api/events/1", format!("malformed path: {EVENT}")),
        ("/api/events/%FF", format!("malformed path: {EVENT}")),
        ("/api/events/1/body", format!("malformed path: {EVENT}")),
        ("/api/deliveries?event=1", format!("malformed parameter event: {EVENT}")),
        ("/api/deliveries?state=pending", format!("malformed parameter state: {DELIVERY_STATES}")),
        ("/api/deliveries?after=019aaf3c-9f10-7aa0-8000-0123456789ab", format!("malformed parameter after: {DELIVERY}")),
        ("/api/deliveries?kind=a", "unknown parameter `kind`: expected `event`, `destination`, `state`, `since`, `until`, `issue`, `code`, `died_before`, `after`, `limit` or `order`, found another name".into()),
        ("/api/refused?after=-1", format!("malformed parameter after: {NUMBER} another number")),
        ("/api/refused?reason=a", "unknown parameter `reason`: expected `endpoint`, `code`, `after`, `limit` or `order`, found another name".into()),
        ("/api/stats?a=1", "unknown parameter `a`: expected nothing, found another name".into()),
    ];
    for (target, message) in cases {
        admin.get(target).await.refused(400, "bad_request", message);
    }
}

#[tokio::test]
async fn an_order_that_is_not_understood_is_refused_and_nothing_is_done() {
    let admin = Admin::new(Access::Loopback).with_events(3);
    let redeliver = "/api/events/redeliver";
    let (drop, dead) = ("/api/dead/drop", "/api/dead/redeliver");
    let known = event_id(1).to_string();
    let id_beside_filter = format!("{{\"ids\":[\"{known}\"],\"filter\":{{\"kind\":\"a\"}}}}");
    let id_beside_all = format!("{{\"ids\":[\"{known}\"],\"all\":true}}");
    let deep = "[".repeat(100_000);
    let conditions = "`since`, `until`, `kind`, `endpoint`, `state`, `contains`, `issue`, `id` or `term`";
    let none = "malformed order: expected ids, filter or all, found none of them";
    let beside = "malformed order: expected either ids or filter and all, found ids beside another";
    let empty =
        |all| format!("malformed field filter: expected a condition, found none; say \"all\": true for every {all}");
    let cases: &[(&str, &str, String)] = &[
        (redeliver, "", "malformed body: expected a JSON object, found nothing".into()),
        (redeliver, "[]", "malformed body: expected a JSON object, found a list".into()),
        (redeliver, "null", "malformed body: expected a JSON object, found null".into()),
        (redeliver, "\"s3cret\"", "malformed body: expected a JSON object, found a text".into()),
        (redeliver, "{\"ids\":\n s3cret}", "malformed body: expected a JSON object, found a fault at line 2 column 2".into()),
        (redeliver, "{\"all\":true}x", "malformed body: expected a JSON object, found a fault at line 1 column 13".into()),
        (redeliver, "{\"all\":", "malformed body: expected a JSON object, found a fault at line 1 column 7".into()),
        (redeliver, &deep, "malformed body: expected a JSON object, found a fault at line 1 column 128".into()),
        (redeliver, "{}", none.into()),
        (redeliver, "{\"all\":false}", none.into()),
        (redeliver, "{\"ids\":null,\"filter\":null,\"all\":null}", none.into()),
        (redeliver, "{\"dry_run\":true}", none.into()),
        (redeliver, "{\"filter\":{}}", empty("event")),
        (redeliver, "{\"filter\":{},\"all\":false}", empty("event")),
        (redeliver, "{\"filter\":{\"kind\":null}}", empty("event")),
        (redeliver, &id_beside_filter, beside.into()),
        (redeliver, &id_beside_all, beside.into()),
        (redeliver, "{\"ids\":\"a\"}", "malformed field ids: expected a list, found a text".into()),
        (redeliver, "{\"ids\":{}}", "malformed field ids: expected a list, found an object".into()),
        (redeliver, "{\"ids\":[\"s3cret\"]}", format!("malformed field ids[0]: {EVENT}")),
        (redeliver, "{\"ids\":[1]}", "malformed field ids[0]: expected a text, found a number".into()),
        (redeliver, "{\"all\":1}", "malformed field all: expected true or false, found a number".into()),
        (redeliver, "{\"all\":\"true\"}", "malformed field all: expected true or false, found a text".into()),
        (redeliver, "{\"all\":true,\"dry_run\":\"yes\"}", "malformed field dry_run: expected true or false, found a text".into()),
        (redeliver, "{\"all\":true,\"dryrun\":true}", "unknown field `dryrun`: expected `ids`, `filter`, `all`, `destination`, `dry_run`, `limit`, `key`, `note` or `at_once`, found another name; did you mean `dry_run`?".into()),
        (redeliver, "{\"all\":true,\"destination\":1}", "malformed field destination: expected a text, found a number".into()),
        (redeliver, "{\"all\":true,\"destination\":\"ap\"}", "malformed field destination: expected one of the configured destinations, found `ap`; did you mean `app`?".into()),
        (redeliver, "{\"all\":true,\"destination\":\"warehouse\"}", "malformed field destination: expected one of the configured destinations, found `warehouse`".into()),
        (redeliver, "{\"filter\":[]}", "malformed field filter: expected an object, found a list".into()),
        (redeliver, "{\"filter\":{\"kind\":1}}", "malformed field filter.kind: expected a text, found a number".into()),
        (redeliver, "{\"filter\":{\"since\":\"s3cret\"}}", format!("malformed field filter.since: {MOMENT}")),
        (redeliver, "{\"filter\":{\"state\":\"gone\"}}", format!("malformed field filter.state: {EVENT_STATES}")),
        (redeliver, "{\"filter\":{\"contains\":\"\"}}", "malformed field filter.contains: expected a text, found an empty one; leave it out".into()),
        (redeliver, "{\"filter\":{\"kinds\":\"a\"}}", format!("unknown field `kinds` in filter: expected {conditions}, found another name; did you mean `filter.kind`?")),
        (redeliver, "{\"filter\":{\"limit\":\"1\"}}", format!("unknown field `limit` in filter: expected {conditions}, found another name")),
        ("/api/events/redeliver?all=true", "{\"all\":true}", "unknown parameter `all`: expected nothing, found another name".into()),
        (drop, "{\"filter\":{}}", empty("dead delivery")),
        (drop, "{\"filter\":{\"state\":\"dead\"}}", empty("dead delivery")),
        (drop, "{\"filter\":{\"state\":\"delivered\"}}", "malformed field filter.state: expected dead or none, found another state".into()),
        (drop, "{\"filter\":{\"destination\":\"app\",\"state\":\"waiting\"}}", "malformed field filter.state: expected dead or none, found another state".into()),
        (drop, "{\"ids\":[\"019aaf3c-9f10-7aa0-8000-0123456789ab\"]}", format!("malformed field ids[0]: {DELIVERY}")),
        (drop, "{\"all\":true,\"destination\":\"app\"}", "unknown field `destination`: expected `ids`, `filter`, `all`, `dry_run`, `limit`, `key`, `note` or `at_once`, found another name".into()),
        (dead, "{}", none.into()),
        (dead, "{\"filter\":{\"kind\":\"a\"}}", "unknown field `kind` in filter: expected `event`, `destination`, `state`, `since`, `until`, `issue`, `code` or `died_before`, found another name".into()),
    ];
    for (target, body, message) in cases {
        admin.post(target, body).await.refused(400, "bad_request", message);
    }
    assert!(admin.ledger.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_order_that_is_too_long_is_refused() {
    let admin = Admin::new(Access::Loopback);
    let message = "body too large: expected 1048576 bytes at most, found more; order in parts";
    let longest = format!("{{\"all\":true,\"dry_run\":true{}}}", " ".repeat(ORDER_LIMIT - 27));
    assert_eq!(longest.len(), ORDER_LIMIT);
    assert_eq!(admin.post("/api/dead/drop", &longest).await.status, 200);
    admin.post("/api/dead/drop", &format!("{longest} ")).await.refused(413, "too_large", message);
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_told_in_json() {
    let admin = Admin::new(Access::Loopback);
    let unknown = "unknown path: expected one under /api/, /livez, /readyz or /metrics, found another";
    for target in [
        "/api",
        "/api/",
        "/api/event",
        "/api/events/",
        "/livez/",
        "/LIVEZ",
        "//livez",
        "/api/events/a/b",
        "/favicon.ico",
    ] {
        admin.get(target).await.refused(404, "not_found", unknown);
    }
    let wrong = "wrong method: expected one that the header allow names, found another";
    for (method, target, allow) in [
        ("POST", "/livez", "GET,HEAD"),
        ("DELETE", "/api/events", "GET,HEAD"),
        ("PUT", "/api/stats", "GET,HEAD"),
        ("OPTIONS", "/api/stats", "GET,HEAD"),
        ("GET", "/api/events/redeliver", "POST"),
        ("GET", "/api/dead/drop", "POST"),
        ("BREW", "/api/dead/redeliver", "POST"),
    ] {
        let headers = [("host", "localhost"), ("content-type", "application/json")];
        let answer = admin.send(method, target, &headers, "{}").await;
        answer.refused(405, "method_not_allowed", wrong);
        assert_eq!(answer.header("allow"), allow, "{method} {target}");
    }
}

#[tokio::test]
async fn an_event_that_is_not_kept_is_told() {
    let admin = Admin::new(Access::Loopback);
    let id = event_id(1);
    let message =
        format!("unknown event: expected one that is kept, found none with the id {id}; it may have been pruned");
    for target in [format!("/api/events/{id}"), format!("/api/events/{id}/body")] {
        admin.get(&target).await.refused(404, "not_found", &message);
    }
}

#[tokio::test]
async fn a_ledger_that_fails_is_told_by_its_code() {
    let cases = [
        (LedgerError::Busy, "ledger_busy"),
        (LedgerError::Closed, "ledger_closed"),
        (LedgerError::ReadOnly, "ledger_read_only"),
        (LedgerError::Damaged("a page is missing".into()), "ledger_damaged"),
        (LedgerError::Failed("it said no".into()), "ledger_failed"),
    ];
    let admin = Admin::new(Access::Loopback);
    let event = format!("/api/events/{}", event_id(1));
    for (error, code) in cases {
        *admin.ledger.mood.lock().unwrap() = Mood::Failing(error.clone());
        for target in ["/api/events", "/api/deliveries", "/api/refused", "/api/stats", &event] {
            admin.get(target).await.refused(503, code, &error.to_string());
        }
        let answer = admin.post("/api/dead/drop", "{\"all\":true}").await;
        answer.refused(503, code, &error.to_string());
    }
}

#[tokio::test]
async fn where_no_receiver_runs_nothing_can_be_ordered() {
    let admin = Admin::reading().with_events(1);
    let message = "no receiver is running: expected one, found a ledger that is only read; start the receiver, and ask its own admin address";
    for target in ["/api/events/redeliver", "/api/dead/redeliver", "/api/dead/drop"] {
        for body in ["{\"all\":true}", "{\"all\":true,\"dry_run\":true}", "nonsense"] {
            admin.post(target, body).await.refused(409, "not_running", message);
        }
    }
    admin.get("/api/config").await.refused(409, "not_running", message);
    assert_eq!(admin.get("/api/events").await.status, 200);
}
