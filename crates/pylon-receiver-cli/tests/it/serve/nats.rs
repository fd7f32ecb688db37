//! A NATS server with JetStream behind the receiver.

use super::*;
use pylon_test_support::nats::{NatsClient, NatsServer};
use serde_json::json;

/// The stream has each event once, whatever became of the server meanwhile, and once more what an operator orders.
#[test]
fn a_stream_gets_every_event_also_those_that_came_while_the_server_was_down() {
    const SETTINGS: &str = "authorization { user: \"receiver\", password: \"sesame\" }";
    let Some(mut server) = NatsServer::start(SETTINGS) else { return };
    let connect =
        |server: &NatsServer| NatsClient::connect(server.address, |_| json!({ "user": "receiver", "pass": "sesame" }));
    connect(&server).create_stream("EVENTS", &["pylon.>"], &json!({}));
    let scene = Scene::new(&format!("[[destination]]\nname = \"bus\"\nnats = {{ file = \"{{}}/url\" }}\n{HASTE}"));
    scene.write("url", &format!("nats://receiver:sesame@{}\n", server.address));
    let mut command = scene.serve();
    // Nothing of what the client of NATS tells at these levels is in the log.
    command.env("PYLON_RECEIVER_LOG", "info,async_nats=trace,async_nats::connection=trace");
    let running = Running::start(command);
    let first = running.webhook(&body(0)).id();
    assert_eq!(running.ended(&first), ["delivered"]);
    server.kill();
    let later: Vec<_> = (1..20).map(|number| running.webhook(&body(number)).id()).collect();
    running.logs(&["the destination is down", "connection refused"]);
    server.restart();
    for id in &later {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    running.command(&["events", "redeliver", &first]);
    assert_eq!(running.ended(&first), ["delivered", "delivered"]);
    let mut client = connect(&server);
    let messages = client.messages("EVENTS");
    let ids: Vec<_> = messages.iter().map(|message| message.all("Nats-Msg-Id").concat()).collect();
    let mut expected: Vec<_> = [vec![first.clone()], later].concat();
    expected.push(format!("{first}.2"));
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(sorted(ids), sorted(expected));
    assert!(messages.iter().all(|message| message.subject == "pylon.issue_new"));
    assert_eq!(
        (messages[0].body.as_slice(), messages[0].all("X-Receiver-Event-Id")),
        (body(0).as_bytes(), vec![&*first])
    );
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("\"connected to NATS\"") && log.contains("NATS: file"), "{log}");
    assert!(!log.contains("sesame") && !log.contains("async_nats") && !log.contains("X-Pylon-Signature"), "{log}");
}
