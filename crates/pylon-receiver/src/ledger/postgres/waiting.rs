//! An event that waits for its commit.

use crate::ledger::{LedgerError, NewEvent, Recorded};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// An event and who waits for its answer.
pub(super) struct Waiting {
    /// When its time for an answer is over.
    pub(super) until: Instant,
    pub(super) event: NewEvent,
    pub(super) reply: oneshot::Sender<Result<Recorded, LedgerError>>,
}
