//! One attempt to deliver, what a transport reports of it, and what a transport is.

use crate::headers::Headers;
use crate::id::{DeliveryId, EventId};
use crate::ledger::LeasedDelivery;
use crate::time::Moment;
use bytes::Bytes;
use pylon_webhooks::EventKind;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What a transport reports, as a future.
pub type TransportFuture<'a> = Pin<Box<dyn Future<Output = Report> + Send + 'a>>;

/// One way to a destination.
pub trait Transport: Send + Sync + 'static {
    /// Tries to deliver. It ends by itself within the destination's time-out. Whoever drops the future breaks the attempt off,
    /// and whatever it had started ends with it.
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a>;
}

/// What is delivered, and as what. `Debug` shows the body's size alone.
#[derive(Clone)]
pub struct Attempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Which attempt this is, from 1.
    pub number: u32,
    /// The moment at which it begins.
    pub started_at: Moment,
    /// The endpoint at which the event came in.
    pub endpoint: Arc<str>,
    /// The event's name as it was sent; empty if there is none.
    pub name: Box<str>,
    /// The known kind that the event is taken for.
    pub kind: Option<EventKind>,
    /// The query of the request with which the event came in, without the `?`.
    pub query: Option<Box<str>>,
    /// The headers with which it came in.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Which delivery of the event this one repeats on an operator's request.
    pub redelivery_of: Option<u32>,
}

impl Attempt {
    /// An attempt to deliver what was leased, which begins now.
    pub fn new(leased: LeasedDelivery, now: Moment) -> Self {
        Self {
            delivery: leased.lease.delivery,
            number: leased.attempt,
            started_at: now,
            endpoint: leased.endpoint,
            kind: leased.kind.as_deref().and_then(EventKind::from_name),
            name: leased.name,
            query: leased.query,
            headers: leased.headers,
            body: leased.body,
            redelivery_of: leased.redelivery_of,
        }
    }

    /// The event.
    pub fn event(&self) -> EventId {
        self.delivery.event
    }

    /// The name of the known kind that the event is taken for, else the name as it was sent.
    pub fn kind_or_name(&self) -> &str {
        self.kind.map_or(&self.name, |kind| kind.name())
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("delivery", &self.delivery)
            .field("number", &self.number)
            .field("started_at", &self.started_at)
            .field("endpoint", &self.endpoint)
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("headers", &self.headers)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("redelivery_of", &self.redelivery_of)
            .finish()
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether it arrived.
    pub delivered: Delivered,
    /// The HTTP status, or the command's exit code.
    pub status: Option<i32>,
    /// What happened, in one sentence without a full stop; never a body or a secret.
    pub detail: Box<str>,
    /// How long the destination asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Whether an attempt arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It did.
    Yes,
    /// It did not, as far as can be known.
    No,
}

impl Report {
    /// It arrived.
    pub fn delivered(status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        Self { delivered: Delivered::Yes, status, detail: detail.into(), retry_after: None }
    }

    /// It did not.
    pub fn failed(status: Option<i32>, detail: impl Into<Box<str>>) -> Self {
        Self { delivered: Delivered::No, status, detail: detail.into(), retry_after: None }
    }
}
