//! How a ledger on PostgreSQL works.

use crate::ledger::CommitObserver;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a [`PostgresLedger`](super::PostgresLedger) works.
#[derive(Clone)]
pub struct PostgresOptions {
    /// How many events may wait to be committed.
    pub queue: usize,
    /// How many refused requests are kept.
    pub refused: usize,
    /// How long the database may take to answer: an event's commit, or an exchange.
    pub answer_within: Duration,
    /// Hears of commits.
    pub observer: Option<Arc<dyn CommitObserver>>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { queue: 4096, refused: 1000, answer_within: Duration::from_secs(5), observer: None }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("queue", &self.queue)
            .field("refused", &self.refused)
            .field("answer_within", &self.answer_within)
            .finish_non_exhaustive()
    }
}
