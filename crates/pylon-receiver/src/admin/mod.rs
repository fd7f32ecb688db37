//! The admin API: operators, their commands and their tools read and order over HTTP.

mod answer;
mod backup;
mod carrying;
mod event;
mod fields;
mod gauges;
mod health;
mod let_in;
mod lists;
mod negotiation;
mod offline;
mod openapi;
mod order_list;
mod order_tasks;
mod orders;
mod parts;
mod reassign;
mod routes;
mod selection;
mod stats;
mod turns;

pub(crate) use answer::Refusal;
pub(crate) use carrying::{OrderedBy, random_key};
pub(crate) use fields::Fields;
pub(crate) use health::Health;
pub(crate) use lists::{complete_event_filter, list_deliveries, list_events, list_refused};
pub use offline::OfflineAdmin;
pub(crate) use order_list::{cancel_order, find_order, list_orders};
pub use order_tasks::OrderTasks;
pub use orders::ORDER_LIMIT;
pub(crate) use orders::{order_dead, order_events};
pub use parts::{AdminParts, Running, RunningDestination};
pub(crate) use routes::router;
pub(crate) use stats::stats_of;
