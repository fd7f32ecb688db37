//! The command from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod cli;
mod serve;
mod telemetry;
mod trace;
