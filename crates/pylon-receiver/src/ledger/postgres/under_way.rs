//! How many commits of events are under way.

use tokio::sync::watch;

/// Counts the commits that are under way, for all writers of a ledger.
#[derive(Debug, Clone, Default)]
pub(super) struct Commits(watch::Sender<usize>);

/// A commit that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Commits);

impl Commits {
    /// One more is under way.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.0.send_modify(|count| *count += 1);
        UnderWay(self)
    }

    /// Waits until none is under way.
    pub(super) async fn over(&self) {
        // The sender is here: it does not end meanwhile.
        let _ = self.0.subscribe().wait_for(|&count| count == 0).await;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
