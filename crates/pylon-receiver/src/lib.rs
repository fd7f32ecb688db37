//! Stands in front of an app and loses no Pylon webhook.

#![forbid(unsafe_code)]

pub mod accept;
pub mod admin;
pub mod config;
pub mod deliver;
mod headers;
mod id;
pub mod ledger;
mod metrics;
mod random;
mod receiver;
pub mod text;
mod time;
pub mod traces;

pub use deliver::{DeliveredEvent, handlers_of};
pub use headers::Headers;
pub use id::{DeliveryId, EventId};
pub use metrics::Metrics;
pub use random::{Randomness, SystemRandomness};
pub use receiver::{Preflight, Receiver, ReceiverBuilder, ReloadFault, StartFault};
pub use time::{Clock, Moment, SystemClock};
