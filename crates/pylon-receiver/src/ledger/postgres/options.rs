//! How a ledger on PostgreSQL works.

use crate::ledger::CommitObserver;
use crate::promise::Promise;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Reads the password for a new connection, or says why there is none.
pub type ReadPassword = Arc<dyn Fn() -> Result<Zeroizing<Vec<u8>>, Box<str>> + Send + Sync>;

/// How a [`PostgresLedger`](super::PostgresLedger) works.
#[derive(Clone)]
pub struct PostgresOptions {
    /// How many events may wait to be committed.
    pub queue: usize,
    /// How many refused requests are kept.
    pub refused: usize,
    /// How long an event may wait for its commit to be answered. An exchange may take three times as long.
    pub answer_within: Duration,
    /// How many events come together into the index that finds them by their terms. A search reads the bodies of up to as many that are
    /// not in it yet.
    pub indexed_together: usize,
    /// How long bodies may be searched for one page of a list.
    pub search_within: Duration,
    /// Between two looks at what there is to clean up.
    pub clean_up_every: Duration,
    /// How long another program may keep PostgreSQL from cleaning up before the log tells.
    pub hold_up: Duration,
    /// Hears of commits.
    pub observer: Option<Arc<dyn CommitObserver>>,
    /// Reads the password, anew for each connection; none: that of the address.
    pub password: Option<ReadPassword>,
    /// What an answer of 200 promises: what the database does not keep is not recorded. None: nobody looks.
    pub promise: Option<Promise>,
    /// Whether the tables are made, or brought to this version; otherwise they must be there.
    pub makes_tables: bool,
}

impl PostgresOptions {
    /// How long the database may take for an exchange: nobody waits for it but deliveries, and one that is given up is asked for again.
    pub(super) fn exchange_within(&self) -> Duration {
        self.answer_within.saturating_mul(3)
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            queue: 4096,
            refused: 1000,
            answer_within: Duration::from_secs(5),
            indexed_together: 1024,
            search_within: Duration::from_secs(30),
            clean_up_every: Duration::from_secs(3),
            hold_up: Duration::from_secs(600),
            observer: None,
            password: None,
            promise: None,
            makes_tables: true,
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("queue", &self.queue)
            .field("refused", &self.refused)
            .field("answer_within", &self.answer_within)
            .field("indexed_together", &self.indexed_together)
            .field("search_within", &self.search_within)
            .field("clean_up_every", &self.clean_up_every)
            .field("hold_up", &self.hold_up)
            .field("promise", &self.promise)
            .field("makes_tables", &self.makes_tables)
            .finish_non_exhaustive()
    }
}
