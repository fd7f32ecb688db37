//! How a SQLite ledger works.

use crate::ledger::CommitObserver;
use crate::time::{SystemWallClock, WallClock};
use std::fmt;
use std::sync::Arc;

/// How a [`SqliteLedger`](super::SqliteLedger) works.
#[derive(Clone)]
pub struct SqliteOptions {
    /// How many jobs may wait to be committed.
    pub queue: usize,
    /// How many refused requests are kept.
    pub refused: usize,
    /// The wall clock behind the ledger's time.
    pub clock: Arc<dyn WallClock>,
    /// Hears of commits.
    pub observer: Option<Arc<dyn CommitObserver>>,
    /// How many events come together into the index that finds them by their terms. A search reads the bodies of up to as many that are
    /// not in it yet.
    pub indexed_together: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { queue: 4096, refused: 1000, clock: Arc::new(SystemWallClock), observer: None, indexed_together: 1024 }
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("queue", &self.queue)
            .field("refused", &self.refused)
            .field("indexed_together", &self.indexed_together)
            .finish_non_exhaustive()
    }
}
