//! The receiver from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod accept;
mod activity;
mod admin;
mod certificates;
mod config;
mod deliver;
mod ledger;
mod loops;
mod metrics;
#[cfg(feature = "postgres")]
mod postgres;
mod preflight;
mod receiver;
mod roles;
mod spool;
mod sqlite;
mod transports;
mod ui;
mod wait;
