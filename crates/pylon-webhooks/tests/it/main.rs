//! The crate from outside: its vectors, its dispatch, its secrecy, and what holds for any input.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

#[cfg(all(feature = "actix-web", feature = "axum", feature = "testing"))]
mod adapters;
mod arrival;
#[cfg(all(feature = "background", feature = "testing"))]
mod background;
mod config;
mod diagnosis;
mod dispatch;
mod endpoint;
mod fields;
mod properties;
mod replay;
mod secrecy;
mod templates;
#[cfg(feature = "testing")]
mod testing;
mod vectors;
