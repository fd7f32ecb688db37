//! What standard output may be: a pipe whose reader goes away, as `head` does, or a terminal.

use super::process::cli;
use super::tables::EVENT;
use pylon_test_support::http::{Reply, Server};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn a_list_without_end_stops_quietly_when_its_reader_goes() {
    let page = AtomicU64::new(0);
    let server = Server::start(move |_, _| {
        let event = json!({
            "id": EVENT, "received_at": "2026-11-23T08:00:00Z", "endpoint": "webhook", "name": "Issue.New", "kind": "issue_new",
            "state": "pending", "body_length": 1, "deliveries": 1,
        });
        let next = format!("019aaf3c-9f10-7aa0-8000-{:012}", page.fetch_add(1, Ordering::SeqCst));
        Reply::Answer(200, json!({"events": vec![event; 200], "next": next}).to_string().into())
    });
    for arguments in [&["events", "list", "--all"][..], &["events", "list", "--all", "--json"]] {
        let (mut process, _folder) = cli(&[arguments, &["--admin-url", &server.url]].concat()).start();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        // The pipe is closed now: the process ends by itself.
        let mut said = String::new();
        process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((process.wait().unwrap().code(), said.as_str()), (Some(0), ""));
    }
}

#[test]
fn completions_into_a_closed_pipe_end_quietly() {
    let (mut process, _folder) = cli(&["completions", "bash"]).start();
    drop(process.stdout.take());
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((process.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_body_goes_into_a_pipe_and_not_to_a_terminal() {
    let server = Server::answering(200, "\u{1b}[2J");
    let show = ["events", "show", EVENT, "--body", "--admin-url", &server.url];
    cli(&show).run().prints("\u{1b}[2J");
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let no_control = rustix::fs::OFlags::NOCTTY.bits() as i32;
    let screen = OpenOptions::new().read(true).write(true).custom_flags(no_control).open(name).unwrap();
    cli(&show).run_into(screen).fails(
        2,
        "expected standard output to be a file or a pipe for --body, found a terminal; redirect it (`> body.json`)",
    );
    assert_eq!(server.requests().len(), 1);
}
