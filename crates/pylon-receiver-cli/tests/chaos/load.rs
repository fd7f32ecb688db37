//! Senders: each sends signed requests on a connection of its own until the receiver is gone.

use crate::process::SECRET;
use crate::process::http::{Answered, Client};
use pylon_webhooks::Secret;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

/// The path of an endpoint without deduplication of what is sent here.
pub(crate) const PLAIN: &str = "/webhook";
/// The path of an endpoint that takes two events with the same `issue_id` for one.
pub(crate) const BY_POINTER: &str = "/by-pointer";
const SENDERS: u16 = 8;
/// Every so manieth request of a sender goes to [`BY_POINTER`], twice.
const TWICE_EVERY: u64 = 8;
const BODY: &str = include_str!("../../../../benchmarks/bodies/issue_new_small.json");
/// Stands in the body where each request has its own.
const SAMPLE_ID: &str = "5b0c0f0e-1111-4a4a-8b8b-000000000001";

/// The body that has this id, always the same.
pub(crate) fn body(id: &str) -> String {
    BODY.replacen(SAMPLE_ID, id, 1)
}

/// The id in a body that [`body`] may have made.
pub(crate) fn id_in(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    text.split_once("\"issue_id\": \"")?.1.split('"').next()
}

/// What was answered.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// The id in the body, and the id of the event in each answer of 200 to it.
    pub(crate) events: HashMap<String, Vec<String>>,
    /// Those that were sent to [`BY_POINTER`].
    pub(crate) by_pointer: Vec<String>,
    /// How many answers had which status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Answers that are wrong in themselves.
    pub(crate) faults: Vec<String>,
}

impl Acknowledged {
    /// Adds what another sender saw.
    pub(crate) fn extend(&mut self, other: Self) {
        for (id, events) in other.events {
            self.events.entry(id).or_default().extend(events);
        }
        self.by_pointer.extend(other.by_pointer);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.faults.extend(other.faults);
    }

    /// Adds one answer.
    pub(crate) fn add(&mut self, id: &str, answered: Answered) {
        *self.statuses.entry(answered.status).or_default() += 1;
        match (answered.status, answered.event) {
            (200, Some(event)) => self.events.entry(id.to_owned()).or_default().push(event),
            (200, None) => self.faults.push(format!("{id}: expected an event id in an answer of 200, found none")),
            (429 | 503, _) => {}
            (status, _) => self.faults.push(format!("{id}: expected 200, 429 or 503, found {status}")),
        }
    }
}

/// Senders at work.
#[derive(Debug)]
pub(crate) struct Load(Vec<JoinHandle<Acknowledged>>);

impl Load {
    /// Starts them.
    pub(crate) fn start(to: SocketAddr, run: u32, round: u16) -> Self {
        let id = move |sender: u16, number: u64| format!("{run:08x}-{round:04x}-4a4a-{sender:04x}-{number:012x}");
        Self(
            (0..SENDERS)
                .map(|sender| std::thread::spawn(move || send_until_gone(to, |number| id(sender, number))))
                .collect(),
        )
    }

    /// Waits for all of them, which end when the receiver is gone.
    pub(crate) fn end(self) -> Acknowledged {
        let mut all = Acknowledged::default();
        for sender in self.0 {
            all.extend(sender.join().expect("a sender does not panic"));
        }
        all
    }
}

fn send_until_gone(to: SocketAddr, id: impl Fn(u64) -> String) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    // Whatever ends the connection, the receiver is gone: what it had answered until then is what counts.
    let _ = send(to, id, &mut acknowledged);
    acknowledged
}

fn send(to: SocketAddr, id: impl Fn(u64) -> String, acknowledged: &mut Acknowledged) -> io::Result<()> {
    let secret = Secret::new(SECRET).map_err(io::Error::other)?;
    let mut client = Client::connect(to)?;
    for number in 0.. {
        let id = id(number);
        let body = body(&id);
        let is_sent_twice = number % TWICE_EVERY == 0;
        let path = if is_sent_twice { BY_POINTER } else { PLAIN };
        if is_sent_twice {
            acknowledged.by_pointer.push(id.clone());
        }
        for _ in 0..1 + u8::from(is_sent_twice) {
            acknowledged.add(&id, client.post_signed(path, &secret, body.as_bytes())?);
        }
    }
    Ok(())
}
