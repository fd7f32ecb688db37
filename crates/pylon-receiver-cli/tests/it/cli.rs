//! The real binary, as a user runs it.

mod codes;
mod completions;
mod demo;
mod help;
mod hostile;
mod ids;
mod ledger;
mod open;
mod orders;
mod pipes;
mod process;
mod send;
mod sign;
mod tables;
