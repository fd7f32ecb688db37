//! Who is delivered when: backoff, circuit, rate, and the courier that goes by them, with a ledger on disk and a clock that
//! stands still until it is moved.

mod ahead;
mod backoff;
mod circuit;
mod courier;
mod first;
mod pause;
mod rate;
mod stage;
