//! What one ledger gives to another, and how two of these are compared.
//!
//! Moments of the wall clock go as they are. Moments of a ledger's own time go as milliseconds from a moment that belongs to the copy
//! and that each ledger keeps in its own time, so that they are exact however long the copy takes, and whatever the clocks say.

use crate::headers::Headers;
use crate::id::EventId;
use crate::ledger::{AttemptRecord, DeliveryState};
use crate::time::Moment;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// An event with everything that is kept of it. `Debug` shows no body.
#[derive(Clone, PartialEq, Eq)]
pub struct EventCopy {
    /// The event's id.
    pub id: EventId,
    /// The endpoint that received it.
    pub endpoint: Box<str>,
    /// The event's name as it was sent.
    pub name: Box<str>,
    /// The known kind that it is taken for.
    pub kind: Option<Box<str>>,
    /// The request's method.
    pub method: Box<str>,
    /// The request's path.
    pub target: Box<str>,
    /// The request's query, without the `?`.
    pub query: Option<Box<str>>,
    /// Why it cannot be delivered.
    pub parked: Option<Box<str>>,
    /// The request's headers.
    pub headers: Headers,
    /// The body, byte for byte. The ledger that it comes from has kept verified bodies only.
    pub body: Bytes,
    /// Its deliveries, by number.
    pub deliveries: Vec<DeliveryCopy>,
}

/// A delivery with everything that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryCopy {
    /// The number of the delivery, from 1.
    pub number: u32,
    /// The destination's name.
    pub destination: Arc<str>,
    /// Its line.
    pub order_key: Option<Box<str>>,
    /// The state; never [`Delivering`](DeliveryState::Delivering), since nobody serves the ledger.
    pub state: DeliveryState,
    /// Of an unfinished one, its place in the order in which deliveries were made, from 1. Of two in one line, the one with the lower
    /// place goes first.
    pub place: Option<u64>,
    /// Of a waiting one, when it is due, in milliseconds from the moment of the copy; negative: before that.
    pub due: Option<i64>,
    /// How many attempts were made; of a finished one, with its interruptions.
    pub attempts: u32,
    /// How many of them do not count; of a finished one, 0.
    pub uncounted: u32,
    /// How often it was interrupted; of a finished one, 0.
    pub interruptions: u32,
    /// Whether it is a repeat, in the words of the [ledger](crate::ledger::Ledger); of a finished one, false.
    pub is_repeat: bool,
    /// When it was made; none: with its event.
    pub created_at: Option<Moment>,
    /// When it ended; none: it is unfinished.
    pub finished_at: Option<Moment>,
    /// The number of the delivery that it repeats.
    pub redelivery_of: Option<u32>,
    /// Why it is dead, or what its last attempt met.
    pub reason: Option<Box<str>>,
    /// The log of its attempts, by number.
    pub log: Vec<AttemptRecord>,
    /// The code of its last failed attempt.
    pub code: Option<Box<str>>,
}

/// What names a deduplication key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// The endpoint at which it counts.
    pub endpoint: Box<str>,
    /// The key.
    pub key: Box<str>,
}

/// A deduplication key, whether its event is still kept or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCopy {
    /// Which key.
    pub name: KeyName,
    /// The event that has it.
    pub event: EventId,
    /// When it is forgotten, in milliseconds from the moment of the copy; none: with its event.
    pub expires: Option<i64>,
}

/// A refused request. `Debug` shows no body.
#[derive(Clone, PartialEq, Eq)]
pub struct RefusedCopy {
    /// Its number in the ledger that it comes from.
    pub number: u64,
    /// When it was refused.
    pub at: Moment,
    /// The endpoint that refused it.
    pub endpoint: Option<Box<str>>,
    /// The reason as a stable code.
    pub code: Box<str>,
    /// The reason as a sentence.
    pub reason: Box<str>,
    /// The status of the answer.
    pub status: u16,
    /// The request's method.
    pub method: Box<str>,
    /// The request's path.
    pub path: Box<str>,
    /// The address of the sender's connection.
    pub remote: Box<str>,
    /// The request's headers, without credentials.
    pub headers: Headers,
    /// The first bytes of its body.
    pub body: Bytes,
    /// The number of bytes of its body that were read.
    pub body_length: u64,
}

impl EventCopy {
    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let of_answer = |attempt: &AttemptRecord| attempt.answer.as_ref().map_or(0, |answer| answer.bytes.len() + 64);
        let of_log = |attempt: &AttemptRecord| attempt.detail.len() + of_answer(attempt) + 64;
        let of_delivery = |delivery: &DeliveryCopy| delivery.log.iter().map(of_log).sum::<usize>() + 128;
        self.body.len() + self.headers.as_bytes().len() + self.deliveries.iter().map(of_delivery).sum::<usize>() + 256
    }

    /// Adds everything to a hash, so that nothing can change and the hash stay the same.
    pub(super) fn hash_into(&self, hash: &mut Sha256) {
        let mut canonical = Canonical(hash);
        canonical.bytes(self.id.as_bytes());
        for text in [&self.endpoint, &self.name, &self.method, &self.target] {
            canonical.bytes(text.as_bytes());
        }
        for text in [&self.kind, &self.query, &self.parked] {
            canonical.optional(text.as_deref().map(str::as_bytes));
        }
        canonical.bytes(self.headers.as_bytes());
        canonical.bytes(&self.body);
        canonical.number(self.deliveries.len() as u64);
        self.deliveries.iter().for_each(|delivery| delivery.hash_into(&mut canonical));
    }

    /// What of it another ledger has otherwise; none: nothing. Never more of it than names and numbers.
    pub fn difference(&self, found: &Self) -> Option<String> {
        let parts = [
            ("id", self.id == found.id),
            ("endpoint", self.endpoint == found.endpoint),
            ("name", self.name == found.name),
            ("kind", self.kind == found.kind),
            ("method", self.method == found.method),
            ("target", self.target == found.target),
            ("query", self.query == found.query),
            ("parked", self.parked == found.parked),
            ("headers", self.headers.as_bytes() == found.headers.as_bytes()),
            ("body", self.body == found.body),
        ];
        if let Some((part, _)) = parts.iter().find(|(_, is_same)| !is_same) {
            return Some((*part).to_owned());
        }
        let (ours, theirs) = (self.deliveries.len(), found.deliveries.len());
        if ours != theirs {
            return Some(format!("{ours} deliveries, found {theirs}"));
        }
        let mut pairs = self.deliveries.iter().zip(&found.deliveries);
        pairs.find_map(|(ours, theirs)| Some(format!("delivery {}: {}", ours.number, ours.difference(theirs)?)))
    }
}

impl DeliveryCopy {
    fn hash_into(&self, canonical: &mut Canonical<'_>) {
        canonical.number(self.number);
        canonical.bytes(self.destination.as_bytes());
        canonical.optional(self.order_key.as_deref().map(str::as_bytes));
        canonical.bytes(self.state.name().as_bytes());
        canonical.optional_number(self.place);
        canonical.optional_number(self.due);
        for count in [self.attempts, self.uncounted, self.interruptions, self.is_repeat.into()] {
            canonical.number(count);
        }
        for moment in [self.created_at, self.finished_at] {
            canonical.optional_number(moment.map(Moment::unix_milliseconds));
        }
        canonical.optional_number(self.redelivery_of);
        canonical.optional(self.reason.as_deref().map(str::as_bytes));
        canonical.number(self.log.len() as u64);
        for attempt in &self.log {
            canonical.number(attempt.attempt);
            canonical.number(attempt.started_at.unix_milliseconds());
            canonical.number(attempt.took_milliseconds);
            canonical.optional_number(attempt.status);
            canonical.bytes(attempt.detail.as_bytes());
            canonical.optional(attempt.code.as_deref().map(str::as_bytes));
            canonical.optional(attempt.answer.as_ref().map(|answer| answer.bytes.as_ref()));
            if let Some(answer) = &attempt.answer {
                canonical.optional(answer.content_type.as_deref().map(str::as_bytes));
                canonical.number(answer.is_cut);
            }
        }
        canonical.optional(self.code.as_deref().map(str::as_bytes));
    }

    fn difference(&self, found: &Self) -> Option<String> {
        if self.state != found.state {
            return Some(format!("state {}, found {}", self.state, found.state));
        }
        let parts = [
            ("number", self.number == found.number),
            ("destination", self.destination == found.destination),
            ("order key", self.order_key == found.order_key),
            ("place in the order", self.place == found.place),
            ("due time", self.due == found.due),
            ("attempts", (self.attempts, self.uncounted) == (found.attempts, found.uncounted)),
            ("interruptions", self.interruptions == found.interruptions),
            ("whether it is a repeat", self.is_repeat == found.is_repeat),
            ("moment of its making", self.created_at == found.created_at),
            ("moment of its end", self.finished_at == found.finished_at),
            ("redelivery", self.redelivery_of == found.redelivery_of),
            ("reason", self.reason == found.reason),
            ("log of attempts", self.log == found.log),
            ("code", self.code == found.code),
        ];
        parts.iter().find(|(_, is_same)| !is_same).map(|(part, _)| (*part).to_owned())
    }
}

impl KeyCopy {
    pub(super) fn hash_into(&self, hash: &mut Sha256) {
        let mut canonical = Canonical(hash);
        canonical.bytes(self.name.endpoint.as_bytes());
        canonical.bytes(self.name.key.as_bytes());
        canonical.bytes(self.event.as_bytes());
        canonical.optional_number(self.expires);
    }
}

impl RefusedCopy {
    pub(super) fn hash_into(&self, hash: &mut Sha256) {
        let mut canonical = Canonical(hash);
        canonical.number(self.number);
        canonical.number(self.at.unix_milliseconds());
        canonical.optional(self.endpoint.as_deref().map(str::as_bytes));
        for text in [&self.code, &self.reason, &self.method, &self.path, &self.remote] {
            canonical.bytes(text.as_bytes());
        }
        canonical.number(self.status);
        canonical.bytes(self.headers.as_bytes());
        canonical.bytes(&self.body);
        canonical.number(self.body_length);
    }
}

/// Values in a form that no other values have: each with its length in front.
struct Canonical<'h>(&'h mut Sha256);

impl Canonical<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn number(&mut self, number: impl Into<i128>) {
        self.0.update(number.into().to_le_bytes());
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        self.0.update([u8::from(bytes.is_some())]);
        bytes.into_iter().for_each(|bytes| self.bytes(bytes));
    }

    fn optional_number(&mut self, number: Option<impl Into<i128>>) {
        self.0.update([u8::from(number.is_some())]);
        number.into_iter().for_each(|number| self.number(number));
    }
}

impl fmt::Debug for EventCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventCopy")
            .field("id", &self.id)
            .field("endpoint", &self.endpoint)
            .field("name", &self.name)
            .field("headers", &self.headers)
            .field("body_length", &self.body.len())
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefusedCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedCopy")
            .field("number", &self.number)
            .field("code", &self.code)
            .field("headers", &self.headers)
            .field("body_length", &self.body_length)
            .finish_non_exhaustive()
    }
}
