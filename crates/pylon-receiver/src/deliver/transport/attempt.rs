//! One attempt to deliver an event.

use crate::headers::Headers;
use crate::id::{DeliveryId, EventId};
use crate::time::Moment;
use bytes::Bytes;
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
    /// The event's kind: a known kind's name, else the name as it was sent, else empty.
    pub kind: Box<str>,
    /// The request's headers.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The number of the delivery that this one repeats on an operator's order.
    pub redelivery_of: Option<u32>,
}

impl Attempt {
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
            .field("kind", &self.kind)
            .field("headers", &self.headers)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("redelivery_of", &self.redelivery_of)
            .finish()
    }
}
