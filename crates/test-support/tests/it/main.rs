//! What the tests of several crates stand on holds itself.

mod postgres;
mod programs;
