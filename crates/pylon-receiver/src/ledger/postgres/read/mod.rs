//! What is listed, searched and counted.
//!
//! A list goes through a part of its rows at a time, in the order of their ids, each part in a statement of its own: a long look would keep
//! the database from cleaning up behind the couriers.

mod bodies;
pub(super) mod bounded;
mod candidates;
mod deliveries;
mod event;
mod events;
mod groups;
mod range;
mod refused;
mod search;
mod stats;

pub(super) use deliveries::deliveries;
pub(super) use event::event;
pub(super) use events::{events, search};
pub(super) use groups::dead_groups;
pub(super) use refused::refused;
pub(super) use stats::stats;
