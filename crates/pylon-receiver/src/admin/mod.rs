//! The admin API: operators, their commands and their tools read and order over HTTP.

mod access;
mod answer;
mod backup;
mod event;
mod fields;
mod gauges;
mod health;
mod lists;
mod negotiation;
mod offline;
mod orders;
mod parts;
mod reassign;
mod routes;
mod selection;
mod stats;
mod turns;

pub use access::Access;
pub(crate) use health::Health;
pub use offline::OfflineAdmin;
pub use orders::ORDER_LIMIT;
pub use parts::{AdminParts, Running, RunningDestination};
pub use routes::router;
