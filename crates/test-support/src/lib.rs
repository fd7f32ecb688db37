//! What the tests of several crates share. This crate is never published.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`folder`] | a temporary folder that goes with the process, however that ends |
//! | [`http`] | a small HTTP server that remembers its requests, and a client of one request |
//! | [`log`] | the lines that a piece of code logs |
//! | [`nats`] | a NATS server with JetStream, and a client of it |
//! | [`postgres`] | a PostgreSQL of the tests' own |
//! | [`process`] | other programs, which end with this process and are waited for with a bound |
//! | [`programs`] | where other programs are, and what is said where they are missing |
//! | [`proxy`] | a proxy for TCP that a test can cut, or have swallow what passes |
//! | [`requests`] | the table of requests in `vectors/requests.json` |
//! | [`wait`] | waiting for a condition, with a bound |

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "tests that cannot go on say where")]

pub mod folder;
pub mod http;
pub mod log;
pub mod nats;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod requests;
pub mod wait;
