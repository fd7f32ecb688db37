//! What the tests of several crates share. This crate is never published.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`http`] | a small HTTP server that remembers its requests, and a client of one request |
//! | [`log`] | the lines that a piece of code logs |
//! | [`nats`] | a NATS server with JetStream, and a client of it |
//! | [`requests`] | the table of requests in `vectors/requests.json` |
//! | [`wait`] | waiting for a condition, with a bound |

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "tests that cannot go on say where")]

pub mod http;
pub mod log;
pub mod nats;
pub mod requests;
pub mod wait;
