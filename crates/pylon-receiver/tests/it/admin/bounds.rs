//! How large an answer may be, and how many at a time.

use super::fake::{Admin, NOW, delivery, event, event_id};
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{Request, Response};
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::{AttemptRecord, DeliveryState, RefusedRecord};
use pylon_receiver::{DeliveryId, Headers};
use pylon_test_support::log::logged;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tower_service::Service;

/// A page has so many bytes of entries at most; what is around them is small.
const LARGEST: usize = 1024 * 1024 + 200;

/// Who asks.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4711);

/// A refused request that takes much more room in JSON than in the ledger.
fn refused(number: u64) -> RefusedRecord {
    RefusedRecord {
        number,
        at: NOW,
        endpoint: None,
        code: "unknown_path".to_owned(),
        reason: "no endpoint has this path".to_owned(),
        status: 404,
        method: "POST".to_owned(),
        path: "/".repeat(200),
        remote: "203.0.113.9:4711".to_owned(),
        headers: Headers::from_stored([b"x: ".as_slice(), &[0x01; 4000], b"\n"].concat()),
        body: Bytes::from(vec![0x01; 4096]),
        body_length: 4096,
    }
}

/// Goes through all pages; each of them is small enough.
async fn pages(admin: &Admin, path: &str, field: &str) -> Vec<Vec<Value>> {
    let mut pages: Vec<Vec<Value>> = Vec::new();
    let mut after = String::new();
    loop {
        let answer = admin.get(&format!("{path}?limit=1000{after}")).await;
        assert!(answer.body.len() <= LARGEST, "{} bytes", answer.body.len());
        let mut page = answer.json(200);
        let next = page["next"].take();
        pages.push(serde_json::from_value(page[field].take()).unwrap());
        match next {
            Value::Null => return pages,
            Value::String(id) => after = format!("&after={id}"),
            number => after = format!("&after={number}"),
        }
    }
}

#[tokio::test]
async fn a_page_of_large_entries_ends_early_and_the_next_one_goes_on() {
    let admin = Admin::new(Access::Loopback);
    *admin.ledger.refused.lock().unwrap() = (1..=1000).map(refused).collect();
    let pages = pages(&admin, "/api/refused", "refused").await;
    assert!(pages.len() > 40 && pages.iter().all(|page| page.len() > 10), "{}", pages.len());
    let numbers: Vec<_> = pages.concat().iter().map(|refused| refused["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=1000).rev().collect::<Vec<_>>(), "no gap, no repeat");
}

#[tokio::test]
async fn lists_of_events_and_deliveries_end_early_too() {
    let admin = Admin::new(Access::Loopback).with_events(600);
    for event in admin.ledger.events.lock().unwrap().iter_mut() {
        event.record.parked = Some("\u{1}".repeat(500));
    }
    let large = |number| {
        let mut delivery = delivery(event_id(1), number, DeliveryState::Dead);
        delivery.reason = Some("\u{1}".repeat(500));
        delivery
    };
    *admin.ledger.deliveries.lock().unwrap() = (1..=600).map(large).collect();
    for (path, field) in [("/api/events", "events"), ("/api/deliveries", "deliveries")] {
        let pages = pages(&admin, path, field).await;
        assert!(pages.len() > 1, "{path}");
        let mut ids: Vec<_> = pages.concat().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
        let listed = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!((listed, ids.len()), (600, 600), "{path}");
    }
}

#[tokio::test]
async fn one_entry_is_told_however_large_it_is() {
    let admin = Admin::new(Access::Loopback);
    let huge = |number| RefusedRecord { body: Bytes::from(vec![0x01; 1024 * 1024]), ..refused(number) };
    *admin.ledger.refused.lock().unwrap() = vec![huge(1), huge(2)];
    let page = admin.get("/api/refused").await.json(200);
    assert_eq!((page["refused"].as_array().unwrap().len(), &page["next"]), (1, &json!(2)));
    let last = admin.get("/api/refused?after=2").await.json(200);
    assert_eq!((last["refused"][0]["number"].as_u64(), &last["next"]), (Some(1), &json!(null)));
}

#[tokio::test]
async fn of_a_large_body_the_beginning_is_told_and_the_whole_is_to_be_had_apart() {
    const SHOWN: usize = 256 * 1024;
    let admin = Admin::new(Access::Loopback);
    // Each body, and what is told of it.
    let bodies: [(Vec<u8>, Value); 5] = [
        (b"a".repeat(SHOWN), json!({ "text": "a".repeat(SHOWN) })),
        (b"a".repeat(SHOWN + 1), json!({ "text": "a".repeat(SHOWN) })),
        // The last character would be cut.
        (["a", &"ü".repeat(SHOWN)].concat().into_bytes(), json!({ "text": format!("a{}", "ü".repeat(SHOWN / 2 - 1)) })),
        (["a".repeat(SHOWN - 1), "ü".into()].concat().into_bytes(), json!({ "text": "a".repeat(SHOWN - 1) })),
        (vec![0x01; 4 * SHOWN], json!({ "text": "\u{1}".repeat(SHOWN) })),
    ];
    for (body, expected) in bodies {
        *admin.ledger.events.lock().unwrap() = vec![event(event_id(1), "issue_new", &body)];
        let path = format!("/api/events/{}", event_id(1));
        let told = admin.get(&path).await.json(200);
        assert!(told["body"] == expected, "{} bytes", body.len());
        assert_eq!(told["body_length"], json!(body.len()));
        assert!(admin.get(&format!("{path}/body")).await.body == body);
    }
    // No text at all.
    *admin.ledger.events.lock().unwrap() = vec![event(event_id(1), "issue_new", &[0xff; SHOWN + 1])];
    let told = admin.get(&format!("/api/events/{}", event_id(1))).await.json(200);
    assert_eq!(told["body"]["base64"].as_str().unwrap().len(), SHOWN.div_ceil(3) * 4);
}

#[tokio::test]
async fn an_event_with_as_many_attempts_as_are_told_is_told_within_bounds() {
    let admin = Admin::new(Access::Loopback);
    let attempt = |attempt| AttemptRecord {
        attempt,
        started_at: NOW,
        took_milliseconds: u64::MAX,
        status: Some(i32::MIN),
        detail: "\u{10ffff}".repeat(200),
        code: Some("http_500".to_owned()),
        answer: None,
    };
    let mut told = event(event_id(1), "issue_new", &[0x01; 1024 * 1024]);
    let log: Vec<_> = (1..=50).map(attempt).collect();
    let id = |number| DeliveryId { event: event_id(1), number };
    told.deliveries =
        (1..=50).map(|number| (delivery(id(number).event, number, DeliveryState::Dead), log.clone())).collect();
    *admin.ledger.events.lock().unwrap() = vec![told];
    let answer = admin.get(&format!("/api/events/{}", event_id(1))).await;
    assert!(answer.body.len() < 5 * 1024 * 1024, "{} bytes", answer.body.len());
    assert_eq!(answer.json(200)["deliveries"].as_array().unwrap().len(), 50);
}

async fn ask(admin: &Admin, target: &str) -> Response<Body> {
    let request = Request::builder().uri(target).extension(HERE).header("host", "localhost");
    admin.router.clone().call(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn large_answers_take_turns_and_small_ones_do_not_wait() {
    const MOST: usize = 4;
    let admin = Admin::new(Access::Loopback).with_events(1);
    let id = event_id(1);
    let large = [
        "/api/events".to_owned(),
        "/api/deliveries".to_owned(),
        "/api/refused".to_owned(),
        format!("/api/events/{id}"),
        format!("/api/events/{id}/body"),
    ];
    // Answers that nobody has read yet.
    let mut unread = Vec::new();
    for target in &large[..MOST] {
        unread.push(ask(&admin, target).await);
    }
    for target in &large {
        let message = "too busy: expected at most 4 large answers at a time, found more; ask again";
        admin.get(target).await.refused(503, "busy", message);
    }
    for target in ["/livez", "/readyz", "/metrics", "/api/stats", "/api/config"] {
        assert_eq!(admin.get(target).await.status, 200, "{target}");
    }
    assert_eq!(admin.post("/api/events/redeliver", "{\"all\":true}").await.status, 200);
    // The next one goes on as soon as one has been read, or its caller has hung up.
    for finish in [true, false] {
        let waiting = tokio::spawn({
            let router = admin.router.clone();
            async move {
                let request = Request::builder().uri("/api/events").extension(HERE).header("host", "localhost");
                router.clone().call(request.body(Body::empty()).unwrap()).await.unwrap()
            }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!waiting.is_finished());
        let answer = unread.remove(0);
        if finish {
            to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        } else {
            drop(answer);
        }
        unread.push(waiting.await.unwrap());
        assert_eq!(unread.last().unwrap().status(), 200);
    }
}

#[test]
fn a_change_of_readiness_and_a_warning_are_told_in_the_log_once() {
    let ((), lines) = logged(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let admin = Admin::new(Access::Loopback);
            let expires = vec!["the certificate in a.pem expires in 3d".to_owned()];
            let no_secret = vec!["endpoint support has no secret".to_owned()];
            for (unmet, warnings) in [
                (&vec![], &vec![]),
                (&vec![], &expires),
                (&no_secret, &expires),
                (&vec![], &expires),
                (&vec![], &vec![]),
            ] {
                *admin.running.unmet.lock().unwrap() = unmet.clone();
                *admin.running.warnings.lock().unwrap() = warnings.clone();
                for _ in 0..3 {
                    let told = admin.get("/readyz").await.json(if unmet.is_empty() { 200 } else { 503 });
                    assert_eq!(told.get("warnings"), (!warnings.is_empty()).then(|| json!(warnings)).as_ref());
                }
            }
        });
    });
    assert_eq!(
        lines,
        [
            "WARN message=the receiver needs care before long warnings=\"the certificate in a.pem expires in 3d\"",
            "WARN message=the receiver is not ready unmet=\"endpoint support has no secret\"",
            "INFO message=the receiver is ready again",
        ]
    );
}
