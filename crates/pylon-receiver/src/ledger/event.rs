//! Events to keep, and where they go.

use crate::headers::Headers;
use crate::id::EventId;
use pylon_webhooks::{Payload, Verified};
use std::sync::Arc;
use std::time::Duration;

/// An event to keep. Its body can only be one that was verified.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event's id, which holds the moment of its arrival.
    pub id: EventId,
    /// The endpoint that received it.
    pub endpoint: Arc<str>,
    /// The event's name as it was sent; empty if there is none.
    pub name: Box<str>,
    /// The known kind that the event is taken for; none: no known kind.
    pub kind: Option<Box<str>>,
    /// The request's method.
    pub method: Box<str>,
    /// The request's path.
    pub target: Box<str>,
    /// The request's query, without the `?`; none: there was no `?`.
    pub query: Option<Box<str>>,
    /// The request's headers, without credentials.
    pub headers: Headers,
    /// The ids that the event had at the receivers that passed it on, the last one at the end.
    pub passed: Vec<EventId>,
    /// The body, byte for byte.
    pub body: Verified<Payload<'static>>,
    /// Why the event was accepted but cannot be delivered: for instance, it is not JSON.
    pub parked: Option<Box<str>>,
    /// What makes it a duplicate of another event.
    pub deduplication: Option<DeduplicationKey>,
    /// Where it goes.
    pub deliveries: Vec<NewDelivery>,
}

/// Two events of one endpoint with the same key are the same event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeduplicationKey {
    /// The key: 64 hexadecimal digits.
    pub key: Box<str>,
    /// How long the key is remembered from now, even if its event is pruned before; none: as long as its event is kept.
    pub lasts: Option<Duration>,
}

/// A delivery to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The destination's name. A later change of the configuration does not change it.
    pub destination: Arc<str>,
    /// Deliveries to one destination that share this key are made one after the other.
    pub order_key: Option<Box<str>>,
}

/// The answer to an event that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The event is kept.
    Stored,
    /// An event with the same deduplication key was kept before: this one.
    Duplicate(EventId),
    /// The event has passed this ledger already, as this one: it goes in a circle.
    Looped(EventId),
}
