//! Who is delivered when: backoff, circuit, rate, and the courier that goes by them, with a ledger on disk and a clock that
//! stands still until it is moved.

mod backoff;
mod circuit;
mod courier;
mod rate;
