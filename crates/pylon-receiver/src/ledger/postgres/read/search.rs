//! How far a list looks at a time, and for how long.

use super::super::database::Database;
use super::super::error::Fault;
use std::time::{Duration, Instant};

/// Rows of one look at most.
const MOST: i64 = 4096;
/// Rows of the first look, where not all match.
const FIRST: i64 = 256;

/// A look at some of the rows after the other, each twice as far as the one before.
pub(super) struct Looks {
    until: Instant,
    rows: i64,
    /// The first one is taken to its end, so that a search that goes on comes to its end too.
    is_first: bool,
}

impl Looks {
    /// Begins with as many rows as are asked for, and more if not all match.
    pub(super) fn new(within: Duration, limit: u32, all_match: bool) -> Self {
        let least = if all_match { 1 } else { FIRST };
        Self { until: Instant::now() + within, rows: i64::from(limit).clamp(least, MOST), is_first: true }
    }

    /// How many rows to look at now.
    pub(super) fn rows(&self) -> i64 {
        self.rows
    }

    /// Goes on to the next look.
    pub(super) fn go_on(&mut self) {
        self.rows = (2 * self.rows).min(MOST);
        self.is_first = false;
    }

    /// Whether there is time to go on.
    pub(super) fn check(&self, database: &Database) -> Result<(), Fault> {
        if database.is_closing() {
            return Err(Fault::Closed);
        }
        if !self.is_first && Instant::now() >= self.until { Err(Fault::Slow) } else { Ok(()) }
    }
}
