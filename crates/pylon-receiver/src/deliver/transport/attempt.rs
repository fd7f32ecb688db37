//! One attempt to deliver an event.

use crate::headers::Headers;
use crate::id::{DeliveryId, EventId};
use crate::ledger::LeasedDelivery;
use crate::time::Moment;
use bytes::Bytes;
use pylon_webhooks::EventKind;
use std::fmt;
use std::sync::Arc;

/// An event on its way to a destination. `Debug` shows the body's size only.
#[derive(Clone)]
pub struct Attempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The number of this attempt, from 1.
    pub number: u32,
    /// The moment at which the attempt begins.
    pub started_at: Moment,
    /// The endpoint that received the event.
    pub endpoint: Arc<str>,
    /// The event's name as it was sent; empty if there is none.
    pub name: Box<str>,
    /// The known kind that the event is taken for.
    pub kind: Option<EventKind>,
    /// The request's query, without the `?`.
    pub query: Option<Box<str>>,
    /// The request's headers.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The number of the delivery that this one repeats on an operator's order.
    pub redelivery_of: Option<u32>,
}

impl Attempt {
    /// An attempt to deliver what was leased. It begins now.
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
