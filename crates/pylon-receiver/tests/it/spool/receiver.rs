//! A receiver whose ledger has a spool.

use super::*;
use crate::receiver::{ask, builder_on, id_of, now, webhook};
use pylon_receiver::handlers_of;
use serde_json::{Value, json};
use std::sync::Mutex;

/// Status and JSON of what the admin API answers.
async fn get(receiver: &pylon_receiver::Receiver, path: &str) -> (u16, Value) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = ask(receiver.admin().ip().unwrap(), &request).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_webhook_is_refused_while_the_ledger_is_away_and_each_is_delivered_once_it_is_back() {
    let mut stage = Stage::new();
    stage.beyond = Switch::new(pylon_receiver::SystemWallClock);
    stage.options.clock = Arc::new(pylon_receiver::SystemWallClock);
    stage.beyond.away();
    let ledger = stage.start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let delivered = seen.clone();
    let handlers = handlers_of(move |event| {
        delivered.lock().unwrap().push(event.attempt.event());
        async { Ok(()) }
    });
    let receiver = builder_on(ledger.clone()).handlers("app", handlers).start().await.unwrap();
    let address = receiver.webhooks().unwrap().ip().unwrap();
    let (mut ids, base) = (Vec::new(), now());
    // Each second has a request of its own.
    for second in 0..3 {
        ids.push(id_of(webhook(address, base - second).await));
    }
    let (code, ready) = get(&receiver, "/readyz").await;
    let warning = ready["warnings"][0].as_str().unwrap();
    assert_eq!((code, &ready["status"]), (200, &json!("ready")));
    assert!(warning.starts_with("spooling since ") && warning.contains(": 3 events ("), "{warning}");
    let (code, stats) = get(&receiver, "/api/stats").await;
    assert_eq!((code, &stats["error"]), (503, &json!("ledger_unreachable")));
    assert!(stats["message"].as_str().unwrap().ends_with(warning), "{stats}");
    stage.beyond.turn(Way::Up);
    until("each is delivered", || seen.lock().unwrap().len() == 3).await;
    direct(&ledger).await;
    ids.push(id_of(webhook(address, base - 3).await));
    until("the next one is delivered", || seen.lock().unwrap().len() == 4).await;
    assert_eq!(stage.beyond.kept(), ids);
    assert_eq!(get(&receiver, "/readyz").await, (200, json!({ "status": "ready", "role": "accept_and_deliver" })));
    let spool = get(&receiver, "/api/stats").await.1["spool"].clone();
    assert_eq!(spool, json!({ "events": 0, "bytes": 0, "size": 1 << 30, "refused": 0 }));
    receiver.shutdown().await.unwrap();
}
