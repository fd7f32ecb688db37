//! What the receiver itself lacks is no failure of a destination.

use super::*;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

#[test]
fn without_a_free_file_descriptor_no_delivery_loses_an_attempt() {
    // No connection stays open, so that each delivery needs a descriptor; one delivery in five seconds.
    let destination =
        Destination::start(|_, _| Reply::Close("HTTP/1.1 200 -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let once = "rate = 0.2\n[destination.retry]\nattempts = 1\n";
    let named = destination.url.replace("127.0.0.1", "localhost");
    let scene = Scene::new(&format!(
        "[[destination]]\nname = \"by-address\"\nurl = \"{}\"\n{once}\
         [[destination]]\nname = \"by-name\"\nurl = \"{named}\"\n{once}\
         [[destination]]\nname = \"script\"\ncommand = [\"cat\"]\n{once}\
         [[destination]]\nname = \"archive\"\njsonl = \"{{}}/events.jsonl\"\n{once}",
        destination.url
    ));
    let running = scene.start();
    let first = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&first), ["delivered"; 4]);
    let second = running.webhook(&body(2)).id();
    let usual = getrlimit(Resource::Nofile);
    let limit = |current| prlimit(Some(running.pid()), Resource::Nofile, Rlimit { current, ..usual }).unwrap();
    // Those that are open stay open.
    limit(Some(3));
    for name in ["by-address", "by-name", "script", "archive"] {
        running.logs(&["\"ERROR\"", "no file descriptor is free: raise the limit", &format!("\"{name}\"")]);
    }
    limit(usual.current);
    assert_eq!(running.ended(&second), ["delivered"; 4]);
    for delivery in running.event(&second)["deliveries"].as_array().unwrap() {
        assert_eq!((&delivery["attempts"], delivery["log"].as_array().unwrap().len()), (&1.into(), 1), "{delivery}");
    }
    let log = running.log();
    for name in ["by-address", "by-name", "script", "archive"] {
        let told = |line: &&str| line.contains("no file descriptor is free") && line.contains(&format!("\"{name}\""));
        assert_eq!(log.lines().filter(told).count(), 1, "one line for all of it: {log}");
    }
    assert!(!log.contains("not delivered") && !log.contains("the destination is down"), "{log}");
}
