//! What somebody meets who sets up a receiver: slips, events from before there was a destination, searches.

use super::*;
use pylon_webhooks::{Secret, sign};
use std::process::{Command, Output};

/// What an operator's command ends with, and says.
fn command(running: &Running, arguments: &[&str]) -> (Option<i32>, String, String) {
    let admin = format!("http://{}", running.admin);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    let Output { status, stdout, stderr } = command.args(arguments).args(["--admin-url", &admin]).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn check_config(scene: &Scene) -> String {
    let path = scene.path("receiver.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    let output = command.args(["check-config", "--config"]).arg(path).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn issue(number: &str, kind: &str) -> String {
    format!(r#"{{"event_type": "{kind}", "issue_number": "{number}", "issue_title": "Export \u001b fails"}}"#)
}

#[test]
fn a_configuration_with_slips_is_warned_of_at_start_and_by_its_check() {
    let scene = Scene::new("");
    let nowhere =
        "no destination: events are stored and delivered nowhere; add a `[[destination]]`, or `--forward` a URL";
    let running = scene.start();
    running.logs(&["WARN", nowhere]);
    assert!(check_config(&scene).contains(nowhere));
    drop(running);

    let destination = "[[destination]]\nname = \"app\"\nurl = \"http://127.0.0.1:1\"\n";
    scene.configure(&format!("{destination}kinds = [\"message_new\", \"MessageNewEvent\", \"ticket.created\"]\n"));
    scene.write("secret", &format!("'{SECRET}'\n"));
    let slip = "destination app: `kinds`: `message_new` is not a known kind; did you mean `issue_message_new`?";
    let quotes =
        "the secret has quotes around it, which are rarely part of a secret: remove the quotes where you set it";
    let running = scene.start();
    running.logs(&["WARN", slip]);
    running.logs(&["WARN", "endpoint webhook: file ", quotes]);
    let checked = check_config(&scene);
    assert!(checked.contains(slip) && checked.contains(quotes) && !checked.contains(SECRET), "{checked}");
    // What is refused for it names the cause.
    assert_eq!(running.webhook(&body(1)).status, 401);
    running.logs(&["a request was refused", "it matches the secret without the quotes around it"]);
}

#[test]
fn events_from_before_there_was_a_destination_are_redelivered_to_those_that_would_take_them() {
    let app_server = Destination::well();
    let scene = Scene::new("");
    let running = scene.start();
    let new = running.webhook(&issue("1042", "issue_new")).id();
    let message = running.webhook(&issue("1043", "issue_message_new")).id();
    let own = running.webhook(&issue("1044", "ticket.created")).id();
    let (_, stdout, stderr) = command(&running, &["events", "redeliver", "--state", "unrouted"]);
    assert_eq!(stdout, "3 matched, 0 will be redelivered\n");
    assert_eq!(stderr, "3 of them stay where they are: no destination is configured\n");

    let kinds = "kinds = [\"issue_new\", \"MessageNewEvent\"]";
    scene.configure(&app(&app_server.url, kinds));
    running.reload("\"reloaded\"");
    let (code, stdout, stderr) = command(&running, &["events", "redeliver", "--state", "unrouted"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "3 matched, 2 will be redelivered\n"));
    assert_eq!(stderr, "1 of them are taken by no destination; name one with --destination\n");
    for id in [&new, &message] {
        assert_eq!(running.ended(id), ["delivered"]);
        assert_eq!(app_server.attempts_of(id).len(), 1);
    }
    assert_eq!(running.event(&own)["state"], "unrouted");
    // They are not unrouted any more, and go again where they went.
    let again = command(&running, &["events", "redeliver", "--issue", "1042"]);
    assert_eq!(again.1, "1 matched, 1 will be redelivered\n");
    assert_eq!(running.ended(&new), ["delivered", "delivered"]);
}

#[test]
fn an_order_about_an_unknown_id_or_destination_fails() {
    let app_server = Destination::well();
    let scene = Scene::new(&app(&app_server.url, ""));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&id), ["delivered"]);
    let unknown = "019aaf3c-9f10-7aa0-8000-0123456789ab";
    for (arguments, said) in [
        (
            &["events", "redeliver", unknown][..],
            "unknown event: expected one that is kept, found none with the id 019aaf3c-",
        ),
        (&["events", "redeliver", &id, unknown], "nothing was redelivered"),
        (&["events", "redeliver", unknown, "--destination", "app"], "unknown event"),
        (&["events", "redeliver", &id, "--destination", "ap"], "did you mean `app`?"),
        (&["dead", "redeliver", &format!("{id}.1")], "not a dead delivery: expected one, found that"),
        (&["dead", "redeliver", &format!("{id}.7")], "unknown delivery: expected one that is kept"),
        (&["dead", "drop", "--destination", "ap"], "did you mean `app`?"),
    ] {
        let (code, stdout, stderr) = command(&running, arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    assert_eq!(running.ended(&id), ["delivered"]);
}

#[test]
fn an_event_is_found_by_its_issue_and_named_by_a_part_of_its_id() {
    let scene = Scene::new("");
    let running = scene.start();
    let id = running.webhook(&issue("1042", "issue_new")).id();
    let other = running.webhook(&issue("10420", "issue_new")).id();
    let listed = |arguments: &[&str]| {
        let found = running.command(&[&["events", "list"], arguments].concat());
        let ids = found.as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--issue", "1042"]), std::slice::from_ref(&id));
    assert_eq!(listed(&["--issue", "#1042", "--kind", "IssueNewEvent"]), std::slice::from_ref(&id));
    assert_eq!(listed(&["--contains", "\"issue_number\":\"1042\""]), std::slice::from_ref(&id));
    assert_eq!(listed(&["--contains", "1042"]), [other.clone(), id.clone()]);
    let (_, table, _) = command(&running, &["events", "list", "--issue", "1042"]);
    assert!(table.contains("  1042   Export \\u{1b} fails  "), "{table}");

    let (code, shown, _) = command(&running, &["events", "show", &id[28..]]);
    assert!(code == Some(0) && shown.starts_with(&format!("event     {id}\n")), "{shown}");
    assert!(shown.contains("\nissue     #1042 Export \\u{1b} fails\n"), "{shown}");
    // Their first digits are their time, which they share.
    let (code, _, told) = command(&running, &["events", "show", &id[..8]]);
    assert_eq!(code, Some(1));
    assert!(told.contains(&id) && told.contains(&other), "{told}");
}

#[test]
fn the_signed_text_of_a_timestamped_request_is_refused_without_its_timestamp() {
    let scene = Scene::new("");
    let running = scene.start();
    let genuine = issue("1042", "issue_new");
    let signature = sign(&Secret::new(SECRET).unwrap(), genuine.as_bytes(), Some("1700000000"));
    let moved = format!("1700000000.{genuine}");
    let headers = [("X-Pylon-Signature".to_owned(), signature)];
    assert_eq!(running.try_webhook("/webhook", &headers, &moved).unwrap().status, 401);
    running.logs(&["a request was refused", "timestamp_missing", "the body begins with a timestamp and a full stop"]);
    // Nobody waits until it is kept.
    eventually("the request is in the ring", || {
        let kept = running.command(&["refused", "list", "--code", "timestamp_missing"]);
        (kept.as_array()?.len() == 1).then_some(())
    });
}
