//! From the ledger to a destination: when an attempt is made, how, and what its outcome means.

mod address;
mod circuit;
mod courier;
mod destination;
mod pace;
mod retry;
mod share;
mod transport;
mod work;

pub(crate) use address::address;
pub use circuit::{Admitted, Circuit, CircuitState, Role};
pub use courier::Courier;
pub use destination::CourierParts;
pub use retry::{Backoff, Failure};
pub(crate) use transport::examine_json_lines;
pub use transport::{
    Attempt, Delivered, DeliveredEvent, HandlerFuture, Handlers, Report, Shortage, Transport, TransportFault,
    TransportFuture, dial, handlers_of, transport,
};
pub use work::Work;
