//! What strangers write stands on the page as text.

use crate::admin::fake::{Admin, NOW, activity, delivery, destination, event, event_id};
use bytes::Bytes;
use pylon_receiver::internals::{Access, RunningDestination};
use pylon_receiver::ledger::{AttemptRecord, DeliveryState, RefusedRecord};
use pylon_receiver::wire::{AttemptOutcome, CircuitStatus, LastRefused};
use pylon_receiver::{Headers, Moment};

/// Texts that would do something if they were not text.
const HOSTILE: &[&str] = &[
    "\"><img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "</title><svg onload=alert(1)>",
    "</textarea></pre></bdi><b>",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "\u{202E}txt.exe",
    "a\u{0000}b\u{0007}c\u{001B}[31m",
    "zero\u{200B}width\u{2066}x\u{2069}\u{FEFF}",
];

/// Every page that shows something of an event with this text everywhere.
async fn pages(text: &str) -> Vec<(String, String)> {
    let admin = Admin::new(Access::Loopback);
    let quoted = serde_json::to_string(text).unwrap();
    let body =
        format!(r#"{{"issue_title": {quoted}, "issue_number": {quoted}, "issue_body": {quoted}, {quoted}: {quoted}}}"#);
    let id = event_id(9);
    let mut event = event(id, "issue_new", body.as_bytes());
    event.record.endpoint = text.to_owned();
    event.record.parked = Some(text.to_owned());
    event.record.name = text.to_owned();
    event.target = text.to_owned();
    event.query = Some(text.to_owned());
    let mut dead = delivery(id, 1, DeliveryState::Dead);
    dead.destination = text.to_owned();
    dead.reason = Some(text.to_owned());
    dead.order_key = Some(text.to_owned());
    dead.issue = event.record.issue.clone();
    let moment = Moment::from_unix_milliseconds(0);
    let attempt = AttemptRecord {
        attempt: 1,
        started_at: moment,
        took_milliseconds: 5,
        status: Some(500),
        detail: text.to_owned(),
    };
    event.deliveries = vec![(dead.clone(), vec![attempt])];
    let mut unknown = event.clone();
    unknown.record.id = event_id(10);
    unknown.record.kind = None;
    let dead_id = dead.id;
    admin.ledger.events.lock().unwrap().extend([event, unknown]);
    admin.ledger.deliveries.lock().unwrap().push(dead);
    admin.ledger.refused.lock().unwrap().push(RefusedRecord {
        number: 1,
        at: moment,
        endpoint: Some(text.to_owned()),
        code: "signature_mismatch".to_owned(),
        reason: text.to_owned(),
        status: 401,
        method: text.to_owned(),
        path: text.to_owned(),
        remote: text.to_owned(),
        headers: Headers::from_stored(Bytes::from_static(b"user-agent: <img src=x onerror=alert(1)>\n")),
        body: Bytes::copy_from_slice(text.as_bytes()),
        body_length: text.len() as u64,
    });
    *admin.running.unmet.lock().unwrap() = vec![text.to_owned()];
    let mut seen = activity();
    let refused = LastRefused { at: NOW, code: text.to_owned(), reason: text.to_owned() };
    let endpoint = &mut seen.endpoints[0];
    (endpoint.name, endpoint.path, endpoint.header) = (text.to_owned(), text.to_owned(), Some(text.to_owned()));
    (endpoint.secrets[0].source, endpoint.secrets[0].fault) = (text.to_owned(), Some(text.to_owned()));
    (endpoint.can_authenticate, endpoint.seen.refused) = (false, Some(refused.clone()));
    let outcome = AttemptOutcome {
        at: NOW,
        delivery: dead_id,
        attempt: 1,
        delivered: false,
        status: Some(500),
        detail: text.to_owned(),
        took_milliseconds: 5,
    };
    let there = &mut seen.destinations[0];
    (there.name, there.address, there.seen.failing) = (text.to_owned(), text.to_owned(), true);
    there.seen.latest = vec![outcome];
    (seen.elsewhere, seen.addresses) = (Some(refused), vec![text.to_owned()]);
    *admin.running.activity.lock().unwrap() = Some(seen);
    let failing = RunningDestination { is_failing: Some(true), ..destination(text, CircuitStatus::Closed) };
    *admin.running.destinations.lock().unwrap() = vec![failing];
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut found = Vec::new();
    for path in [
        "/ui/".to_owned(),
        "/ui/events".to_owned(),
        format!("/ui/events?q={encoded}"),
        format!("/ui/events?kind={encoded}&endpoint={encoded}"),
        format!("/ui/events/{id}"),
        format!("/ui/events/{id}?body=pretty"),
        format!("/ui/events/{id}?body=raw"),
        format!("/ui/events/{}", event_id(10)),
        "/ui/dead".to_owned(),
        "/ui/refused".to_owned(),
        format!("/ui/refused?code={encoded}"),
        "/ui/health".to_owned(),
        "/ui/setup".to_owned(),
        format!("/ui/setup?endpoint={encoded}"),
        format!("/ui/setup?kind={encoded}"),
        format!("/ui/{encoded}"),
        format!("/ui/destinations/{encoded}"),
        format!("/ui/events?{encoded}={encoded}"),
    ] {
        let answer = admin.get(&path).await;
        assert!(matches!(answer.status.as_u16(), 200 | 400 | 404), "{path}: {}", answer.text());
        found.push((path, answer.text().to_owned()));
    }
    found
}

#[tokio::test]
async fn a_strangers_text_makes_no_element_and_no_attribute() {
    for hostile in HOSTILE {
        for (path, html) in pages(hostile).await {
            // Our own pictures.
            let html =
                html.replace("<svg class=\"spark\" role=\"img\" aria-label=\"no attempt in the last hour\" ", "");
            for markup in ["<img", "<svg", "<b>", "<script>alert", "onerror=alert(1)>", "</textarea", "49{%"] {
                assert!(!html.contains(markup), "{path}: {markup}");
            }
            assert!(!html.contains("' onmouseover='") && !html.contains("href=\"javascript"), "{path}");
            // The one script is our own file.
            assert_eq!(html.matches("<script").count(), 1, "{path}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_seen_is_shown_by_its_number() {
    for (text, shown) in [
        ("\u{202E}txt.exe", "U+202E"),
        ("a\u{0000}b", "U+0000"),
        ("a\u{001B}[31m", "U+001B"),
        ("zero\u{200B}width", "U+200B"),
        ("x\u{2066}y", "U+2066"),
        ("x\u{E0041}y", "U+E0041"),
    ] {
        for (path, html) in pages(text).await {
            let hidden = text.chars().find(|character| !character.is_ascii_graphic()).unwrap();
            // In the attributes of our own search form it stays what was typed.
            let outside: String = html.lines().filter(|line| !line.contains("<input")).collect();
            assert!(!outside.contains(hidden), "{path}: {hidden:?}");
        }
        let (_, event) = pages(text).await.swap_remove(4);
        assert!(event.contains(&format!("<span class=\"code-point\">{shown}</span>")), "{shown}");
    }
}

#[tokio::test]
async fn digits_keys_and_their_order_stay_as_they_came() {
    let admin = Admin::new(Access::Loopback);
    let body = br#"{"z":1970670598291982290,"a":1.10,"z":[ ],"deep":{"x":[1,{"y":{}}]},"text":"a, b: {c} \" [d]"}"#;
    let id = event_id(9);
    admin.ledger.events.lock().unwrap().push(event(id, "unknown_kind", body));
    let html = admin.get(&format!("/ui/events/{id}?body=pretty")).await.text().to_owned();
    let expected = "{\n  &quot;z&quot;: 1970670598291982290,\n  &quot;a&quot;: 1.10,\n  &quot;z&quot;: [],\n  &quot;deep&quot;: {\n    \
        &quot;x&quot;: [\n      1,\n      {\n        &quot;y&quot;: {}\n      }\n    ]\n  },\n  &quot;text&quot;: &quot;a, b: {c} \\&quot; [d]&quot;\n}";
    assert!(html.contains(expected), "{html}");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_shown_to_the_place_where_it_breaks() {
    let admin = Admin::new(Access::Loopback);
    for (seconds, body, shown) in [
        (1, &b"{\"a\": 1,}"[..], "{&quot;a&quot;: 1,<mark>}</mark>"),
        (2, b"", "<mark></mark>"),
        (3, b"plain text", "<mark>plain text</mark>"),
        (4, b"\xFF\xFE", "It is not a text in UTF-8: 2 bytes."),
    ] {
        let id = event_id(seconds);
        admin.ledger.events.lock().unwrap().push(event(id, "unknown_kind", body));
        let html = admin.get(&format!("/ui/events/{id}?body=pretty")).await.text().to_owned();
        assert!(html.contains(shown), "{shown}: {html}");
    }
}

#[tokio::test]
async fn a_large_body_is_cut_and_the_download_is_whole() {
    let admin = Admin::new(Access::Loopback);
    let body = format!("{{\"issue_title\": \"{}\"}}", "é".repeat(500_000));
    let id = event_id(9);
    admin.ledger.events.lock().unwrap().push(event(id, "issue_new", body.as_bytes()));
    for view in ["fields", "pretty", "raw"] {
        let page = admin.get(&format!("/ui/events/{id}?body={view}")).await;
        assert!(page.body.len() < 200 * 1024, "{view}: {}", page.body.len());
    }
    let download = admin.get(&format!("/ui/events/{id}/body")).await;
    assert_eq!(download.body, body.as_bytes());
    assert_eq!(download.header("content-type"), "application/octet-stream");
    assert_eq!(download.header("content-disposition"), format!("attachment; filename=\"{id}.json\""));
}
