//! The client of the admin API: which receiver, filters, ids, lists, orders.

pub(crate) mod client;
pub(crate) mod filters;
pub(crate) mod ids;
pub(crate) mod listing;
pub(crate) mod order;
pub(crate) mod receiver;
