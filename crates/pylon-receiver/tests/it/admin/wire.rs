//! The types of `wire` are the API's JSON: a client that writes and reads them talks to the server without loss.

use super::fake::{Admin, NOW, delivery, event, event_id};
use bytes::Bytes;
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::RefusedRecord;
use pylon_receiver::wire::*;
use pylon_receiver::{DeliveryId, Headers};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

const BODY: &str = r#"{"event_type": "issue_new", "issue_number": "1042"}"#;

/// Two events, one with a dead delivery of two attempts; and a refused request.
fn admin() -> Admin {
    let admin = Admin::new(Access::Loopback);
    let mut parked = event(event_id(1), "", b"\xff");
    (parked.record.parked, parked.record.state) = (Some("not JSON".to_owned()), EventState::Parked);
    let mut dead = delivery(event_id(2), 1, DeliveryState::Dead);
    (dead.finished_at, dead.reason, dead.order_key) =
        (Some(NOW), Some("answered 500".to_owned()), Some("1".to_owned()));
    dead.code = Some("http_500".to_owned());
    dead.issue = IssueSummary::of(BODY.as_bytes(), "issue_new", None);
    let attempt = |attempt, status| AttemptRecord {
        attempt,
        started_at: NOW,
        took_milliseconds: 12,
        status,
        detail: "answered 500".to_owned(),
        code: Some("http_500".to_owned()),
        answer: None,
    };
    let mut failed = event(event_id(2), "issue_new", BODY.as_bytes());
    let said = |bytes: &[u8]| Some(AttemptAnswer::beginning(Some(b"text/html"), bytes, true));
    let answered = AttemptRecord { answer: said(b"<h1>Oops</h1>"), ..attempt(1, Some(500)) };
    let bytes = AttemptRecord { answer: said(b"\xff\0"), code: None, ..attempt(2, None) };
    failed.deliveries = vec![(dead.clone(), vec![answered, bytes])];
    *admin.ledger.groups.lock().unwrap() = vec![
        DeadGroup {
            destination: "app".to_owned(),
            code: Some("http_500".to_owned()),
            dead: 7,
            first_at: NOW,
            last_at: NOW,
            sample: dead.id,
            reason: dead.reason.clone(),
            answer: said(b"<h1>Oops</h1>"),
        },
        DeadGroup {
            destination: "old".to_owned(),
            code: None,
            dead: 1,
            first_at: NOW,
            last_at: NOW,
            sample: dead.id,
            reason: None,
            answer: None,
        },
    ];
    *admin.ledger.events.lock().unwrap() = vec![failed, parked];
    *admin.ledger.deliveries.lock().unwrap() = vec![dead];
    *admin.ledger.refused.lock().unwrap() = vec![RefusedRecord {
        number: 1,
        at: NOW,
        endpoint: None,
        code: "unknown_path".to_owned(),
        reason: "no endpoint has this path".to_owned(),
        status: 404,
        method: "POST".to_owned(),
        path: "/other".to_owned(),
        remote: "203.0.113.9:4711".to_owned(),
        headers: Headers::from_stored(Bytes::from_static(b"host: receiver\n")),
        body: Bytes::from_static(b"\xff"),
        body_length: 1,
    }];
    admin
}

/// The answer, read into the type and written again, is the same JSON.
#[track_caller]
fn is_whole<T: DeserializeOwned + Serialize>(answer: &Value) -> T {
    let read = T::deserialize(answer).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), *answer);
    read
}

/// Percent-encoded, all that need not stay.
fn encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        _ if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

/// The parameters of a query.
fn query(parameters: &impl Serialize) -> String {
    let Value::Object(fields) = serde_json::to_value(parameters).unwrap() else { panic!("not an object") };
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={}", encoded(text)),
        other => format!("{name}={other}"),
    };
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn every_answer_is_read_into_its_type_without_loss() {
    let admin = admin();
    let get = async |path: &str| admin.get(path).await.json(200);
    assert_eq!(is_whole::<Liveness>(&get(path::LIVENESS).await).status, LiveStatus::Live);
    assert_eq!(is_whole::<Readiness>(&get(path::READINESS).await).status, ReadyStatus::Ready);
    assert_eq!(is_whole::<EventList>(&get(path::EVENTS).await).events.len(), 2);
    assert_eq!(is_whole::<DeliveryList>(&get(path::DELIVERIES).await).deliveries.len(), 1);
    let groups = get(path::DEAD_GROUPS).await;
    assert_eq!(is_whole::<DeadGroups>(&groups).groups, *admin.ledger.groups.lock().unwrap());
    let said = json!({ "content_type": "text/html", "text": "<h1>Oops</h1>", "is_cut": true });
    assert_eq!(groups["groups"][0]["answer"], said);
    assert_eq!(groups["groups"][1].get("code"), None);
    let refused = is_whole::<RefusedList>(&get(path::REFUSED).await).refused.remove(0);
    assert_eq!((refused.endpoint, refused.body), (None, Body::Base64("/w==".to_owned())));
    let event = is_whole::<EventDetail>(&get(&path::event(event_id(2))).await);
    let shown = get(&path::event(event_id(2))).await;
    assert_eq!(shown["deliveries"][0]["log"][0]["answer"], said);
    let bytes = json!({ "content_type": "text/html", "base64": "/wA=", "is_cut": true });
    assert_eq!(shown["deliveries"][0]["log"][1]["answer"], bytes);
    assert_eq!((event.body, event.deliveries[0].log.len()), (Body::Text(BODY.to_owned()), 2));
    assert_eq!(event.issue.unwrap().number.as_deref(), Some("1042"));
    is_whole::<EventDetail>(&get(&path::event(event_id(1))).await);
    assert_eq!(admin.get(&path::event_body(event_id(1))).await.body, b"\xff".as_slice());
    assert_eq!(is_whole::<Stats>(&get(path::STATS).await).destinations.len(), 2);
    let activity = is_whole::<Activity>(&get(path::ACTIVITY).await);
    assert_eq!((activity.endpoints.len(), activity.destinations.len()), (1, 2));
    is_whole::<RunningConfig>(&get(path::CONFIG).await);
    assert_eq!(is_whole::<ErrorAnswer>(&admin.get("/other").await.json(404)).error, "not_found");
    *admin.running.unmet.lock().unwrap() = vec!["endpoint support has no secret".to_owned()];
    assert_eq!(is_whole::<Readiness>(&admin.get(path::READINESS).await.json(503)).unmet.unwrap().len(), 1);
}

#[tokio::test]
async fn every_field_of_a_query_is_understood() {
    let admin = admin();
    let (since, until) = (Some(event_id(3).received_at()), Some(NOW));
    let events = EventFilter {
        since,
        until,
        kind: Some("issue_new".to_owned()),
        endpoint: Some("support".to_owned()),
        state: Some(EventState::Pending),
        contains: Some("\"issue_number\":\"1042".to_owned()),
        issue: Some("#1042".to_owned()),
        id: Some(event_id(2).to_string()[..13].parse().unwrap()),
        term: Some("1042".to_owned()),
    };
    let page = PageQuery { after: Some(event_id(4)), limit: Some(7), order: Some(Order::OldestFirst) };
    let answer = admin.get(&format!("{}?{}&{}", path::EVENTS, query(&events), query(&page))).await;
    assert_eq!(is_whole::<EventList>(&answer.json(200)).events[0].id, event_id(2));
    let deliveries = DeliveryFilter {
        event: Some(event_id(2)),
        destination: Some("app".to_owned()),
        state: Some(DeliveryState::Dead),
        since,
        until,
        issue: Some("#1042".to_owned()),
        code: Some("http_500".to_owned()),
        died_before: Some(NOW.after(Duration::from_secs(1))),
    };
    let after = DeliveryId { event: event_id(2), number: 0 };
    let page = PageQuery { after: Some(after), limit: Some(7), order: Some(Order::OldestFirst) };
    let answer = admin.get(&format!("{}?{}&{}", path::DELIVERIES, query(&deliveries), query(&page))).await;
    assert_eq!(is_whole::<DeliveryList>(&answer.json(200)).deliveries.len(), 1);
    let refused = RefusedFilter { endpoint: Some("support".to_owned()), code: Some("unknown_path".to_owned()) };
    let page = PageQuery { after: Some(9), limit: Some(7), order: Some(Order::NewestFirst) };
    let answer = admin.get(&format!("{}?{}&{}", path::REFUSED, query(&refused), query(&page))).await;
    assert_eq!(is_whole::<RefusedList>(&answer.json(200)).refused.len(), 0);
}

#[tokio::test]
async fn every_order_is_understood_and_its_result_is_read() {
    let admin = admin();
    let order =
        async |path: &str, order: Value| is_whole::<OrderResult>(&admin.post(path, &order.to_string()).await.result());
    let nothing = |matched| OrderResult { matched, ..OrderResult::default() };
    let filter = Some(EventFilter { endpoint: Some("support".to_owned()), ..EventFilter::default() });
    let destination = Some("archive".to_owned());
    let matching = EventOrder { filter, destination, dry_run: true, ..EventOrder::default() };
    assert_eq!(
        order(path::EVENTS_REDELIVER, json!(matching)).await,
        OrderResult { redelivered: Some(0), ..nothing(2) }
    );
    let ids = EventOrder { ids: Some(vec![event_id(1)]), dry_run: true, ..EventOrder::default() };
    assert_eq!(order(path::EVENTS_REDELIVER, json!(ids)).await, OrderResult { redelivered: Some(0), ..nothing(1) });
    let all = DeadOrder { all: true, dry_run: true, ..DeadOrder::default() };
    assert_eq!(order(path::DEAD_REDELIVER, json!(all)).await, OrderResult { redelivered: Some(0), ..nothing(1) });
    let filter = Some(DeliveryFilter { destination: Some("app".to_owned()), ..DeliveryFilter::default() });
    let matching = DeadOrder { filter, ..DeadOrder::default() };
    assert_eq!(order(path::DEAD_DROP, json!(matching)).await, OrderResult { dropped: Some(1), ..nothing(1) });
}

#[test]
fn what_does_not_apply_is_left_out() {
    assert_eq!(json!(EventOrder::default()), json!({ "dry_run": false }));
    assert_eq!(json!(DeadOrder { all: true, ..DeadOrder::default() }), json!({ "all": true, "dry_run": false }));
    assert_eq!(json!(PageQuery::<u64>::default()), json!({}));
    assert_eq!(json!(OrderResult { matched: 1, ..OrderResult::default() }), json!({ "matched": 1 }));
}
