//! What `serve` tells of its work: lines on standard error, and traces for a collector.

mod serve;
#[cfg(feature = "otlp")]
mod spans;

use serve::{Serve, signed};
use std::time::Duration;

const BODY: &str = r#"{"event_type":"issue_new","issue_title":"words-of-a-customer"}"#;

#[cfg(not(feature = "otlp"))]
#[test]
fn traces_need_a_build_with_their_feature() {
    let (code, lines) = Serve::start("traces = \"http://127.0.0.1:4318/v1/traces\"\n", &[]).ended();
    let sentence = "`traces`: expected a build with the feature `otlp`, found one without; build with --features otlp";
    assert_eq!((code, lines), (Some(5), vec![format!("error: {sentence}")]));
}

#[test]
fn a_level_that_is_none_is_refused() {
    let (code, lines) = Serve::start("", &[("PYLON_RECEIVER_LOG", "pylon_receiver=loud")]).ended();
    let sentence = "PYLON_RECEIVER_LOG: expected a level such as info, found something else";
    assert_eq!((code, lines), (Some(5), vec![format!("error: {sentence}")]));
}

#[test]
fn every_line_of_the_log_is_written_before_the_process_ends() {
    const REQUESTS: usize = 300;
    for (format, first, last) in [("text", "listening", "stopped"), ("json", "\"listening\"", "\"stopped\"")] {
        let mut serve = Serve::start(&format!("log = \"{format}\"\n"), &[]);
        let mut connection = serve.connect();
        for _ in 0..REQUESTS {
            assert_eq!(connection.ask(&signed(BODY)).0, 200);
        }
        let (code, lines) = serve.stop();
        assert_eq!(code, Some(0));
        // A new ledger, and that there is no destination, are told before.
        assert!(lines.iter().take(3).any(|line| line.contains(first)), "{:?}", &lines[..3]);
        assert!(lines.last().unwrap().contains(last), "{:?}", lines.last());
        assert_eq!(lines.iter().filter(|line| line.contains("a webhook was accepted")).count(), REQUESTS, "{format}");
    }
}

fn of_long_kind() -> String {
    format!(r#"{{"event_type": "{}"}}"#, "x".repeat(300))
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_webhook() {
    // The pipe takes 64 KiB, and each line has the 200 characters of its kind that are shown.
    const REQUESTS: usize = 1500;
    let mut serve = Serve::start("", &[]);
    serve.leave_the_log();
    let mut connection = serve.connect();
    for _ in 0..REQUESTS {
        assert_eq!(connection.ask(&signed(&of_long_kind())).0, 200);
    }
    let (code, lines) = serve.stop();
    assert_eq!(code, Some(0));
    assert_eq!(lines.iter().filter(|line| line.contains("a webhook was accepted")).count(), REQUESTS);
}

#[test]
fn a_log_that_is_never_read_holds_up_the_end_for_seconds_only() {
    let mut serve = Serve::start("", &[]);
    serve.leave_the_log();
    let mut connection = serve.connect();
    for _ in 0..500 {
        assert_eq!(connection.ask(&signed(&of_long_kind())).0, 200);
    }
    drop(connection);
    let took = serve.stop_unread();
    assert!(took < Duration::from_secs(15), "{took:?}");
}
