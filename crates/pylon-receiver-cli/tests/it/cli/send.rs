//! `send`, against a server that verifies.

use super::process::{SECRET, cli};
use pylon_test_support::http::{Reply, Request, Server, nowhere};
use pylon_webhooks::testing::Sample;
use pylon_webhooks::{EventKind, Verifier};
use serde_json::Value;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Answers 200 to what the core verifies and 401 to everything else.
fn verifying() -> Server {
    let verifier = Verifier::builder().secret(SECRET).build().unwrap();
    Server::start(move |request, _| {
        let headers = request.headers.iter().map(|(name, value)| (name, value));
        match verifier.verify_headers(request.body.as_slice(), headers) {
            Ok(_) => Reply::Answer(200, b"{\"event\": \"1\"}".into()),
            Err(error) => Reply::Answer(401, error.code().into()),
        }
    })
}

fn to(server: &Server) -> [String; 2] {
    ["--to".into(), format!("{}/hook?a=b", server.url)]
}

fn send(server: &Server, arguments: &[&str]) -> super::process::Run {
    let to = to(server);
    cli(&[&["send"], arguments, &[&to[0], &to[1]]].concat())
}

#[test]
fn a_sample_of_every_kind_is_signed_and_verified() {
    for &kind in EventKind::ALL {
        let server = verifying();
        send(&server, &[kind.name()]).run().prints("200 {\"event\": \"1\"}\n");
        let request = server.requests().pop().unwrap();
        assert_eq!(request.body, Sample::of(kind).body());
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/hook?a=b"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("x-pylon-timestamp"), None);
    }
}

#[test]
fn a_timestamp_is_the_present_one_or_the_one_that_was_given() {
    let server = verifying();
    send(&server, &["issue_new", "--timestamp"]).run().prints("200 {\"event\": \"1\"}\n");
    let ran = send(&server, &["issue_new", "--timestamp=1700000000"]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "401 timestamp_stale\n"));
    assert_eq!(ran.stderr, "error: expected 1 request to be answered 2xx, found 0\n");
    assert_eq!(server.requests()[1].header("x-pylon-timestamp"), Some("1700000000"));
}

#[test]
fn a_body_is_sent_byte_for_byte() {
    let body = b"\xff\x00 {\r\n".as_slice();
    let server = verifying();
    send(&server, &["--body", "body.bin"]).file("body.bin", body).run().prints("200 {\"event\": \"1\"}\n");
    send(&server, &["--body", "-"]).input(body).run().prints("200 {\"event\": \"1\"}\n");
    assert!(server.requests().iter().all(|request| request.body == body));
    let missing = send(&server, &["--body", "nowhere"]).run();
    missing.fails(1, "nowhere cannot be read: No such file or directory (os error 2)");
}

#[test]
fn values_and_headers_are_as_they_were_given() {
    let server = verifying();
    let arguments =
        ["issue_new", "--set", "issue_title=a=b \"c\"", "--set", "issue_new_key=", "--header", "X-Tenant=acme"];
    let run =
        send(&server, &[&arguments[..], &["--header-env", "Authorization=TOKEN"]].concat()).env("TOKEN", "Bearer t");
    run.run().prints("200 {\"event\": \"1\"}\n");
    let request = server.requests().pop().unwrap();
    assert_eq!(request.json()["issue_title"], "a=b \"c\"");
    assert_eq!(request.json()["issue_new_key"], "");
    assert_eq!((request.header("x-tenant"), request.header("authorization")), (Some("acme"), Some("Bearer t")));

    let run =
        send(&server, &["issue_new", "--header", "X-Pylon-Signature=forged", "--header", "Content-Type=text/plain"]);
    assert_eq!(run.run().stdout, "401 signature_malformed\n");
    let request = server.requests().pop().unwrap();
    let names = request.headers.iter().filter(|(name, _)| name == "x-pylon-signature" || name == "content-type");
    assert_eq!(names.count(), 2);
}

#[test]
fn forgeries_are_to_be_refused() {
    let server = verifying();
    send(&server, &["issue_new", "--forge", "--count", "2"])
        .without_secret()
        .run()
        .prints("1: 401 signature_mismatch\n2: 401 signature_mismatch\n");
    let credulous = Server::answering(200, "");
    let ran = send(&credulous, &["issue_new", "--forge"]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "200\n"));
    assert_eq!(ran.stderr, "error: expected 1 request to be answered 401, found 0\n");
}

#[test]
fn many_are_different_events_and_are_told_in_sum() {
    let server = verifying();
    send(&server, &["issue_message_new", "--count", "12", "--set", "issue_id=x"])
        .run()
        .prints("12 requests sent\n12 answered 200\n");
    let ids = |key: &str| {
        let id = |request: &Request| request.json()[key].as_str().unwrap().to_owned();
        server.requests().iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(ids("issue_id"), (1..=12).map(|number| format!("x-{number}")).collect::<Vec<_>>());
    assert_eq!(ids("message_id").into_iter().collect::<HashSet<_>>().len(), 12);
}

#[test]
fn many_answers_are_counted_by_their_status() {
    let server = Server::start(|request, _| match request.json()["issue_id"].as_str().unwrap().ends_with("1") {
        true => Reply::status(503),
        false => Reply::status(204),
    });
    let ran = send(&server, &["issue_new", "--count", "11", "--json"]).run();
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "error: expected 11 requests to be answered 2xx, found 9\n"));
    let sum: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = r#"{"sent": 11, "as_expected": 9, "statuses": {"204": 9, "503": 2}, "unanswered": {}}"#;
    assert_eq!(sum, serde_json::from_str::<Value>(expected).unwrap());
}

#[test]
fn few_answers_are_all_in_the_json() {
    let server = Server::answering(201, "made");
    let ran = send(&server, &["issue_new", "--count", "2", "--json"]).run();
    let sum: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected = r#"[{"number": 1, "status": 201, "body": "made"}, {"number": 2, "status": 201, "body": "made"}]"#;
    assert_eq!((ran.code, &sum["answers"]), (0, &serde_json::from_str::<Value>(expected).unwrap()));
}

#[test]
fn a_rate_waits_for_no_answer_and_never_sends_early() {
    // Nobody is answered until all have come: a sender that waited for answers would never end.
    let all = Arc::new(Barrier::new(6));
    let server = Server::start(move |_, _| {
        all.wait();
        Reply::OK
    });
    let begun = Instant::now();
    let ran = send(&server, &["issue_new", "--count", "6", "--rate", "50"]).run();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!(ran.stdout.lines().count(), 6);
}

#[test]
fn nothing_there_ends_with_4_and_a_broken_answer_with_1() {
    let url = nowhere();
    let ran = cli(&["send", "issue_new", "--to", &url]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (4, "no answer: Connection refused (os error 111)\n"));
    assert_eq!(ran.stderr, format!("error: nothing answers at {url}/\n"));

    let ran = cli(&["send", "issue_new", "--to", &url, "--count", "11", "--rate", "1000"]).run();
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (4, "11 requests sent\n11 not answered: Connection refused (os error 111)\n")
    );

    let server = Server::start(|_, _| Reply::Close(""));
    let ran = send(&server, &["issue_new"]).run();
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.starts_with("no answer: "), "{}", ran.stdout);
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = Server::answering(302, "");
    let ran = send(&server, &["issue_new"]).run();
    assert_eq!((ran.code, ran.stdout.as_str(), server.requests().len()), (1, "302\n", 1));
}

#[test]
fn a_secret_or_a_header_that_is_not_there_ends_with_5_and_nothing_is_sent() {
    let server = verifying();
    let not_set = |name| format!("no secret: expected one in environment variable {name}, found it not set; set it");
    send(&server, &["issue_new"]).without_secret().run().fails(5, &not_set("PYLON_WEBHOOK_SECRET"));
    send(&server, &["issue_new", "--header-env", "Authorization=TOKEN"]).run().fails(5, &not_set("TOKEN"));
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_that_speaks_no_tls_is_no_server_that_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 4096]);
    });
    let ran = cli(&["send", "issue_new", "--to", &url]).env("PYLON_WEBHOOK_SECRET", SECRET).run();
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(ran.stdout, "no answer: TLS failed: the server does not speak TLS; use http://\n");
    assert_eq!(ran.stderr, "error: expected 1 request to be answered 2xx, found 0\n");
}
