//! The ways to a destination, each to a real one: a server on loopback, a command, a file, handlers.

mod answers;
mod command;
mod connections;
mod dial;
mod handlers;
mod http;
mod json_lines;
mod kept;
#[cfg(feature = "nats")]
mod nats;
mod proxy;
pub(crate) mod secure;
mod server;
mod shortage;
mod signing;
mod tls;
mod trust;
mod unix;

use crate::wait::{LONGEST, within};
use ::http::{HeaderMap, HeaderName, HeaderValue};
use pylon_receiver::config::{DestinationConfig, TransportConfig};
use pylon_receiver::internals::{Code, Report, transport};
use pylon_receiver::{Attempt, DeliveryId, EventId, Headers, Moment};
use pylon_webhooks::EventKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// 2023-11-14T22:13:20Z.
const NOW: Moment = Moment::from_unix_milliseconds(1_700_000_000_000);
const EVENT: &str = "018bcfe5-6800-7707-8707-070707070707";
const BODY: &str = r#"{"event_type": "issue_new", "issue_title": "Export fails"}"#;
/// The time-out of an attempt that does not need it; a wait in vain takes longer.
const PATIENCE: Duration = Duration::from_secs(15);
/// For what hangs.
const BRIEF: Duration = Duration::from_millis(200);

fn attempt() -> Attempt {
    Attempt {
        delivery: DeliveryId { event: EventId::new(NOW, [7; 10]), number: 2 },
        number: 3,
        started_at: NOW.after(Duration::from_secs(60)),
        endpoint: "webhook".into(),
        name: "Issue.New".into(),
        kind: Some(EventKind::IssueNew),
        query: None,
        headers: headers(&[("content-type", "application/json")]),
        body: BODY.into(),
        redelivery_of: None,
    }
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    Headers::from(&map)
}

fn destination(transport: TransportConfig, timeout: Duration) -> DestinationConfig {
    DestinationConfig::new("app", transport).timeout(timeout)
}

async fn deliver(transport: TransportConfig, timeout: Duration, attempt: &Attempt) -> Report {
    let transport = self::transport(&destination(transport, timeout), None).unwrap();
    within("the attempt ends", transport.deliver(attempt)).await
}

/// What is reported of an answer that is no success.
fn answered(status: i32, detail: &str) -> Report {
    let code = match status {
        200..=299 => Code::CUT_OFF,
        _ => Code::Http(status as u16),
    };
    match status {
        429 => Report::busy(code, Some(status), detail),
        502..=504 => Report::failed(code, Some(status), detail),
        _ => Report::refused(code, Some(status), detail),
    }
}

/// Waits until it holds, in steps.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LONGEST, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that is neither gone nor dead and unburied.
fn is_alive(process: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.trim()).join("stat"));
    status.is_ok_and(|status| !status.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[test]
fn an_attempt_shows_neither_body_nor_values_of_headers() {
    let attempt = Attempt { headers: headers(&[("x-token", "sesame")]), ..attempt() };
    let shown = format!("{attempt:?}");
    assert!(shown.contains(r#"headers: ["x-token"], body: 58 bytes"#), "{shown}");
    assert!(!shown.contains("sesame") && !shown.contains("Export"), "{shown}");
}
