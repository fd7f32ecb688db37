//! How the ledger behind a spool is reached.

use crate::ledger::{Ledger, LedgerError, LedgerFuture};
use std::sync::Arc;

/// Connects to the ledger behind a spool. Any function that returns a future of a ledger does.
pub trait Connect: Send + Sync + 'static {
    /// One try. From then on, the ledger itself connects again where a connection is lost.
    ///
    /// # Errors
    /// [`LedgerError::Unreachable`] or [`LedgerError::Full`] if another try may succeed; any other error if the ledger cannot be used.
    fn connect(&self) -> LedgerFuture<'_, Arc<dyn Ledger>>;
}

impl<C, F> Connect for C
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Arc<dyn Ledger>, LedgerError>> + Send + 'static,
{
    fn connect(&self) -> LedgerFuture<'_, Arc<dyn Ledger>> {
        Box::pin(self())
    }
}
