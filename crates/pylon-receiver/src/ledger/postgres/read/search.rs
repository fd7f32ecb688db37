//! How far a list looks at a time, and for how long.

use super::super::database::Database;
use super::super::error::Fault;
use std::time::Instant;

/// Rows of one look at most.
const MOST: i64 = 4096;
/// Rows of the first look, where not all match.
const FIRST: i64 = 256;

/// A look at some of the rows after the other, each twice as far as the one before.
pub(super) struct Looks {
    until: Instant,
    rows: i64,
}

impl Looks {
    /// Begins with as many rows as are asked for, and more if not all match.
    pub(super) fn new(database: &Database, limit: u32, all_match: bool) -> Self {
        let least = if all_match { 1 } else { FIRST };
        Self { until: Instant::now() + database.options.search_within, rows: i64::from(limit).clamp(least, MOST) }
    }

    /// How many rows to look at now.
    pub(super) fn rows(&self) -> i64 {
        self.rows
    }

    /// Goes on to the next look.
    pub(super) fn go_on(&mut self, database: &Database) -> Result<(), Fault> {
        self.rows = (2 * self.rows).min(MOST);
        self.check(database)
    }

    /// Whether there is time to go on.
    pub(super) fn check(&self, database: &Database) -> Result<(), Fault> {
        if database.is_closing() {
            return Err(Fault::Closed);
        }
        if Instant::now() >= self.until { Err(Fault::Slow) } else { Ok(()) }
    }
}
