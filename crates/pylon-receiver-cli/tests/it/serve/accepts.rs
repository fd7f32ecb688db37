//! Accepted, stored, delivered: to every kind of destination, and to those alone that want it.

use super::*;
use std::os::unix::fs::PermissionsExt;

/// Bytes that nothing on their way may mend or tidy up: white space, escapes, a half pair, a raw control character.
const ODD: &str =
    "\u{feff}{\n \"event_type\" :\t\"issue_new\", \"a\":\"\\u00e9\\ud83d \u{1} \u{1f600}\", \"a\":  ,\"n\":1e400}\r\n";

#[test]
fn a_webhook_is_stored_and_arrives_everywhere_byte_for_byte() {
    let destination = Destination::well();
    let scene = Scene::new(&format!(
        "[[destination]]\nname = \"app\"\nurl = \"{}\"\n\
         [[destination]]\nname = \"script\"\ncommand = [\"{{}}/script\", \"{{}}/taken\"]\n\
         [[destination]]\nname = \"lines\"\njsonl = \"{{}}/lines.jsonl\"\n",
        destination.url
    ));
    scene.write(
        "script",
        "#!/bin/sh\ncat > \"$1\"\necho \"$PYLON_EVENT_ID $PYLON_ATTEMPT $PYLON_KIND $PYLON_ENDPOINT\" > \"$1.ids\"\n",
    );
    std::fs::set_permissions(scene.path("script"), PermissionsExt::from_mode(0o700)).unwrap();
    let running = scene.start();
    for body in [body(1), ODD.to_owned()] {
        let id = running.webhook(&body).id();
        assert_eq!(running.ended(&id), ["delivered"; 3]);
        let arrived = destination.arrived().pop().unwrap();
        assert_eq!((arrived.text(), arrived.event_id(), arrived.attempt()), (body.clone(), id.clone(), 1));
        assert_eq!(arrived.header("x-receiver-endpoint"), Some("webhook"));
        assert_eq!(arrived.header("x-receiver-kind"), Some("issue_new"));
        assert_eq!(std::fs::read_to_string(scene.path("taken")).unwrap(), body);
        let ids = std::fs::read_to_string(scene.path("taken.ids")).unwrap();
        assert_eq!(ids, format!("{id} 1 issue_new webhook\n"));
        let lines = std::fs::read_to_string(scene.path("lines.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!((line["event_id"].as_str(), line["body"].as_str()), (Some(&*id), Some(&*body)));
        assert_eq!(running.get(&format!("/api/events/{id}/body")).text(), body);
    }
    let (code, _) = running.stop();
    assert_eq!(code, Some(0));
    let bodies = scene.texts("SELECT CAST(body AS TEXT) FROM events ORDER BY seq");
    assert_eq!(bodies, [body(1), ODD.to_owned()]);
}

#[test]
fn destinations_get_the_kinds_and_endpoints_that_they_ask_for() {
    let scene = Scene::new(
        "[[endpoint]]\npath = \"/a\"\nsecrets = [{ file = \"{}/secret\" }]\n\
         [[endpoint]]\npath = \"/b\"\nsecrets = [{ file = \"{}/app-secret\" }, { file = \"{}/secret\" }]\n\
         [[destination]]\nname = \"all\"\njsonl = \"{}/all\"\n\
         [[destination]]\nname = \"new\"\njsonl = \"{}/new\"\nkinds = [\"Issue.New\"]\n\
         [[destination]]\nname = \"of-b\"\njsonl = \"{}/of-b\"\nendpoints = [\"b\"]\n\
         [[destination]]\nname = \"new-of-b\"\njsonl = \"{}/new-of-b\"\nendpoints = [\"b\"]\nkinds = [\"issue_new\", \"x\"]\n",
    );
    let running = scene.start();
    for (path, kind, expected) in [
        ("/a", "issue_new", vec!["all", "new"]),
        ("/a", "issue_closed", vec!["all"]),
        ("/b", "issue-new", vec!["all", "new", "of-b", "new-of-b"]),
        ("/b", "issue_closed", vec!["all", "of-b"]),
        ("/b", "x", vec!["all", "of-b", "new-of-b"]),
    ] {
        let id = running.webhook_at(path, &format!(r#"{{"event_type":"{kind}"}}"#)).id();
        running.ended(&id);
        let event = running.event(&id);
        let names: Vec<_> = event["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|delivery| delivery["destination"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{path} {kind}");
    }
}

#[test]
fn what_is_authentic_and_not_json_is_stored_and_parked() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    let running = scene.start();
    let id = running.webhook("not JSON").id();
    let event = running.event(&id);
    assert_eq!((event["state"].as_str(), event["deliveries"].as_array().map(Vec::len)), (Some("parked"), Some(0)));
    assert_eq!(running.get(&format!("/api/events/{id}/body")).text(), "not JSON");
    running.logs(&["accepted and parked", &id]);
}

#[test]
fn the_log_for_people_promises_the_same() {
    let destination = Destination::start(|_, number| if number == 0 { destination::FAILS } else { Reply::OK });
    let scene =
        Scene::new(&format!("log = \"text\"\n{}", app(&destination.url, "secret = { file = \"{}/app-secret\" }")));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&id), ["delivered"]);
    let forged = running.try_webhook("/webhook", &process::signed("another secret", &body(1)), &body(1)).unwrap();
    assert_eq!(forged.status, 401);
    running.logs(&["a request was refused", "signature_mismatch"]);
    running.logs(&["WARN", "not delivered", &id]);
    running.logs(&["INFO", ": delivered", &id]);
}
