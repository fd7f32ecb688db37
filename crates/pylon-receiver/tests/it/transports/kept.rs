//! What is kept of the answers to failed attempts, as apps give them.

use super::http::to;
use super::server::{Act, Server, answer, answer_and_close, answer_and_hang};
use super::*;
use pylon_receiver::internals::Delivered;
use pylon_receiver::ledger::AttemptAnswer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn said(content_type: Option<&str>, bytes: &[u8], is_cut: bool) -> Option<AttemptAnswer> {
    Some(AttemptAnswer::beginning(content_type.map(str::as_bytes), bytes, is_cut))
}

/// An answer of 500 with these headers and this body.
fn failure(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 500 Oops\n{headers}content-length: {}\n\n", body.len()).replace('\n', "\r\n");
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn the_beginning_of_a_failures_answer_is_kept_as_it_came() {
    let html = b"<!doctype html><h1>Oops</h1><script>alert(1)</script>";
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x00";
    let binary = b"\x00\x01\xff\x1b[31m\x07";
    let long = "é".repeat(40_000);
    let json = r#"{"error": "no such customer"}"#;
    let chunks = "2\n{}\n3\n[1]\n0\n\n";
    let cases: Vec<(Act, Option<AttemptAnswer>)> = vec![
        (
            Act::Answer(failure("content-type: application/json\n", json.as_bytes())),
            said(Some("application/json"), json.as_bytes(), false),
        ),
        (Act::Answer(failure("content-type: text/html\n", html)), said(Some("text/html"), html, false)),
        (
            Act::Answer(failure("content-type: text/html\ncontent-encoding: gzip\n", gzip)),
            said(Some("text/html"), gzip, false),
        ),
        (Act::Answer(failure("", binary)), said(None, binary, false)),
        (Act::Answer(failure("content-type: \n", b"x")), said(Some(""), b"x", false)),
        (Act::Answer(failure("", &[b'x'; AttemptAnswer::MOST])), said(None, &[b'x'; AttemptAnswer::MOST], false)),
        (Act::Answer(failure("", &[b'x'; AttemptAnswer::MOST + 1])), said(None, &[b'x'; AttemptAnswer::MOST], true)),
        (Act::Answer(failure("", long.as_bytes())), said(None, &long.as_bytes()[..AttemptAnswer::MOST], true)),
        (answer("HTTP/1.1 500 Oops\ncontent-length: 0\n\n"), None),
        (answer("HTTP/1.1 304 Not Modified\n\n"), None),
        (answer(&format!("HTTP/1.1 422 What\ntransfer-encoding: chunked\n\n{chunks}")), said(None, b"{}[1]", false)),
        (answer_and_close("HTTP/1.1 500 Oops\n\nuntil the end"), said(None, b"until the end", false)),
        (answer_and_close("HTTP/1.1 500 Oops\ncontent-length: 100\n\nhalf"), said(None, b"half", true)),
        (answer_and_close("HTTP/1.1 500 Oops\ntransfer-encoding: chunked\n\n2\nok\nnonsense"), said(None, b"ok", true)),
        // A success is not kept.
        (answer("HTTP/1.1 200 OK\ncontent-length: 2\n\nok"), None),
    ];
    for (act, expected) in cases {
        let server = Server::start([act.clone()]).await;
        let report = deliver(to(&server.url()), PATIENCE, &attempt()).await;
        assert_eq!(report.answer.as_ref().map(|answer| &answer.bytes), expected.as_ref().map(|answer| &answer.bytes));
        assert_eq!(report.answer, expected, "{act:?}");
        assert!(!report.detail.contains("customer") && !report.cause.contains("customer"), "{report:?}");
        // Neither does `Debug` show it.
        let shown = format!("{report:?}");
        assert!(!["customer", "Oops", "half"].iter().any(|said| shown.contains(said)), "{shown}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_holds_nobody_up() {
    for (sent, expected) in [
        ("HTTP/1.1 500 Oops\ncontent-length: 9\n\n", None),
        ("HTTP/1.1 503 Oops\ncontent-length: 9\n\nhalf", said(None, b"half", true)),
    ] {
        let server = Server::start([answer_and_hang(sent)]).await;
        let began = Instant::now();
        let report = deliver(to(&server.url()), Duration::from_secs(600), &attempt()).await;
        assert_eq!(report.answer, expected, "{sent}");
        assert!(matches!(report.status, Some(500 | 503)) && report.delivered != Delivered::Yes, "{report:?}");
        assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
        // The time of the attempt ends it before that.
        let server = Server::start([answer_and_hang(sent)]).await;
        let report = deliver(to(&server.url()), Duration::from_millis(900), &attempt()).await;
        assert_eq!((report.answer, report.code), (expected, Code::Http(report.status.unwrap() as u16)), "{sent}");
    }
}

/// A byte now and then, for ever: no more is kept than has come within a second.
#[tokio::test]
async fn an_answer_that_drips_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let dripping = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 500 Oops\r\n\r\n").await.unwrap();
        while stream.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let attempt = attempt();
    let (report, ()) = tokio::join!(deliver(to(&url), PATIENCE, &attempt), within("the server ends", dripping));
    let answer = report.answer.expect("something came");
    assert!(answer.is_cut && answer.bytes.iter().all(|&byte| byte == b'.'), "{answer:?}");
    assert!((1..100).contains(&answer.bytes.len()), "{answer:?}");
}

#[tokio::test]
async fn a_destination_may_keep_no_answers() {
    let server = Server::start([answer("HTTP/1.1 500 Oops\ncontent-length: 4\n\nsaid")]).await;
    let config = destination(to(&server.url()), PATIENCE).keep_answer(false);
    let transport = transport(&config, None).unwrap();
    let report = within("the attempt ends", transport.deliver(&attempt())).await;
    assert_eq!((report.answer, report.code), (None, Code::Http(500)));
}

/// Nothing is read of it, so it does not wait for what never comes.
#[tokio::test]
async fn a_destination_that_keeps_no_answers_waits_for_none() {
    let server = Server::start([answer_and_hang("HTTP/1.1 500 Oops\ncontent-length: 4\n\n")]).await;
    let config = destination(to(&server.url()), PATIENCE).keep_answer(false);
    let transport = transport(&config, None).unwrap();
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let report = transport.deliver(&attempt()).await;
    assert_eq!(report.status, Some(500));
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_end_of_a_commands_standard_error_is_kept_where_a_line_does_not_say_it() {
    let shell = |script: &str| {
        TransportConfig::Command(pylon_receiver::config::CommandTransport::new(["/bin/sh", "-c", script]))
    };
    let trace = "Traceback (most recent call last):\n  File \"sync.py\", line 4\nKeyError: 'customer'\n";
    let print_long = "i=0; while [ $i -lt 400 ]; do echo 'a line of ten' >&2; i=$((i+1)); done; echo last >&2; exit 1";
    let long = format!("{}last\n", "a line of ten\n".repeat(400));
    for (script, expected) in [
        ("echo lost; exit 3".to_owned(), None),
        ("echo 'one line' >&2; exit 3".to_owned(), None),
        ("echo 'eine Zeile für sich' >&2; exit 3".to_owned(), None),
        ("printf 'a\\tline\\033[31m' >&2; exit 3".to_owned(), Some(AttemptAnswer::end(b"a\tline\x1b[31m", false))),
        (format!("cat >&2 <<'END'\n{trace}END\nexit 1"), Some(AttemptAnswer::end(trace.as_bytes(), false))),
        (print_long.to_owned(), Some(AttemptAnswer::end(long.as_bytes(), true))),
        (format!("cat >&2 <<'END'\n{trace}END\nexit 0"), None),
    ] {
        let report = deliver(shell(&script), PATIENCE, &attempt()).await;
        assert_eq!(report.answer, expected, "{script}");
        assert!(report.answer.is_none_or(|answer| answer.bytes.len() <= AttemptAnswer::MOST));
    }
    let config = destination(shell("printf 'first\\nlast' >&2; exit 3"), PATIENCE).keep_answer(false);
    let report = within("it ends", transport(&config, None).unwrap().deliver(&attempt())).await;
    assert_eq!((&*report.detail, report.answer, report.code), ("exit code 3: last", None, Code::Exit(3)));
}
