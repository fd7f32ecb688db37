//! What waits for a destination that was renamed or removed, and what operators do about it.

use super::destination::FAILS;
use super::*;
use std::process::{Command, Output};

/// A destination of this name that fails, and one that goes by a line for each issue.
fn lines_of(name: &str, url: &str) -> String {
    app(url, "order_by = \"/issue_id\"").replace("\"app\"", &format!("\"{name}\""))
}

/// An event of an issue, and which of its events it is.
fn of_issue(issue: usize, number: usize) -> String {
    format!(r#"{{"event_type":"issue_new","issue_id":"{issue}","number":{number}}}"#)
}

fn order(running: &Running, arguments: &[&str]) -> Output {
    let admin = format!("http://{}", running.admin);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    command.arg("deliveries").args(arguments).args(["--admin-url", &admin]).output().unwrap()
}

#[track_caller]
fn assert_prints(output: &Output, stdout: &str) {
    let (printed, noted) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*noted, &*printed), (Some(0), "", stdout));
}

#[track_caller]
fn assert_refused(output: &Output, sentence: &str) {
    let (printed, noted) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let expected = format!("error: refused (400, bad_request): {sentence}\n");
    assert_eq!((output.status.code(), &*printed, &*noted), (Some(1), "", &*expected));
}

/// A receiver whose destination `old` was renamed to `new`, with five deliveries of the old name: two lines, and a dead one.
fn renamed(new: &Destination) -> (Scene, Running, Vec<String>) {
    let failing = Destination::start(|_, _| FAILS);
    let scene = Scene::new(&lines_of("old", &failing.url).replace("1000", "1"));
    let running = scene.start();
    let dead = running.webhook(&of_issue(1, 0)).id();
    assert_eq!(running.ended(&dead), ["dead"]);
    // From now on it is down, and nothing is given up.
    scene.configure(&lines_of("old", &format!("http://{}/hook", Destination::nowhere())));
    running.reload("reloaded");
    let mut ids = vec![dead];
    ids.extend([(1, 1), (2, 2), (1, 3), (1, 4)].map(|(issue, number)| running.webhook(&of_issue(issue, number)).id()));
    running.logs(&["not delivered", &ids[1]]);
    scene.configure(&lines_of("new", &new.url));
    running.reload("reloaded");
    running.logs(&[
        "\"WARN\"",
        "deliveries wait for a destination that is not configured: give them to another with `pylon-receiver deliveries move \
         --from NAME --to OTHER`, or drop them with `pylon-receiver deliveries drop --destination NAME`",
        "\"destination\":\"old\"",
        "\"count\":4",
    ]);
    eventually("no attempt is under way", || {
        (running.command(&["stats"])["destinations"][1]["delivering"] == 0).then_some(())
    });
    (scene, running, ids)
}

#[test]
fn what_waits_for_a_renamed_destination_is_moved_and_delivered_in_its_order() {
    let new = Destination::well();
    let (_scene, running, ids) = renamed(&new);
    let moving = ["move", "--from", "old", "--to", "new"];
    assert_prints(&order(&running, &[&moving[..], &["--dry-run"]].concat()), "5 match; dry run, nothing was changed\n");
    assert_eq!(new.arrived().len(), 0);
    assert!(!running.log().contains("an operator's order"), "a dry run is none");
    assert_prints(&order(&running, &moving), "5 matched, 5 moved\n");
    running.logs(&["an operator's order: moved", "\"matched\":5", "\"done\":5"]);
    for id in &ids[1..] {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    let arrived: Vec<_> = new.arrived().iter().map(Request::event_id).collect();
    let of_the_first: Vec<_> = arrived.iter().filter(|id| **id != ids[2]).collect();
    assert_eq!(of_the_first, [&ids[1], &ids[3], &ids[4]], "one after the other, as they came in");
    // The dead one is dead still, under the new name.
    let dead = running.command(&["dead", "list"]);
    assert_eq!(
        (dead[0]["id"].as_str(), dead[0]["destination"].as_str()),
        (Some(&*format!("{}.1", ids[0])), Some("new"))
    );
    assert_eq!(running.command(&["dead", "redeliver", "--destination", "new"])["redelivered"], 1);
    assert_eq!(running.ended(&ids[0]), ["redelivered", "delivered"]);
    let again = order(&running, &moving);
    assert_refused(
        &again,
        "malformed field from: expected a destination with deliveries left, found `old`, which has none",
    );
}

#[test]
fn what_waits_for_a_removed_destination_is_dropped() {
    let new = Destination::well();
    let (_scene, running, ids) = renamed(&new);
    let dropping = ["drop", "--destination", "old"];
    assert_prints(
        &order(&running, &[&dropping[..], &["--dry-run"]].concat()),
        "5 match; dry run, nothing was changed\n",
    );
    assert_eq!(
        running.command(&["deliveries", "drop", "--destination", "old"]),
        serde_json::json!({"matched": 5, "dropped": 5, "order": 1, "state": "done"})
    );
    running.logs(&["an operator's order: dropped", "\"matched\":5", "\"done\":5"]);
    for id in &ids {
        assert_eq!(running.ended(id), ["dropped"]);
    }
    assert_eq!(new.arrived().len(), 0);
    // Each can be delivered again nevertheless.
    running.command(&["events", "redeliver", &ids[4], "--destination", "new"]);
    assert_eq!(running.ended(&ids[4]), ["dropped", "delivered"]);
}

#[test]
fn nothing_is_taken_from_a_destination_that_is_configured_and_nothing_goes_to_one_that_is_not() {
    let new = Destination::well();
    let (scene, running, _) = renamed(&new);
    let with_another = lines_of("new", &new.url) + &lines_of("other", &new.url);
    scene.configure(&with_another);
    running.reload("reloaded");
    let before = running.command(&["deliveries", "list", "--all"]);
    let configured = |field: &str| {
        format!(
            "malformed field {field}: expected a destination that is not configured, found `new`, to which the receiver delivers; \
             remove it from the configuration first"
        )
    };
    let cases = [
        (&["move", "--from", "new", "--to", "other"][..], configured("from")),
        (&["drop", "--destination", "new"], configured("destination")),
        (
            &["move", "--from", "old", "--to", "old"],
            "malformed field to: expected one of the configured destinations, found `old`".into(),
        ),
        (
            &["move", "--from", "old", "--to", "othr"],
            "malformed field to: expected one of the configured destinations, found `othr`; did you mean `other`?".into(),
        ),
        (
            &["move", "--from", "odl", "--to", "new"],
            "malformed field from: expected a destination with deliveries left, found `odl`, which has none; did you mean `old`?"
                .into(),
        ),
        (
            &["drop", "--destination", "none"],
            "malformed field destination: expected a destination with deliveries left, found `none`, which has none".into(),
        ),
    ];
    for (arguments, sentence) in cases {
        assert_refused(&order(&running, arguments), &sentence);
        assert_refused(&order(&running, &[arguments, &["--dry-run"]].concat()), &sentence);
    }
    assert_eq!(running.command(&["deliveries", "list", "--all"]), before);
}

/// Without a receiver the ledger's file is changed, and the next start delivers.
#[test]
fn deliveries_are_moved_and_dropped_where_no_receiver_runs() {
    let new = Destination::well();
    let (scene, running, ids) = renamed(&new);
    let admin = format!("http://{}", running.admin);
    assert_eq!(running.stop().0, Some(0));
    let ledger = format!("sqlite:{}", scene.path("pylon.db").display());
    let order = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
        command.arg("deliveries").args(arguments).args(["--admin-url", &admin, "--ledger", &ledger]).output().unwrap()
    };
    let note = |doing: &str| {
        format!("no receiver answers at {admin}/; {doing} {} instead\n", scene.path("pylon.db").display())
    };
    for (arguments, doing, printed) in [
        (
            &["move", "--from", "old", "--to", "new", "--dry-run"][..],
            "reading",
            "5 match; dry run, nothing was changed\n",
        ),
        (&["move", "--from", "old", "--to", "gone"], "changing", "5 matched, 5 moved\n"),
        (&["move", "--from", "gone", "--to", "new"], "changing", "5 matched, 5 moved\n"),
    ] {
        let output = order(arguments);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!((&*stdout, &*stderr), (printed, &*note(doing)), "{arguments:?}");
    }
    let nowhere = order(&["move", "--from", "new", "--to", " "]);
    let refused = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(refused.ends_with("malformed field to: expected a name, found a blank one\n"), "{refused}");
    assert!(!scene.path("pylon.db-wal").exists(), "the file is whole");
    let running = scene.start();
    for id in &ids[1..] {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    drop(running);
    let output = order(&["drop", "--destination", "new"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 matched, 1 dropped\n");
    assert_eq!(scene.start().ended(&ids[0]), ["dropped"]);
}

#[test]
fn a_ledger_that_a_receiver_has_is_not_changed_behind_its_back() {
    let new = Destination::well();
    let (scene, running, _) = renamed(&new);
    let ledger = format!("sqlite:{}", scene.path("pylon.db").display());
    let nobody = format!("http://{}", Destination::nowhere());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    command.args(["deliveries", "drop", "--destination", "old", "--admin-url", &nobody, "--ledger", &ledger]);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && stderr.contains("the ledger is in use"), "{stderr}");
    assert_eq!(running.unmet(), [""; 0]);
    let stats = running.command(&["stats"]);
    assert_eq!(stats["destinations"][1]["waiting"], 2, "{stats}");
}
