//! The admin API: operators, their commands and their tools read and order over HTTP.

mod answer;
mod backup;
mod event;
mod fields;
mod gauges;
mod health;
mod let_in;
mod lists;
mod negotiation;
mod offline;
mod openapi;
mod orders;
mod parts;
mod reassign;
mod routes;
mod selection;
mod stats;
mod turns;

pub(crate) use answer::Refusal;
pub(crate) use fields::Fields;
pub(crate) use health::Health;
pub(crate) use lists::{complete_event_filter, list_deliveries, list_events, list_refused};
pub use offline::OfflineAdmin;
pub use orders::ORDER_LIMIT;
pub(crate) use orders::redeliver_events_of;
pub use parts::{AdminParts, Running, RunningDestination};
pub(crate) use routes::router;
pub(crate) use stats::stats_of;
