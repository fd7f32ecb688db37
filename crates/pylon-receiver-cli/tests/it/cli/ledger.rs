//! The commands that ask, where no receiver runs and its ledger is there.

use super::process::{Ran, cli};
use pylon_receiver::ledger::{Ledger, NewDelivery, NewEvent, SqliteLedger, SqliteOptions};
use pylon_receiver::{EventId, Headers, Moment};
use pylon_test_support::http::{Server, nowhere};
use pylon_webhooks::Payload;
use pylon_webhooks::testing::verified;
use serde_json::Value;
use std::path::Path;

const BODY: &str = "{\"event_type\": \"issue_new\"}";

/// A ledger with one event that waits for its delivery.
fn record(path: &Path) -> EventId {
    let received_at: Moment = "2026-11-23T08:00:00.25Z".parse().unwrap();
    let id = EventId::new(received_at, [7; 10]);
    let event = NewEvent {
        id,
        endpoint: "webhook".into(),
        name: "issue_new".into(),
        kind: Some("issue_new".into()),
        method: "POST".into(),
        target: "/webhook".into(),
        query: None,
        headers: Headers::default(),
        passed: Vec::new(),
        body: verified(Payload::from(BODY.as_bytes().to_vec())),
        parked: None,
        deduplication: None,
        deliveries: vec![NewDelivery { destination: "app".into(), order_key: None }],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ledger = SqliteLedger::open(path, SqliteOptions::default()).unwrap();
    runtime.block_on(async {
        ledger.record(event).await.unwrap();
        ledger.close().await.unwrap();
    });
    id
}

#[test]
fn the_ledger_is_read_and_standard_error_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let (id, url, ledger) = (record(&path).to_string(), nowhere(), format!("sqlite:{}", path.display()));
    let ask =
        |arguments: &[&str]| -> Ran { cli(&[arguments, &["--admin-url", &url, "--ledger", &ledger]].concat()).run() };
    let note = format!("no receiver answers at {url}/; reading {} instead\n", path.display());
    for (arguments, expected) in [
        (
            &["events", "list", "--kind", "Issue.New", "--since", "2026-11-23", "--contains", "issue_new"][..],
            id.as_str(),
        ),
        (&["events", "show", &id], "  {\"event_type\": \"issue_new\"}"),
        (&["events", "show", &id, "--body"], BODY),
        (&["deliveries", "list", "--state", "waiting", "--event", &id], "app"),
        (&["dead", "list"], "no deliveries match"),
        (&["refused", "list", "--verbose"], "no refused requests match"),
        (&["stats"], "events    1\n"),
    ] {
        let ran = ask(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, note.as_str()), "{arguments:?}");
        assert!(ran.stdout.contains(expected), "{arguments:?}: {}", ran.stdout);
        let ran = ask(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, 0);
        assert!(serde_json::from_str::<Value>(&ran.stdout).is_ok(), "{arguments:?}: {}", ran.stdout);
    }
    let unknown = ask(&["events", "show", "019aaf3c-9f10-7aa0-8000-0123456789ab"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (1, ""));
    assert!(unknown.stderr.contains("error: refused (404, "), "{}", unknown.stderr);
    for order in [&["events", "redeliver", &id][..], &["dead", "drop", "--all"]] {
        let ran = ask(order);
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{order:?}: {}", ran.stderr);
    }
}

#[test]
fn the_ledger_of_the_configuration_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let id = record(&path).to_string();
    let admin = nowhere().replace("http://", "");
    let config = format!("admin = \"{admin}\"\nledger = \"sqlite:{}\"\n", path.display());
    let ran = cli(&["events", "list", "--config", "receiver.toml"]).file("receiver.toml", config).run();
    assert!(ran.code == 0 && ran.stdout.contains(&id), "{ran:?}");
}

#[test]
fn what_is_no_ledger_is_not_read() {
    let url = nowhere();
    let ran =
        cli(&["stats", "--admin-url", &url]).file("pylon.db", "no ledger at all, and long enough to be read").run();
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error: pylon.db: "), "{}", ran.stderr);
}

#[test]
fn the_ledger_of_this_folder_is_not_taken_for_that_of_another_machine() {
    // Nothing can listen on port 0, here or there.
    let ran = cli(&["stats", "--admin-url", "http://0.0.0.0:0"]).file("pylon.db", "").run();
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    assert!(!ran.stderr.contains("pylon.db"), "{}", ran.stderr);
}

/// A receiver that answers has another ledger than the one that the command line names.
#[test]
fn a_ledger_on_the_command_line_is_used_in_place_of_a_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let (id, ledger) = (record(&path).to_string(), format!("sqlite:{}", path.display()));
    let server = Server::answering(200, "{}");
    let run = |arguments: &[&str], ledger: &str| -> Ran {
        cli(&[arguments, &["--ledger", ledger]].concat()).env("PYLON_RECEIVER_ADMIN", &server.url).run()
    };
    let ran = run(&["events", "list"], &ledger);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains(&id), "{}", ran.stdout);
    let copy = folder.path().join("copy.db").display().to_string();
    assert_eq!(run(&["backup", &copy], &ledger).code, 0);
    let dropping = ["deliveries", "drop", "--destination", "app"];
    run(&[&dropping[..], &["--dry-run"]].concat(), &ledger).prints("1 match; dry run, nothing was changed\n");
    run(&dropping, &ledger).prints("1 matched, 1 dropped\n");
    let gone = folder.path().join("none.db").display().to_string();
    let nothing = format!("expected a ledger at {gone}, found no file; give the path of one with --ledger");
    for arguments in [&["stats"][..], &dropping] {
        run(arguments, &format!("sqlite:{gone}")).fails(1, &nothing);
    }
    let needed = format!(
        "expected a running receiver for this command, found --ledger; start one on {} with `pylon-receiver serve`, and \
         leave out --ledger",
        path.display()
    );
    for order in [&["events", "redeliver", &id][..], &["dead", "drop", "--all"], &["dead", "redeliver", "--all"]] {
        run(order, &ledger).fails(2, &needed);
    }
    assert!(server.requests().is_empty());
}
