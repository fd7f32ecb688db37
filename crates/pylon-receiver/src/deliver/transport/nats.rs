//! Delivers as a message to JetStream of a NATS server.
//!
//! A delivery counts once JetStream has acknowledged that a stream has the message. The message is the body, byte for byte, and these
//! headers. NATS tells upper from lower case, so names are written as here, and the original ones in the same way:
//!
//! | header | value |
//! | --- | --- |
//! | `Nats-Msg-Id` | the event's id; from the second delivery of the event on, the delivery's id |
//! | `X-Receiver-*` | as in an HTTP delivery |
//! | the original headers | those that an HTTP delivery has, without credentials and without what NATS takes for orders (`Nats-*`) |
//!
//! JetStream drops a message whose id its stream has seen within the stream's window, two minutes unless configured. So an attempt
//! after a lost acknowledgement stores nothing twice. A redelivery is another delivery with another id, and so is the delivery of
//! the same event to another destination that publishes into the same stream: both are stored.
//!
//! Once a message has been handed to the connection it cannot be called back: at the time-out, or when the future is dropped, it may
//! be stored all the same. The next attempt has the same id.

use super::attempt::Attempt;
use super::code::Code;
use super::contract::{Transport, TransportFuture};
use super::fault::TransportFault;
use super::line::fit;
use super::nats_connection::{Connection, Connections, Unanswered};
use super::outgoing::of_event;
use super::report::Report;
use crate::config::{NatsTransport, SubjectTemplate};
use crate::headers::{PYLON_PREFIX, is_credential};
use crate::id::DeliveryId;
use crate::text::{quoted, show_duration};
use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// The header by which JetStream knows a message again.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The prefix of headers that JetStream takes for orders, in lower case.
const ORDERS: &str = "nats-";

/// One destination at NATS.
pub(super) struct Nats {
    subject: SubjectTemplate,
    timeout: Duration,
    connections: Connections,
}

impl Nats {
    /// Reads the secrets and the files; connects to nobody yet.
    ///
    /// # Errors
    /// [`TransportFault`]
    pub(super) fn new(
        destination: &Arc<str>,
        config: &NatsTransport,
        timeout: Duration,
    ) -> Result<Self, TransportFault> {
        let connections = Connections::new(destination, config, timeout)?;
        Ok(Self { subject: config.subject.clone(), timeout, connections })
    }

    /// Publishes, and waits for the acknowledgement. `used` is the connection, once there is one.
    async fn publish(&self, attempt: &Attempt, used: &mut Option<Arc<Connection>>) -> Report {
        let connection = match self.connections.get().await {
            Ok(connection) => used.insert(connection),
            Err(report) => return report,
        };
        let subject = self.subject.subject(attempt.kind, &attempt.endpoint, &attempt.name);
        match connection.ask(&subject, headers(attempt), attempt.body.clone()).await {
            Ok(answer) => report(&answer, &subject),
            Err(unanswered) => not_stored(unanswered, &subject, attempt.body.len()),
        }
    }

    /// The time is over.
    fn late(&self, used: Option<&Arc<Connection>>) -> Report {
        self.connections.give_up(used);
        let what = if used.is_some() { "acknowledgement" } else { "connection" };
        Report::failed(Code::TIMEOUT, None, format!("no {what} within {}", show_duration(self.timeout)))
    }
}

impl Transport for Nats {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let mut used = None;
            let in_time = tokio::time::timeout(self.timeout, self.publish(attempt, &mut used)).await;
            in_time.unwrap_or_else(|_| self.late(used.as_ref()))
        })
    }
}

/// The headers of the message.
fn headers(attempt: &Attempt) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &of_event(attempt) {
        let (name, value) = (name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        // Pylon's own signature goes along, as in an HTTP delivery: it is of use to nobody who has not the same body anyway.
        let is_secret = is_credential(name) && !name.starts_with(PYLON_PREFIX);
        // nats-server 2.9 takes a message for one without an id if the name of this header stands anywhere before it.
        let hides_id = spelled(name).contains(MESSAGE_ID) || value.contains(MESSAGE_ID);
        if is_secret || name.starts_with(ORDERS) || hides_id {
            continue;
        }
        if let (Ok(name), Ok(value)) = (spelled(name).parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.append(name, value);
        }
    }
    headers.insert(MESSAGE_ID, message_id(attempt.delivery));
    headers
}

/// The same on every attempt, and another one for each delivery of the event.
fn message_id(delivery: DeliveryId) -> String {
    if delivery.number == 1 { delivery.event.to_string() } else { delivery.to_string() }
}

/// The name of a header with capitals, as people write it.
fn spelled(name: &str) -> String {
    let mut is_first = true;
    let spell = |character: char| {
        let spelled = if is_first { character.to_ascii_uppercase() } else { character };
        is_first = character == '-';
        spelled
    };
    name.chars().map(spell).collect()
}

/// What JetStream answers to a message.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refusal>,
}

/// Why JetStream does not store a message.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// The report of an answer. The name of a stream is the server's word, so it goes into the ledger alone.
fn report(answer: &[u8], subject: &str) -> Report {
    match serde_json::from_slice(answer) {
        Ok(Answer { error: Some(refusal), .. }) => refusal.report(subject),
        Ok(Answer { stream, seq, duplicate, .. }) if !stream.is_empty() && seq > 0 => {
            let (sentence, detail) = if duplicate {
                ("a duplicate: not stored again", format!("a duplicate of message {seq} of stream"))
            } else {
                ("stored", format!("stored as message {seq} of stream"))
            };
            Report::delivered(None, sentence).with_detail(format!("{detail} {}", fit(&stream)))
        }
        _ => Report::refused(
            Code::NOT_NATS,
            None,
            format!("expected an acknowledgement of JetStream on subject {}, found another answer", quoted(subject)),
        ),
    }
}

impl Refusal {
    fn report(&self, subject: &str) -> Report {
        let Self { code, err_code, description } = self;
        let full =
            |key: &str| Report::busy(Code::NO_ROOM, None, format!("the stream is full: it has reached its `{key}`"));
        match (err_code, description.as_str()) {
            (10077, "maximum messages exceeded") => full("max_msgs"),
            (10077, "maximum bytes exceeded") => full("max_bytes"),
            (10077, "maximum messages per subject exceeded") => {
                let subject = quoted(subject);
                let sentence =
                    format!("the stream is full for subject {subject}: it has reached `max_msgs_per_subject`");
                Report::refused(Code::NO_ROOM, None, sentence)
            }
            (10054, _) => Report::refused(
                Code::TOO_LARGE,
                None,
                "the message is larger than the stream takes: raise its `max_msg_size`",
            ),
            (10002 | 10023 | 10028 | 10047, _) => self.told(Report::busy, Code::NO_ROOM, "JetStream has no room left"),
            _ if *code == 503 => self.told(Report::failed, Code::UNAVAILABLE, "JetStream is not available"),
            _ => self.told(Report::refused, Code::NOT_STORED, "JetStream does not store the message"),
        }
    }

    /// The sentence with the number of the error, and in the ledger with the server's own words.
    fn told(&self, report: impl FnOnce(Code, Option<i32>, String) -> Report, code: Code, sentence: &str) -> Report {
        let sentence = format!("{sentence} (error {})", self.err_code);
        let said = fit(&self.description);
        let detail = if said.is_empty() { sentence.clone() } else { format!("{sentence}: {said}") };
        report(code, None, sentence).with_detail(detail)
    }
}

/// The report of a message to which JetStream answered nothing.
fn not_stored(unanswered: Unanswered, subject: &str, length: usize) -> Report {
    let subject = quoted(subject);
    match unanswered {
        Unanswered::NoStream { has_jetstream: true } => Report::refused(
            Code::NO_STREAM,
            None,
            format!("no stream takes subject {subject}: add it to the `subjects` of a stream"),
        ),
        Unanswered::NoStream { has_jetstream: false } => Report::refused(
            Code::NO_STREAM,
            None,
            format!("no stream takes subject {subject}: JetStream is not enabled on the server that is connected"),
        ),
        Unanswered::TooLarge { most } => Report::refused(
            Code::TOO_LARGE,
            None,
            format!(
                "the body of {length} bytes and the headers are larger than the server takes, {most} bytes: raise its `max_payload`"
            ),
        ),
        Unanswered::Denied => Report::refused(
            Code::DENIED,
            None,
            format!("the server does not allow this user to publish to subject {subject}"),
        ),
        Unanswered::NoReplies => Report::failed(
            Code::DENIED,
            None,
            "the server does not allow this user to subscribe to `_INBOX.>`, where acknowledgements arrive",
        ),
        Unanswered::BrokeOff => {
            Report::failed(Code::CLOSED, None, "the connection broke off before the acknowledgement")
        }
    }
}
