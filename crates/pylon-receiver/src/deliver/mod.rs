//! From the ledger to a destination: who goes when, how, and what comes of it.

mod circuit;
mod courier;
mod retry;
mod transport;

pub use circuit::{Circuit, CircuitState};
pub use courier::{Courier, CourierParts, Step};
pub use retry::{Backoff, Failure};
pub use transport::{
    Attempt, Delivered, DeliveredEvent, HandlerFuture, Handlers, Report, Transport, TransportFuture, handlers_of,
    transport,
};
