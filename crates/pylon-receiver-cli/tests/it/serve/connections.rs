//! Senders that are slow, or dead.

use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn senders_that_say_nothing_hold_nobody_up_for_longer_than_they_may() {
    let scene = Scene::new("[limits]\nconnections = 4\nheader_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n");
    let running = scene.start();
    let mut held: Vec<_> = (0..4).map(|_| TcpStream::connect(running.webhooks).unwrap()).collect();
    // One says nothing, one half a head, one no body, one all but the end of a body.
    for (stream, said) in held.iter_mut().zip([
        "",
        "POST /web",
        "POST /webhook HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
        "POST /webhook HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ]) {
        stream.write_all(said.as_bytes()).unwrap();
    }
    // It waits in the queue of the operating system until there is a place.
    running.webhook(&body(1)).id();
    for mut stream in held {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert_eq!(running.unmet(), [""; 0]);
    assert_eq!(scene.kept().len(), 1);
}

#[test]
fn operators_are_answered_while_senders_take_every_connection() {
    let scene = Scene::new("[limits]\nconnections = 2\n");
    let running = scene.start();
    let _held: Vec<_> = (0..8).map(|_| TcpStream::connect(running.webhooks).unwrap()).collect();
    assert_eq!(running.get("/livez").status, 200);
    assert_eq!(running.unmet(), [""; 0]);
}
