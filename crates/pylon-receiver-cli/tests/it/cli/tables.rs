//! What the commands print of the admin API's answers, and what they ask it.

use super::process::{Ran, cli};
use pylon_test_support::http::{Reply, Server};
use serde_json::{Value, json};

pub(super) const EVENT: &str = "019aaf3c-9f10-7aa0-8000-0123456789ab";

fn event(kind: &str) -> Value {
    json!({
        "id": EVENT, "received_at": "2026-11-23T08:00:00.25Z", "endpoint": "webhook", "name": kind, "state": "pending",
        "body_length": 1234, "deliveries": 1,
    })
}

fn issue() -> Value {
    json!({"id": "5b0c0f0e", "number": "1042", "title": "Export\u{1b}[31m fails"})
}

fn delivery() -> Value {
    json!({
        "id": format!("{EVENT}.1"), "destination": "app", "name": "Issue.New", "kind": "issue_new", "state": "dead", "attempts": 30,
        "created_at": "2026-11-23T08:00:00Z", "finished_at": "2026-11-26T08:00:00.999Z", "reason": "answered 500", "issue": issue(),
    })
}

fn refused() -> Value {
    json!({
        "number": 7, "at": "2026-11-23T08:00:00Z", "endpoint": null, "code": "unknown_path", "reason": "no endpoint is there",
        "status": 404, "method": "POST", "path": "/wp-login.php", "remote": "203.0.113.9:4711",
        "headers": [["user-agent", "scanner"]], "body": {"text": "a=1\nb=2"}, "body_length": 7,
    })
}

fn ask(server: &Server, arguments: &[&str]) -> Ran {
    cli(&[arguments, &["--admin-url", &server.url]].concat()).run()
}

#[test]
fn events_are_a_table() {
    let mut about_an_issue = event("issue_new");
    about_an_issue["issue"] = issue();
    let mut untitled = event("issue_new");
    untitled["issue"] = json!({"number": "7"});
    let server = Server::answering(200, json!({"events": [about_an_issue, untitled, event("")], "next": null}));
    ask(&server, &["events", "list"]).prints(&format!(
        "\
ID                                    RECEIVED              ENDPOINT  KIND       ISSUE  TITLE                   STATE    DELIVERIES
{EVENT}  2026-11-23T08:00:00Z  webhook   issue_new  1042   Export\\u{{1b}}[31m fails  pending           1
{EVENT}  2026-11-23T08:00:00Z  webhook   issue_new  7      -                       pending           1
{EVENT}  2026-11-23T08:00:00Z  webhook   -          -      -                       pending           1
"
    ));
}

#[test]
fn deliveries_are_a_table_and_dead_ones_are_the_same_table() {
    let server = Server::answering(200, json!({"deliveries": [delivery()], "next": null}));
    let expected = format!(
        "\
ID                                      DESTINATION  KIND       ISSUE  TITLE                   STATE  ATTEMPTS  CREATED               DUE  FINISHED              REASON
{EVENT}.1  app          issue_new  1042   Export\\u{{1b}}[31m fails  dead         30  2026-11-23T08:00:00Z  -    2026-11-26T08:00:00Z  answered 500
"
    );
    ask(&server, &["deliveries", "list"]).prints(&expected);
    ask(&server, &["dead", "list"]).prints(&expected);
    let asked: Vec<String> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(
        asked,
        ["/api/deliveries?limit=50&order=newest_first", "/api/deliveries?state=dead&limit=50&order=newest_first"]
    );
}

#[test]
fn refused_requests_are_a_table_or_at_length() {
    let server = Server::answering(200, json!({"refused": [refused()], "next": null}));
    ask(&server, &["refused", "list"]).prints(
        "\
NUMBER  AT                    ENDPOINT  CODE          STATUS  METHOD  PATH           FROM              REASON
     7  2026-11-23T08:00:00Z  -         unknown_path     404  POST    /wp-login.php  203.0.113.9:4711  no endpoint is there
",
    );
    ask(&server, &["refused", "list", "--verbose"]).prints(
        "\
7  2026-11-23T08:00:00Z  POST /wp-login.php from 203.0.113.9:4711
  answered 404, unknown_path: no endpoint is there
  user-agent: scanner
  body, 7 bytes read
    a=1
    b=2

",
    );
}

#[test]
fn an_event_is_shown_with_all_that_is_known_of_it() {
    let mut shown = event("Issue.New");
    (shown["kind"], shown["method"], shown["path"]) = (json!("issue_new"), json!("POST"), json!("/webhook"));
    shown["query"] = json!("tenant=a");
    shown["issue"] = issue();
    shown["headers"] = json!([["content-type", "application/json"], ["x-pylon-signature", "[redacted]"]]);
    shown["body"] = json!({"text": "{\n  \"event_type\": \"issue_new\"\n}"});
    shown["parked"] = json!("not JSON");
    let mut logged = delivery();
    logged["redelivery_of"] = json!(1);
    logged["order_key"] = json!("iss_1");
    logged["log"] = json!([
        {"attempt": 1, "started_at": "2026-11-23T08:00:01Z", "took_milliseconds": 12, "status": 500, "detail": "answered 500"},
        {"attempt": 2, "started_at": "2026-11-23T08:00:03Z", "took_milliseconds": 3, "detail": "connection refused"},
    ]);
    shown["deliveries"] = json!([logged]);
    let server = Server::answering(200, shown);
    ask(&server, &["events", "show", EVENT]).prints(&format!(
        "\
event     {EVENT}
received  2026-11-23T08:00:00Z
endpoint  webhook
name      Issue.New
kind      issue_new
issue     #1042 Export\\u{{1b}}[31m fails (5b0c0f0e)
request   POST /webhook?tenant=a
state     pending: not JSON

headers
  content-type: application/json
  x-pylon-signature: [redacted]

body, 1234 bytes
  {{
    \"event_type\": \"issue_new\"
  }}

delivery {EVENT}.1 to app
  dead, since 2026-11-26T08:00:00Z, redelivery of 1, ordered by iss_1
  answered 500
  attempt 1, 2026-11-23T08:00:01Z, 12 ms: answered 500
  attempt 2, 2026-11-23T08:00:03Z, 3 ms: connection refused
"
    ));
    assert_eq!(server.requests()[0].target, format!("/api/events/{EVENT}"));
}

#[test]
fn a_body_is_printed_byte_for_byte() {
    let body = "{\"a\": \"\u{1b}[31m\"}\r\n\n";
    let server = Server::answering(200, body);
    ask(&server, &["events", "show", EVENT, "--body"]).prints(body);
    assert_eq!(server.requests()[0].target, format!("/api/events/{EVENT}/body"));
}

#[test]
fn stats_are_a_table() {
    let server = Server::answering(
        200,
        json!({
            "events": 1200, "parked": 1, "refused": 7, "ledger_bytes": 3 << 19,
            "destinations": [
                {"destination": "app", "waiting": 3, "held": 0, "delivering": 1, "dead": 2, "circuit": "open",
                 "oldest_due_at": "2026-11-23T08:00:00Z", "open_for_seconds": 12.5, "orphaned": false},
                {"destination": "archive", "waiting": 1, "held": 0, "delivering": 0, "dead": 0, "circuit": "closed",
                 "orphaned": false, "failing": true},
                {"destination": "former", "waiting": 5, "held": 0, "delivering": 0, "dead": 0, "orphaned": true},
            ],
        }),
    );
    ask(&server, &["stats"]).prints(
        "\
events    1200
parked    1
refused   7
ledger    1.5 MiB

DESTINATION  WAITING  HELD  DELIVERING  DEAD  OLDEST DUE            CIRCUIT
app                3     0           1     2  2026-11-23T08:00:00Z  open, 13s
archive            1     0           0     0  -                     closed, failing
former             5     0           0     0  -                     not configured
",
    );
}

#[test]
fn stats_tell_of_the_spool() {
    let quiet = json!({"events": 0, "bytes": 0, "size": 1 << 30, "refused": 0});
    let spooling = json!({"since": "2026-11-23T08:00:00.250Z", "events": 312, "bytes": 5 << 18, "size": 1 << 30, "refused": 3,
        "error": "the ledger cannot be reached"});
    for (spool, line) in [
        (quiet, "spool     0.0 MiB, 0 events wait"),
        (spooling, "spool     1.2 MiB, 312 events wait, 3 refused by the ledger, since 2026-11-23T08:00:00Z"),
    ] {
        let stats =
            json!({"events": 0, "parked": 0, "refused": 0, "ledger_bytes": 0, "destinations": [], "spool": spool});
        let server = Server::answering(200, stats);
        ask(&server, &["stats"]).prints(&format!("events    0\nparked    0\nrefused   0\nledger    0.0 MiB\n{line}\n"));
    }
}

#[test]
fn an_empty_list_is_a_sentence_for_people_and_an_empty_array_for_programs() {
    for (command, key, sentence) in [
        (["events", "list"], "events", "no events match\n"),
        (["deliveries", "list"], "deliveries", "no deliveries match\n"),
        (["dead", "list"], "deliveries", "no deliveries match\n"),
        (["refused", "list"], "refused", "no refused requests match\n"),
    ] {
        let server = Server::answering(200, json!({key: [], "next": null}));
        ask(&server, &command).prints(sentence);
        ask(&server, &[&command[..], &["--json"]].concat()).prints("[]\n");
    }
}

#[test]
fn json_is_one_document_with_every_field_that_the_receiver_tells() {
    let mut of_a_later_version = event("issue_new");
    of_a_later_version["colour"] = json!("blue");
    let all = json!([of_a_later_version, event("issue_assigned")]);
    let server = Server::answering(200, json!({"events": all, "next": null}));
    let ran = ask(&server, &["events", "list", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap(), all);

    for arguments in [&["events", "show", EVENT][..], &["stats"]] {
        let answer = json!({"of": "a later version"});
        let server = Server::answering(200, &answer);
        let ran = ask(&server, &[arguments, &["--json"]].concat());
        assert_eq!((ran.code, serde_json::from_str::<Value>(&ran.stdout).unwrap()), (0, answer));
    }
}

#[test]
fn filters_are_asked_for_as_they_were_given() {
    let server = Server::answering(200, json!({"events": [], "deliveries": [], "refused": [], "next": null}));
    for (arguments, target) in [
        (
            &["events", "list", "--since", "2026-11-23", "--until", "2026-11-23T08:00:00+01:00", "--kind", "issue new"]
                [..],
            "/api/events?kind=issue+new&since=2026-11-23T00%3A00%3A00Z&until=2026-11-23T07%3A00%3A00Z&limit=50&order=newest_first",
        ),
        (
            &["events", "list", "--state", "parked", "--contains", "&=%\n", "--endpoint", "a", "--order", "oldest"],
            "/api/events?contains=%26%3D%25%0A&endpoint=a&state=parked&limit=50&order=oldest_first",
        ),
        (
            &["deliveries", "list", "--event", EVENT, "--destination", "app", "--state", "held", "--limit", "3"],
            "/api/deliveries?destination=app&event=019aaf3c-9f10-7aa0-8000-0123456789ab&state=held&limit=3&order=newest_first",
        ),
        (&["events", "list", "--issue", "#1042"], "/api/events?issue=%231042&limit=50&order=newest_first"),
        (&["dead", "list", "--issue", "1042"], "/api/deliveries?issue=1042&state=dead&limit=50&order=newest_first"),
        (
            &["refused", "list", "--endpoint", "webhook", "--code", "too_large"],
            "/api/refused?code=too_large&endpoint=webhook&limit=50&order=newest_first",
        ),
    ] {
        assert_eq!(ask(&server, arguments).code, 0, "{arguments:?}");
        assert_eq!(server.requests().last().unwrap().target, target);
    }
}

#[test]
fn a_kind_that_is_probably_misspelled_is_asked_for_and_warned_of() {
    let server = Server::answering(200, json!({"events": [], "matched": 0, "redelivered": 0, "next": null}));
    for (kind, meant) in [("isue_new", "issue_new"), ("message_new", "issue_message_new"), ("IssueNew", "issue_new")] {
        let warning = format!("warning: --kind {kind}: no event is likely to have this kind; did you mean {meant}?\n");
        for command in [&["events", "list"][..], &["events", "redeliver"]] {
            let ran = ask(&server, &[command, &["--kind", kind]].concat());
            assert_eq!((ran.code, ran.stderr.as_str()), (0, warning.as_str()), "{}", ran.stdout);
        }
    }
    for kind in ["issue_new", "IssueNewEvent", "MessageNewEvent", "ticket.created"] {
        assert_eq!(ask(&server, &["events", "list", "--kind", kind]).stderr, "", "{kind}");
    }
}

#[test]
fn how_long_ago_is_counted_back_from_now() {
    let server = Server::answering(200, json!({"events": [], "next": null}));
    for (ago, seconds) in [("2h", 7200), ("3d", 3 * 86_400), ("90s ago", 90)] {
        let now = jiff::Timestamp::now();
        assert_eq!(ask(&server, &["events", "list", "--since", ago]).code, 0);
        let target = server.requests().last().unwrap().target.clone();
        let since = target.split_once("since=").unwrap().1.split('&').next().unwrap().replace("%3A", ":");
        let since: jiff::Timestamp = since.parse().unwrap();
        // A busy machine may take its time to start the process.
        let late = since.as_second() + seconds - now.as_second();
        assert!((-1..=60).contains(&late), "{ago}: {since}, {late} seconds late");
    }
}

#[test]
fn a_list_goes_on_page_by_page_until_its_limit_or_its_end() {
    // Seven events, two on a page, whatever is asked for.
    let answer = |target: &str| {
        let after = target.split_once("after=").map_or(0, |(_, rest)| rest.split('&').next().unwrap().parse().unwrap());
        let page: Vec<u64> = (after + 1..=7).take(2).collect();
        let next = page.last().filter(|&&last| last < 7).copied();
        json!({"refused": page.iter().map(|&number| with_number(number)).collect::<Vec<_>>(), "next": next}).to_string()
    };
    let server = Server::start(move |request, _| Reply::Answer(200, answer(&request.target).into()));
    for (arguments, expected, note) in [
        (&["--all"][..], &[1, 2, 3, 4, 5, 6, 7][..], ""),
        (&[], &[1, 2, 3, 4, 5, 6, 7], ""),
        (&["--limit", "3"], &[1, 2, 3], "there may be more: --all shows all rows, --limit a number of them\n"),
    ] {
        let ran = ask(&server, &[&["refused", "list", "--json"], arguments].concat());
        let found: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
        let numbers: Vec<u64> = found.iter().map(|refused| refused["number"].as_u64().unwrap()).collect();
        assert_eq!((ran.code, numbers.as_slice(), ran.stderr.as_str()), (0, expected, note), "{arguments:?}");
        // One table, with one row of headings.
        let ran = ask(&server, &[&["refused", "list"], arguments].concat());
        assert_eq!(ran.stdout.lines().count(), expected.len() + 1, "{arguments:?}");
    }
}

#[test]
fn a_list_that_goes_on_at_the_same_place_ends() {
    let server = Server::answering(200, json!({"refused": [refused()], "next": 7}));
    let ran = ask(&server, &["refused", "list", "--all"]);
    assert_eq!((ran.code, server.requests().len()), (0, 2));
}

fn with_number(number: u64) -> Value {
    let mut refused = refused();
    refused["number"] = number.into();
    refused
}
