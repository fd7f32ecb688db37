//! The ledger as one that another is copied into. Receivers serve it meanwhile.
//!
//! What is put lies in tables of its own, where nothing that a receiver does looks for events or deliveries, until the copy is let go.
//! Deduplication keys alone count at once.

mod begun;
mod discard;
mod events;
mod kept;
mod keys;
mod lines;
mod loose;
mod number;
mod refused;
mod release;
mod target;
