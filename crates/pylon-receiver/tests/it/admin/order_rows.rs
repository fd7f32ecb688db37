//! Orders as rows: who gave them, one for each key, cancelled and listed.

use super::fake::{Admin, event_id};
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::{Ledger, OrderPart, OrderState};
use serde_json::{Value, json};

const HOST: (&str, &str) = ("host", "127.0.0.1:8081");
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn every_order_is_listed_with_who_gave_it_and_what_came_of_it() {
    let admin = Admin::new(Access::token(b"secret".to_vec().into())).with_events(3);
    let token = ("authorization", "Bearer secret");
    let order = json!({ "all": true, "note": " the app is mended ", "limit": 2 }).to_string();
    let given = admin.send("POST", "/api/events/redeliver", &[HOST, JSON, token], &order).await;
    assert_eq!(given.json(200), json!({ "matched": 2, "redelivered": 2, "order": 1, "state": "done" }));
    let by_command = [HOST, JSON, token, ("user-agent", "pylon-receiver/1.2.3")];
    let order = json!({ "ids": [event_id(1)], "destination": "app" }).to_string();
    admin.send("POST", "/api/events/redeliver", &by_command, &order).await.json(200);
    let list = admin.send("GET", "/api/orders", &[HOST, token], "").await.json(200);
    let time = "2026-11-23T08:00:00Z";
    assert_eq!(
        list,
        json!({ "orders": [
            {
                "number": 2, "state": "done", "verb": "redeliver", "who": "admin", "source": "command",
                "what": { "ids": [event_id(1)], "id_count": 1, "destination": "app" },
                "counted": 1, "taken": 1, "done": 1, "began_at": time, "ended_at": time,
            },
            {
                "number": 1, "state": "done", "verb": "redeliver", "who": "admin", "source": "api",
                "what": { "all": true, "limit": 2 }, "note": "the app is mended",
                "counted": 2, "taken": 2, "done": 2, "began_at": time, "ended_at": time,
            },
        ], "next": Value::Null })
    );
    let one = admin.send("GET", "/api/orders/1", &[HOST, token], "").await.json(200);
    assert_eq!(one, list["orders"][1]);
}

#[tokio::test]
async fn a_repeated_request_with_one_key_is_one_order() {
    let admin = Admin::new(Access::Loopback).with_events(3);
    let order = json!({ "all": true, "key": "once" }).to_string();
    let first = admin.post("/api/events/redeliver", &order).await.json(200);
    assert_eq!(admin.post("/api/events/redeliver", &order).await.json(200), first);
    assert_eq!(admin.ledger.orders.lock().unwrap().len(), 1);
    let other = json!({ "ids": [event_id(1)], "key": "once" }).to_string();
    let message = "key used: expected one that no order has, found that of order 1; leave it out";
    admin.post("/api/events/redeliver", &other).await.refused(409, "key_used", message);
    for (key, note, fault) in [
        ("a key", "", "malformed field key: expected 1 to 64 letters, digits, `-` or `_`, found another text"),
        ("", "", "malformed field key: expected 1 to 64 letters, digits, `-` or `_`, found another text"),
        ("k", &*"n".repeat(501), "malformed field note: expected 500 characters at most, found more"),
    ] {
        let order = json!({ "all": true, "key": key, "note": note }).to_string();
        admin.post("/api/events/redeliver", &order).await.refused(400, "bad_request", fault);
    }
}

#[tokio::test]
async fn a_dry_run_shows_what_an_order_would_be_about_and_leaves_no_row() {
    let admin = Admin::new(Access::Loopback).with_events(7);
    let answer = admin.post("/api/events/redeliver", r#"{"all":true,"dry_run":true}"#).await.json(200);
    let preview = &answer["preview"];
    assert_eq!(preview["oldest"], json!(event_id(7).received_at()));
    assert_eq!(preview["newest"], json!(event_id(1).received_at()));
    let samples: Vec<_> = preview["samples"].as_array().unwrap().iter().map(|sample| sample["event"].clone()).collect();
    assert_eq!(samples, (3..=7).rev().map(|seconds| json!(event_id(seconds))).collect::<Vec<_>>());
    assert_eq!(preview["until"], "2026-11-23T08:00:00.001Z");
    assert_eq!(answer["matched"], 7);
    assert!(admin.ledger.rows.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_order_is_cancelled_once_and_an_unknown_one_is_not_found() {
    let admin = Admin::new(Access::Loopback);
    let number = admin.ledger.begin_order(crate::ledger::by_hand::another_order()).await.unwrap().record.number;
    let path = format!("/api/orders/{number}/cancel");
    assert_eq!(admin.post(&path, "{}").await.json(200)["state"], "cancelled");
    assert_eq!(admin.post(&path, "{}").await.json(200)["state"], "cancelled");
    let carried = admin.ledger.carry_out(number, OrderPart::Counting(None)).await.unwrap();
    assert!(carried.is_over);
    assert_eq!(admin.ledger.rows.lock().unwrap()[0].1.state, OrderState::Cancelled);
    let message = "unknown order: expected one that is kept, found none with this number; the newest 10000 are kept";
    for path in ["/api/orders/99", "/api/orders/nonsense"] {
        admin.get(path).await.refused(404, "not_found", message);
        admin.post(&format!("{path}/cancel"), "{}").await.refused(404, "not_found", message);
    }
}
