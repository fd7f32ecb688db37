//! What is told: lists, pages, one event, numbers.

use super::fake::{Admin, Mood, NOW, delivery, destination, event, event_id, spooling};
use bytes::Bytes;
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::{
    AttemptRecord, DeliveryState, DestinationStats, EventState, LedgerError, RefusedRecord, Stats,
};
use pylon_receiver::wire::CircuitStatus;
use pylon_receiver::{Headers, Moment};
use serde_json::{Value, json};

fn ids(answer: &Value, list: &str) -> Vec<String> {
    answer[list].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_of_events_is_gone_through_page_by_page() {
    let admin = Admin::new(Access::Loopback).with_events(7);
    for (order, expected) in [("newest_first", (1..=7).collect::<Vec<_>>()), ("oldest_first", (1..=7).rev().collect())]
    {
        let expected: Vec<_> = expected.into_iter().map(|seconds| event_id(seconds).to_string()).collect();
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = admin.get(&format!("/api/events?limit=3&order={order}{after}")).await.json(200);
            found.extend(ids(&page, "events"));
            let Some(next) = page["next"].as_str() else { break };
            assert_eq!(Some(next), found.last().map(String::as_str));
            after = format!("&after={next}");
        }
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_page_has_a_hundred_entries_from_the_newest_on_unless_told_otherwise() {
    let admin = Admin::new(Access::Loopback).with_events(1001);
    let page = admin.get("/api/events").await.json(200);
    assert_eq!((ids(&page, "events").len(), &page["events"][0]["id"]), (100, &json!(event_id(1))));
    assert_eq!(page["next"], json!(event_id(100)));
    assert_eq!(ids(&admin.get("/api/events?limit=1000").await.json(200), "events").len(), 1000);
    let none = admin.get("/api/events?contains=nothing").await.json(200);
    assert_eq!(none, json!({ "events": [], "next": null }));
}

#[tokio::test]
async fn events_are_found_by_every_condition() {
    let admin = Admin::new(Access::Loopback).with_events(3);
    let mut odd = event(event_id(2), "größer & more", "{\"t\":\"a+b %\"}".as_bytes());
    (odd.record.endpoint, odd.record.state) = ("other".to_owned(), EventState::Dead);
    admin.ledger.events.lock().unwrap()[1] = odd;
    for query in [
        "kind=gr%C3%B6%c3%9fer+%26+more",
        "endpoint=other",
        "state=dead",
        "contains=a%2Bb%20%25",
        "since=2026-11-23T07:59:58Z&until=2026-11-23T07:59:59Z",
        "since=2026-11-23T08:59:58%2B01:00&until=2026-11-23T07:59:59Z&&",
        "state=dead&endpoint=other&limit=5",
    ] {
        let found = admin.get(&format!("/api/events?{query}")).await.json(200);
        assert_eq!(ids(&found, "events"), [event_id(2).to_string()], "{query}");
    }
    assert_eq!(ids(&admin.get("/api/events?kind=").await.json(200), "events").len(), 0);
}

#[tokio::test]
async fn an_event_is_told_with_everything_that_is_known_of_it() {
    let admin = Admin::new(Access::Loopback);
    let mut told = event(event_id(1), "issue_new", b"{\"a\":1}");
    told.record.deliveries = 1;
    told.headers = Headers::from_stored(Bytes::from_static(
        b"content-type: application/json\nx-name: \xe9t\xe9\nx-name: again\nauthorization: Bearer s3cret\ncookie: s3cret\n\
          x-pylon-signature: s3cret\nx-api-key: s3cret\nx-gitlab-token: s3cret\nx-pylon-timestamp: 1\nempty: \n",
    ));
    let mut record = delivery(event_id(1), 1, DeliveryState::Waiting);
    record.due_at = Some(NOW);
    let log = AttemptRecord {
        attempt: 1,
        started_at: event_id(1).received_at(),
        took_milliseconds: 12,
        status: Some(500),
        detail: "answered 500".to_owned(),
    };
    told.deliveries = vec![(record.clone(), vec![log.clone()])];
    let mut expected = serde_json::to_value(&told.record).unwrap();
    let mut shown_delivery = serde_json::to_value(&record).unwrap();
    shown_delivery["log"] = json!([log]);
    expected["deliveries"] = json!([shown_delivery]);
    (expected["method"], expected["path"]) = (json!("POST"), json!("/webhook"));
    expected["body"] = json!({ "text": "{\"a\":1}" });
    expected["headers"] = json!([
        ["content-type", "application/json"],
        ["x-name", "\u{fffd}t\u{fffd}"],
        ["x-name", "again"],
        ["authorization", "[redacted]"],
        ["cookie", "[redacted]"],
        ["x-pylon-signature", "[redacted]"],
        ["x-api-key", "[redacted]"],
        ["x-gitlab-token", "[redacted]"],
        ["x-pylon-timestamp", "1"],
        ["empty", ""],
    ]);
    admin.ledger.events.lock().unwrap().push(told);
    let answer = admin.get(&format!("/api/events/{}", event_id(1))).await;
    assert_eq!(answer.json(200), expected);
    assert!(!answer.text().contains("s3cret"));
}

#[tokio::test]
async fn a_parked_event_tells_why_and_a_body_that_is_no_text_is_base64() {
    let admin = Admin::new(Access::Loopback);
    let mut parked = event(event_id(1), "", b"\xff\x00{");
    (parked.record.parked, parked.record.state) = (Some("not JSON".to_owned()), EventState::Parked);
    admin.ledger.events.lock().unwrap().push(parked);
    let told = admin.get(&format!("/api/events/{}", event_id(1))).await.json(200);
    assert_eq!((&told["body"], &told["parked"]), (&json!({ "base64": "/wB7" }), &json!("not JSON")));
}

#[tokio::test]
async fn a_body_is_given_byte_for_byte_as_a_download() {
    let admin = Admin::new(Access::Loopback);
    let bodies: [&[u8]; 4] = [b"", b"{}", b"<script>alert(1)</script>", b"\x00\xff\r\n"];
    for body in bodies {
        *admin.ledger.events.lock().unwrap() = vec![event(event_id(1), "issue_new", body)];
        let answer = admin.get(&format!("/api/events/{}/body", event_id(1))).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, body));
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        let disposition = format!("attachment; filename=\"{}.bin\"", event_id(1));
        assert_eq!(answer.header("content-disposition"), disposition);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn hostile_text_arrives_as_it_is_and_only_as_json() {
    let admin = Admin::new(Access::Loopback);
    let hostile = "</script><!--\u{0}\u{1b}[31m\r\n\u{7f}\u{9b}\u{202e}\u{2028}\u{feff}\"\\'&\u{10ffff}";
    let mut told = event(event_id(1), hostile, hostile.as_bytes());
    told.record.endpoint = hostile.to_owned();
    admin.ledger.events.lock().unwrap().push(told);
    let mut record = delivery(event_id(1), 1, DeliveryState::Dead);
    (record.name, record.reason) = (hostile.to_owned(), Some(hostile.to_owned()));
    admin.ledger.deliveries.lock().unwrap().push(record);
    let list = admin.get("/api/events").await;
    let one = admin.get(&format!("/api/events/{}", event_id(1))).await;
    let deliveries = admin.get("/api/deliveries").await;
    assert_eq!(list.json(200)["events"][0]["name"], hostile);
    assert_eq!(one.json(200)["body"]["text"], hostile);
    assert_eq!(deliveries.json(200)["deliveries"][0]["reason"], hostile);
    for answer in [list, one, deliveries] {
        assert!(!answer.text().bytes().any(|byte| byte < b' '), "control characters are escaped");
    }
}

#[tokio::test]
async fn deliveries_are_listed_by_every_condition_and_page_by_page() {
    let admin = Admin::new(Access::Loopback);
    let mut other = delivery(event_id(2), 2, DeliveryState::Dead);
    other.destination = "archive".to_owned();
    *admin.ledger.deliveries.lock().unwrap() = vec![
        delivery(event_id(3), 1, DeliveryState::Delivered),
        delivery(event_id(2), 1, DeliveryState::Delivered),
        other,
        delivery(event_id(1), 1, DeliveryState::Waiting),
    ];
    let found = async |query: &str| ids(&admin.get(&format!("/api/deliveries?{query}")).await.json(200), "deliveries");
    let name = |seconds, number: u32| format!("{}.{number}", event_id(seconds));
    assert_eq!(found("").await, [name(1, 1), name(2, 2), name(2, 1), name(3, 1)]);
    for query in ["state=dead", "destination=archive", &format!("event={}&state=dead", event_id(2))] {
        assert_eq!(found(query).await, [name(2, 2)], "{query}");
    }
    assert_eq!(found("since=2026-11-23T07:59:58Z&until=2026-11-23T07:59:59Z").await, [name(2, 2), name(2, 1)]);
    let page = admin.get("/api/deliveries?limit=2&order=oldest_first").await.json(200);
    assert_eq!((ids(&page, "deliveries"), &page["next"]), (vec![name(3, 1), name(2, 1)], &json!(name(2, 1))));
    assert_eq!(found(&format!("order=oldest_first&after={}", name(2, 1))).await, [name(2, 2), name(1, 1)]);
}

#[tokio::test]
async fn refused_requests_are_listed_with_what_they_were() {
    let admin = Admin::new(Access::Loopback);
    let refused = |number: u64, endpoint: Option<&str>| RefusedRecord {
        number,
        at: NOW,
        endpoint: endpoint.map(str::to_owned),
        code: if endpoint.is_some() { "signature_mismatch" } else { "unknown_path" }.to_owned(),
        reason: "the signature does not match".to_owned(),
        status: 401,
        method: "POST".to_owned(),
        path: "/webhook".to_owned(),
        remote: "203.0.113.9:4711".to_owned(),
        headers: Headers::from_stored(Bytes::from_static(b"x-pylon-signature: s3cret\n")),
        body: Bytes::from_static(b"\xff"),
        body_length: 70_000,
    };
    *admin.ledger.refused.lock().unwrap() =
        vec![refused(1, None), refused(2, Some("support")), refused(3, Some("support"))];
    let page = admin.get("/api/refused?code=signature_mismatch&limit=1").await.json(200);
    let expected = json!({ "next": 3, "refused": [{
        "number": 3, "at": "2026-11-23T08:00:00Z", "endpoint": "support", "code": "signature_mismatch",
        "reason": "the signature does not match", "status": 401, "method": "POST", "path": "/webhook",
        "remote": "203.0.113.9:4711", "headers": [["x-pylon-signature", "[redacted]"]],
        "body": { "base64": "/w==" }, "body_length": 70_000,
    }] });
    assert_eq!(page, expected);
    let rest = admin.get("/api/refused?after=3").await.json(200);
    assert_eq!((&rest["refused"][0]["number"], &rest["refused"][1]["endpoint"]), (&json!(2), &json!(null)));
    assert_eq!(admin.get("/api/refused?endpoint=support").await.json(200)["refused"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn stats_tell_of_every_destination_that_is_configured_or_has_something_left() {
    let left = DestinationStats {
        destination: "gone".to_owned(),
        waiting: 4,
        dead: 1,
        oldest_due_at: Some(Moment::from_unix_milliseconds(0)),
        ..DestinationStats::default()
    };
    let of_app =
        DestinationStats { destination: "app".to_owned(), held: 2, delivering: 3, ..DestinationStats::default() };
    let stats = Stats { events: 9, parked: 1, refused: 2, ledger_bytes: 4096, destinations: vec![of_app, left] };
    let admin = Admin::new(Access::Loopback);
    *admin.ledger.stats.lock().unwrap() = stats.clone();
    *admin.running.destinations.lock().unwrap() = vec![
        destination("quiet", CircuitStatus::Probing),
        destination("app", CircuitStatus::Open),
        destination("archive", CircuitStatus::Closed),
    ];
    let nothing = |name: &str, circuit: &str| {
        json!({
            "destination": name, "waiting": 0, "held": 0, "delivering": 0, "dead": 0, "circuit": circuit, "orphaned": false,
            "failing": circuit != "closed",
        })
    };
    let destinations = json!([
        { "destination": "app", "waiting": 0, "held": 2, "delivering": 3, "dead": 0, "circuit": "open",
          "open_for_seconds": 1.5, "orphaned": false, "failing": true },
        nothing("archive", "closed"),
        { "destination": "gone", "waiting": 4, "held": 0, "delivering": 0, "dead": 1,
          "oldest_due_at": "1970-01-01T00:00:00Z", "orphaned": true },
        nothing("quiet", "probing"),
    ]);
    let expected =
        json!({ "events": 9, "parked": 1, "refused": 2, "ledger_bytes": 4096, "destinations": destinations });
    assert_eq!(admin.get("/api/stats").await.json(200), expected);
    let reading = Admin::reading();
    *reading.ledger.stats.lock().unwrap() = stats.clone();
    assert_eq!(reading.get("/api/stats").await.json(200), serde_json::to_value(stats).unwrap());
}

#[tokio::test]
async fn the_configuration_is_told_as_its_file_would_say_it() {
    let config = Admin::new(Access::Loopback).get("/api/config").await.json(200);
    assert_eq!(config, json!({ "config": "listen = \"127.0.0.1:8080\"\n" }));
}

#[tokio::test]
async fn stats_tell_what_waits_in_the_spool_also_where_the_ledger_cannot_be_read() {
    let admin = Admin::new(Access::Loopback);
    *admin.ledger.spool.lock().unwrap() = Some(spooling());
    let spool = json!({
        "since": "2026-11-23T07:59:00Z", "events": 312, "bytes": 1_258_291, "size": 1 << 30, "refused": 2,
        "error": LedgerError::Slow.to_string(),
    });
    assert_eq!(admin.get("/api/stats").await.json(200)["spool"], spool);
    let unreachable = LedgerError::Unreachable("no route".into());
    *admin.ledger.mood.lock().unwrap() = Mood::Failing(unreachable.clone());
    let answer = admin.get("/api/stats").await.json(503);
    let message = [vec![unreachable.to_string()], spooling().sentences()].concat().join("; ");
    assert_eq!(answer, json!({ "error": "ledger_unreachable", "message": message }));
}
