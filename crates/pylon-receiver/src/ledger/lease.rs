//! The right to attempt a delivery.

use crate::headers::Headers;
use crate::id::DeliveryId;
use crate::random::Randomness;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A receiver that holds leases: random, so that no two processes are the same owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner([u8; 16]);

impl Owner {
    /// A new owner.
    pub fn random(randomness: &dyn Randomness) -> Self {
        let mut bytes = [0; 16];
        randomness.fill(&mut bytes);
        Self(bytes)
    }

    /// The sixteen bytes, to store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The right to attempt a delivery once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The fencing token: no two leases have the same.
    pub token: u128,
}

/// A delivery to attempt. `Debug` shows the length of its body only.
#[derive(Clone)]
pub struct LeasedDelivery {
    /// The right to attempt it.
    pub lease: Lease,
    /// The number of this attempt, from 1; every interruption before it has a number too.
    pub attempt: u32,
    /// How many attempts count before this one: all that were settled as such, and every interruption but the first.
    pub counted: u32,
    /// Whether it is a repeat, in the words of the [ledger](super::Ledger).
    pub is_repeat: bool,
    /// Whether it was interrupted before.
    pub is_suspect: bool,
    /// The endpoint that received the event.
    pub endpoint: Arc<str>,
    /// The event's name as it was sent; empty if there is none.
    pub name: Box<str>,
    /// The known kind that the event is taken for.
    pub kind: Option<Box<str>>,
    /// The request's method.
    pub method: Box<str>,
    /// The request's path.
    pub target: Box<str>,
    /// The request's query, without the `?`.
    pub query: Option<Box<str>>,
    /// The request's headers.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The number of the delivery that this one repeats on an operator's order.
    pub redelivery_of: Option<u32>,
    /// How long ago the delivery was made: on arrival, or on redelivery.
    pub age: Duration,
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({:032x})", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for LeasedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedDelivery")
            .field("lease", &self.lease)
            .field("attempt", &self.attempt)
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("headers", &self.headers)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}
