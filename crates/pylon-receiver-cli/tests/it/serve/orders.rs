//! Orders: a receiver that ends leaves them broken off, with exact numbers.

use super::*;
use rustix::process::Signal;
use serde_json::Value;

/// How many dead deliveries there are: enough that an order about them takes a while.
const DEAD: u64 = 20_000;

/// Puts dead deliveries into the ledger of a receiver that does not run.
fn kill_many(scene: &Scene) {
    let ledger = scene.ledger();
    let fill = format!(
        "BEGIN;
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {DEAD})
         INSERT INTO events (id, endpoint, name, method, target, headers, body)
         SELECT unhex(printf('%012x7%03x8%015x', 1700000000000 + n, 0, n)), 'webhook', 'issue_new', 'POST', '/webhook', x'', x'7b7d'
         FROM number;
         INSERT INTO deliveries (event_seq, number, destination, state, at_ms, reason)
         SELECT seq, 1, 'app', 21, 1700000900000, 'gave up' FROM events;
         INSERT INTO totals (destination, waiting, held, dead) VALUES ('app', 0, 0, {DEAD});
         UPDATE ledger SET events = {DEAD};
         COMMIT;"
    );
    ledger.execute_batch(&fill).unwrap();
}

fn number(order: &Value, field: &str) -> u64 {
    order[field].as_u64().unwrap_or_else(|| panic!("{field} of {order}"))
}

#[test]
fn an_order_of_a_killed_receiver_is_broken_off_and_given_again_it_takes_the_rest() {
    let order = broken_off_by(Signal::KILL);
    assert!(order["ended_at"].is_null(), "nobody was there to say when: {order}");
}

#[test]
fn an_order_of_a_receiver_that_stops_is_broken_off_at_once() {
    let order = broken_off_by(Signal::TERM);
    assert!(order["ended_at"].is_string(), "{order}");
}

/// An order as it is after its receiver was sent the signal, which was in the middle of it.
fn broken_off_by(signal: Signal) -> Value {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    drop(scene.start());
    kill_many(&scene);
    let mut running = scene.start();
    let order = r#"{"all":true,"at_once":true,"note":"they are of no use"}"#;
    let begun = running.order("/api/dead/drop", order);
    assert_eq!((begun["state"].as_str(), number(&begun, "order")), (Some("running"), 1));
    eventually("the order is under way", || {
        let order = running.command(&["orders", "show", "1"]);
        (number(&order, "taken") > 0).then_some(())
    });
    running.signal(signal);
    running.exit();

    let running = scene.start();
    let order = running.command(&["orders", "show", "1"]);
    let dropped = scene.texts("SELECT CAST(count(*) AS TEXT) FROM deliveries WHERE state = 22 AND order_number = 1");
    let done = number(&order, "done");
    assert_eq!(order["state"], "broken_off", "{order}");
    assert_eq!((number(&order, "counted"), number(&order, "taken")), (DEAD, done));
    assert_eq!(dropped, [done.to_string()], "what it says is done, and nothing else");
    assert!(done > 0 && done < DEAD, "{done}");

    let rest = running.command(&["dead", "drop", "--all", "--note", "the rest"]);
    assert_eq!(number(&rest, "dropped"), DEAD - done);
    let orders = running.command(&["orders", "list"]);
    let told: Vec<_> = orders.as_array().unwrap().iter().map(|order| (&order["state"], &order["source"])).collect();
    assert_eq!(told, [(&"done".into(), &"command".into()), (&"broken_off".into(), &"api".into())]);
    assert_eq!(orders[0]["note"], "the rest");
    order
}
