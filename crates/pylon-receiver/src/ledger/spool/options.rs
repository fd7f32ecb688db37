//! How a spool works, and who hears of its commits.

use crate::ledger::CommitObserver;
use crate::time::{SystemWallClock, WallClock};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a [`SpooledLedger`](super::SpooledLedger) works.
#[derive(Clone)]
pub struct SpoolOptions {
    /// How much the events in the spool may take, in bytes.
    pub size: u64,
    /// How many events may wait to be committed into the spool.
    pub queue: usize,
    /// How long the ledger may take to answer, until an event goes to the spool.
    pub answer: Duration,
    /// The pause after the first try to reach the ledger that failed; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause between two tries.
    pub longest_pause: Duration,
    /// How often what waits is told in the log, and refused events are handed over again.
    pub reminder: Duration,
    /// The wall clock behind the spool's time.
    pub clock: Arc<dyn WallClock>,
    /// Hears of commits into the spool.
    pub observer: Option<Arc<dyn CommitObserver>>,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            size: 1 << 30,
            queue: 4096,
            answer: Duration::from_secs(5),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(2),
            reminder: Duration::from_secs(60),
            clock: Arc::new(SystemWallClock),
            observer: None,
        }
    }
}

impl fmt::Debug for SpoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolOptions").field("size", &self.size).field("answer", &self.answer).finish_non_exhaustive()
    }
}
