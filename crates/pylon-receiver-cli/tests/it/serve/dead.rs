//! What is given up, and what operators do about it.

use super::destination::FAILS;
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A destination that never takes what has the word "poison" in it, until it is cured; three attempts, and then dead.
fn poisoned() -> (Destination, Arc<AtomicBool>, Scene) {
    let is_cured = Arc::new(AtomicBool::new(false));
    let cured = is_cured.clone();
    let destination = Destination::start(move |arrived, _| {
        if arrived.text().contains("poison") && !cured.load(Ordering::SeqCst) { FAILS } else { Reply::OK }
    });
    let scene = Scene::new(&app(&destination.url, "").replace("1000", "3"));
    (destination, is_cured, scene)
}

const POISON: &str = r#"{"event_type":"issue_new","poison":true}"#;

#[test]
fn a_poison_event_is_given_up_while_others_go_on() {
    let (destination, _, scene) = poisoned();
    let running = scene.start();
    let poison = running.webhook(POISON).id();
    let others: Vec<_> = (0..20).map(|number| running.webhook(&body(number)).id()).collect();
    assert_eq!(running.ended(&poison), ["dead"]);
    for id in &others {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    assert_eq!(destination.attempts_of(&poison), [1, 2, 3]);
    running.logs(&["\"dead\"", &poison, "gave up after 3 attempts"]);
    let dead = running.command(&["dead", "list"]);
    let dead = dead.as_array().unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["id"], format!("{poison}.1"));
    assert_eq!(dead[0]["reason"], "gave up after 3 attempts: answered 500");
}

#[test]
fn a_dead_delivery_is_redelivered_once_the_app_is_cured() {
    let (destination, is_cured, scene) = poisoned();
    let running = scene.start();
    let poison = running.webhook(POISON).id();
    assert_eq!(running.ended(&poison), ["dead"]);
    is_cured.store(true, Ordering::SeqCst);
    let answer = running.command(&["dead", "redeliver", &format!("{poison}.1")]);
    assert_eq!(answer["redelivered"], 1, "{answer}");
    assert_eq!(running.ended(&poison), ["redelivered", "delivered"]);
    let last = destination.arrived().pop().unwrap();
    assert_eq!((last.text(), last.attempt()), (POISON.to_owned(), 1));
    assert_eq!(last.header("x-receiver-redelivery-of"), Some(&*format!("{poison}.1")));
    assert_eq!(running.command(&["dead", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn a_dead_delivery_is_dropped_for_good() {
    let (destination, is_cured, scene) = poisoned();
    let running = scene.start();
    let poison = running.webhook(POISON).id();
    assert_eq!(running.ended(&poison), ["dead"]);
    is_cured.store(true, Ordering::SeqCst);
    let answer = running.command(&["dead", "drop", "--all"]);
    assert_eq!(answer["dropped"], 1, "{answer}");
    let answer = running.command(&["dead", "redeliver", "--all"]);
    assert_eq!(answer["redelivered"], 0, "{answer}");
    assert_eq!(running.ended(&poison), ["dropped"]);
    assert_eq!(destination.attempts_of(&poison).len(), 3);
}

#[test]
fn a_redelivered_event_is_delivered_once_more_and_not_taken_for_a_duplicate() {
    let destination = Destination::well();
    let endpoint = "[[endpoint]]\npath = \"/webhook\"\nsecrets = [{ file = \"{}/secret\" }]\ndeduplication = { pointer = \"/issue_id\" }\n";
    let scene = Scene::new(&format!("{}{endpoint}", app(&destination.url, "")));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.webhook(&body(1)).id(), id);
    assert_eq!(running.ended(&id), ["delivered"]);
    let answer = running.command(&["events", "redeliver", &id]);
    assert_eq!(answer["redelivered"], 1, "{answer}");
    assert_eq!(running.ended(&id), ["delivered", "delivered"]);
    let arrived: Vec<_> = destination.arrived().iter().map(|arrived| (arrived.event_id(), arrived.text())).collect();
    assert_eq!(arrived, [(id.clone(), body(1)), (id, body(1))]);
}
