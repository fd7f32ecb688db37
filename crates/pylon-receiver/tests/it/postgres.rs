//! The ledger on PostgreSQL, beyond the contract: what several sessions do to each other, and what it costs.

mod chores;
mod lists;
mod orders;
mod plans;
mod refused;
mod retention;
mod stage;
