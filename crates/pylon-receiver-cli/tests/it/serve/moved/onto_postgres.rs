//! A receiver with a SQLite ledger that goes on with a database.

use super::*;
use pylon_test_support::postgres::Cluster;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An event with this key and this word.
fn keyed(key: &str, word: &str) -> String {
    format!(r#"{{"event_type":"issue_new","issue_id":"{key}","issue_title":"{word}"}}"#)
}

#[test]
fn what_was_not_delivered_from_the_file_is_delivered_from_the_database_once_and_in_order() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.url(&cluster.fresh_database());
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let destination = Destination::start(move |arrived, _| {
        let is_well = up.load(Ordering::SeqCst) || arrived.json()["issue_id"] == "delivered";
        if is_well { Reply::OK } else { Reply::status(500) }
    });
    let lines = app(&destination.url, "order_by = \"issue_id\"").replace("200ms", "5s");
    let scene = Scene::new(&lines.replace("attempts = 1000", "attempts = 2"));
    let running = scene.start();
    let send = |running: &Running, key: &str, word: &str| running.webhook(&keyed(key, word)).id();
    let delivered = send(&running, "delivered", "a");
    assert_eq!(running.ended(&delivered), ["delivered"]);
    let (dead, dropped) = (send(&running, "dead", "a"), send(&running, "dropped", "a"));
    assert_eq!((running.ended(&dead), running.ended(&dropped)), (vec!["dead".into()], vec!["dead".into()]));
    assert_eq!(running.command(&["dead", "drop", &format!("{dropped}.1")])["dropped"], 1);
    assert_eq!(running.stop().0, Some(0));
    scene.configure(&lines);
    let running = scene.start();
    let waiting: Vec<(&str, &str, String)> = [("one", "a"), ("one", "b"), ("one", "c"), ("two", "a"), ("three", "a")]
        .into_iter()
        .map(|(key, word)| (key, word, send(&running, key, word)))
        .collect();
    for (_, _, id) in [&waiting[0], &waiting[3], &waiting[4]] {
        eventually("it was attempted", || (!destination.attempts_of(id).is_empty()).then_some(()));
    }
    assert_eq!(running.stop().0, Some(0));
    is_up.store(true, Ordering::SeqCst);
    let before = destination.arrived().len();

    // A receiver serves the database already.
    let other = Scene::new("");
    other.configure(&format!("ledger = \"{url}\"\n{lines}"));
    let serving = other.start();
    let output = migrate(&scene, "pylon.db", &url, &[]);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: BTreeMap<&str, &str> =
        printed.lines().filter_map(|line| line.split_once(' ')).map(|(name, rest)| (name, rest.trim())).collect();
    let to = told["to"].to_owned();
    let counts =
        [("events", "8"), ("waiting", "3"), ("held", "2"), ("delivered", "1"), ("dead", "1"), ("dropped", "1")];
    for (name, value) in counts {
        assert_eq!(told.get(name), Some(&value), "{name} in {printed}");
    }
    for (_, _, id) in &waiting {
        assert_eq!(serving.ended(id), ["delivered"]);
    }
    let arrived: Vec<(String, String)> = destination.arrived()[before..]
        .iter()
        .map(|request| {
            let text = |name: &str| request.json()[name].as_str().unwrap().to_owned();
            (text("issue_id"), text("issue_title"))
        })
        .collect();
    let of = |key: &str| arrived.iter().filter(|(of, _)| of == key).map(|(_, word)| word.as_str()).collect::<String>();
    assert_eq!((arrived.len(), of("one"), of("two"), of("three")), (5, "abc".into(), "a".into(), "a".into()));
    assert_eq!(serving.ended(&dead), ["dead"]);
    assert_eq!(serving.ended(&dropped), ["dropped"]);
    assert_eq!(serving.ended(&delivered), ["delivered"]);
    assert_eq!(serving.command(&["dead", "redeliver", "--all"])["redelivered"], 1);
    assert_eq!(serving.ended(&dead), ["redelivered", "delivered"]);
    assert_eq!(serving.stop().0, Some(0));

    // The file is served no more.
    let mut refused = Running::start_in_vain(scene.serve());
    assert_eq!(refused.exit(), Some(1));
    let log = refused.log();
    assert!(log.starts_with(&format!("error: the ledger is not in use: it was moved to {to} at ")), "{log}");
    assert_eq!(json(&migrate(&scene, "pylon.db", &url, &["--json"]))["was_done_before"], true);
    fails(
        &migrate(&scene, "pylon.db", &url, &["--give-up"]),
        1,
        "the ledger to copy into has everything of an earlier copy of this ledger in use: copied again, events would be delivered twice; \
         use that ledger, or copy it into a new one",
    );
}

#[test]
fn killed_at_any_moment_it_is_run_again_and_nothing_is_lost_or_comes_twice() {
    let Some(cluster) = Cluster::shared() else { return };
    killed_at_any_moment(&cluster.url(&cluster.fresh_database()));
}

#[test]
fn a_database_that_is_not_there_is_told() {
    let Some(cluster) = Cluster::shared() else { return };
    let scene = Scene::new("");
    drop(SqliteLedger::open(scene.path("pylon.db"), SqliteOptions::default()).unwrap());
    let output = migrate(&scene, "pylon.db", &cluster.url("none"), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = "error: the ledger to copy into: the ledger cannot be reached: ";
    assert!(output.status.code() == Some(1) && said.starts_with(expected) && said.contains("\"none\""), "{said}");
    // Nothing is made where a move is given up.
    let database = cluster.fresh_database();
    let output = migrate(&scene, "pylon.db", &cluster.url(&database), &["--give-up"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("expected the tables of a ledger"), "{said}");
    assert_eq!(cluster.sql(&database, "SELECT to_regnamespace('pylon_receiver') IS NULL"), "t");
}
