//! An event that waits for its commit.

use crate::ledger::{LedgerError, NewEvent, Recorded};
use tokio::sync::oneshot;

/// An event and who waits for its answer.
pub(super) struct Waiting {
    pub(super) event: NewEvent,
    pub(super) reply: oneshot::Sender<Result<Recorded, LedgerError>>,
}
