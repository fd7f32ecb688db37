//! Who hears of commits.

use std::time::Duration;

/// Hears of commits, for metrics.
pub trait CommitObserver: Send + Sync + 'static {
    /// This many jobs were committed together, in this time.
    fn committed(&self, jobs: usize, took: Duration);
    /// A commit failed.
    fn failed(&self);
}
