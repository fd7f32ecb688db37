//! The admin API, through its real router.

mod access;
mod backup;
mod bounds;
pub(crate) mod fake;
mod health;
mod openapi;
mod orders;
mod reads;
mod refusals;
mod socket;
mod wire;
