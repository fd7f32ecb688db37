//! A path for load balancers that can ask nowhere else.

use super::*;
use pylon_test_support::http::ask;
use rustix::process::Signal;

fn asked(running: &Running, method: &str) -> (u16, String) {
    let answer = ask(running.webhooks, method, "/healthz", &[], b"").unwrap();
    (answer.status, answer.text())
}

#[test]
fn it_says_whether_the_receiver_is_ready_and_nothing_else() {
    let scene = Scene::new("health = \"/healthz\"\n");
    let running = scene.start();
    for (method, expected) in [
        ("GET", (200, "ok")),
        ("HEAD", (200, "")),
        ("POST", (405, "method not allowed")),
        ("DELETE", (405, "method not allowed")),
    ] {
        assert_eq!(asked(&running, method), (expected.0, expected.1.to_owned()), "{method}");
    }
    let other = ask(running.webhooks, "GET", "/healthz/", &[], b"").unwrap();
    assert_eq!(other.status, 404);
    running.webhook(&body(1)).id();
    assert!(!running.log().contains("/healthz\\\""), "{}", running.log());
}

#[test]
fn there_is_none_unless_it_is_asked_for() {
    let scene = Scene::new("");
    let running = scene.start();
    assert_eq!(asked(&running, "GET").0, 404);
}

#[test]
fn a_receiver_that_is_not_ready_says_so() {
    let scene =
        Scene::new("health = \"/healthz\"\n[[endpoint]]\npath = \"/webhook\"\nsecrets = [{ file = \"{}/none\" }]\n");
    let running = scene.start();
    assert_eq!(asked(&running, "GET"), (503, "unavailable".to_owned()));
    assert_eq!(asked(&running, "HEAD"), (503, String::new()));
}

#[test]
fn a_receiver_that_shuts_down_is_not_ready_and_still_stores() {
    let destination = Destination::start(|_, number| if number == 0 { Reply::Hang } else { Reply::OK });
    let lines = app(&destination.url, "").replace("200ms", "1m");
    let scene = Scene::new(&format!("health = \"/healthz\"\n{lines}[limits]\nshutdown_timeout = \"3s\"\n"));
    let mut running = scene.start();
    running.webhook(&body(1)).id();
    eventually("the attempt is under way", || (destination.arrived().len() == 1).then_some(()));
    running.signal(Signal::TERM);
    eventually("it is not ready", || (asked(&running, "GET").0 == 503).then_some(()));
    running.webhook(&body(2)).id();
    assert_eq!(running.exit(), Some(0));
    assert_eq!(scene.kept().len(), 2);
}

#[test]
fn an_endpoint_does_not_share_its_path() {
    let scene = Scene::new("health = \"/webhook\"\n");
    let fault =
        "{}/receiver.toml: line 5: `health`: expected a path that no endpoint has, found that of [[endpoint]] 1";
    scene.assert_refuses(5, fault);
}
