//! The crate from outside: its vectors, its dispatch, its secrecy, and what holds for any input.

mod config;
mod dispatch;
mod fields;
mod log;
mod properties;
mod secrecy;
mod vectors;
