//! `--no-accept` and `--no-deliver`: a receiver that does one of its two jobs.

use super::*;
use pylon_test_support::http::ask;
use std::net::TcpStream;
use std::process::Command;

/// A destination that signs with a secret which is in the folder, or not.
fn signing(url: &str, secret: &str) -> String {
    app(url, &format!("secret = {{ file = \"{{}}/{secret}\" }}"))
}

fn with(scene: &Scene, options: &[&str]) -> Command {
    let mut command = scene.serve();
    command.args(options);
    command
}

#[test]
fn what_one_role_stores_the_other_delivers() {
    let destination = Destination::start(|_, _| Reply::OK);
    // Neither of the two secrets is there where it is not needed.
    let front = signing(&destination.url, "none");
    let scene = Scene::new(&front);
    let running = Running::start(with(&scene, &["--no-deliver"]));
    running.logs(&["\"message\":\"listening\"", "\"role\":\"accept\""]);
    running.logs(&["WARN", "nothing delivers what this receiver stores as long as it runs"]);
    assert_eq!(running.get("/readyz").json(), serde_json::json!({ "status": "ready", "role": "accept" }));
    let ids: Vec<_> = (0..3).map(|number| running.webhook(&body(number)).id()).collect();
    assert_eq!(running.command(&["events", "redeliver", &ids[0]])["redelivered"], 1);
    let stats = running.command(&["stats"]);
    assert_eq!(
        (&stats["destinations"][0]["waiting"], &stats["destinations"][0]["orphaned"]),
        (&4.into(), &false.into())
    );
    let (code, log) = running.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("\"delivered\"") && destination.arrived().is_empty(), "{log}");

    let back = format!(
        "health = \"/healthz\"\n{}[[endpoint]]\npath = \"/webhook\"\nsecrets = [{{ file = \"{{}}/none\" }}]\n",
        signing(&destination.url, "app-secret")
    );
    scene.configure(&back);
    let running = Running::start(with(&scene, &["--no-accept"]));
    running.logs(&["\"message\":\"listening\"", "\"role\":\"deliver\""]);
    running.logs(&["WARN", "`health`: nothing answers at `/healthz`"]);
    let listening = running.log().lines().find(|line| line.contains("listening")).unwrap().to_owned();
    assert!(!listening.contains("\"webhooks\""), "{listening}");
    assert_eq!(running.get("/readyz").json(), serde_json::json!({ "status": "ready", "role": "deliver" }));
    for id in &ids {
        assert!(running.ended(id).iter().all(|state| state == "delivered"), "{id}");
    }
    assert_eq!(destination.arrived().len(), 4);
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn a_receiver_that_only_delivers_takes_no_port() {
    // Somebody else has the port, and goes on to have it.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let destination = Destination::start(|_, _| Reply::OK);
    let scene = Scene::new(&format!("listen = \"{taken}\"\n{}", app(&destination.url, "")));
    let running = Running::start(with(&scene, &["--no-accept"]));
    let _queued = TcpStream::connect(taken).unwrap();
    other.accept().unwrap();
    assert_eq!(running.unmet(), [""; 0]);
    let listed = ask(running.admin, "GET", "/metrics", &[], b"").unwrap().text();
    assert!(listed.contains("\npylon_receiver_accepts 0\n") && listed.contains("\npylon_receiver_delivers 1\n"));
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn a_reload_keeps_the_role_of_the_command_line() {
    let destination = Destination::start(|_, _| Reply::OK);
    let scene = Scene::new(&app(&destination.url, ""));
    let running = Running::start(with(&scene, &["--no-deliver"]));
    scene.configure(&app(&destination.url, "kinds = [\"issue_assigned\"]"));
    running.reload("\"reloaded\"");
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.event(&id)["state"], "unrouted");
    scene.configure(&format!("role = \"deliver\"\n{}", app(&destination.url, "")));
    running.reload("not reloaded");
    running.logs(&["not reloaded", "expected something to do, found none"]);
    assert_eq!(running.get("/readyz").json()["role"], "accept");
}

#[test]
fn a_receiver_has_something_to_do() {
    let scene = Scene::new("");
    let refusing = with(&scene, &["--no-accept", "--no-deliver"]).output().unwrap();
    let said = String::from_utf8(refusing.stderr).unwrap();
    assert_eq!(refusing.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: the argument '--no-accept' cannot be used with '--no-deliver'\n"), "{said}");

    for (role, option) in [("deliver", "--no-deliver"), ("accept", "--no-accept")] {
        scene.configure(&format!("role = \"{role}\"\n"));
        scene.assert_refuses_by(
            with(&scene, &[option]),
            5,
            &format!(
                "expected something to do, found none: the configuration has `role = \"{role}\"`, and {option} takes that away; leave \
                 out one of them"
            ),
        );
    }
    scene.configure("");
    scene.assert_refuses_by(
        with(&scene, &["--no-deliver"]),
        5,
        "`destination`: expected at least one where `role` is `accept`, found none; give this receiver the destinations of those that \
         deliver: it makes each event's deliveries when it stores the event",
    );
}
