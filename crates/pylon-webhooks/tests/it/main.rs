//! The crate from outside: its vectors, its dispatch, its secrecy, and what holds for any input.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod config;
mod dispatch;
mod fields;
mod log;
mod properties;
mod secrecy;
mod vectors;
