//! What an error of the ledger means for the event that met it.

use crate::ledger::LedgerError;

/// Whether the ledger is away, so that the event goes to the spool.
///
/// All other errors are the caller's: that the ledger is busy or closed, that its promise is not kept, that it refuses the event.
pub(super) fn is_away(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Unreachable(_) | LedgerError::Full | LedgerError::ReadOnly)
}

/// Whether a ledger that could not be connected to may be there later.
pub(super) fn may_come(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Unreachable(_) | LedgerError::Full)
}

/// Whether the ledger refuses this event and would take another.
pub(super) fn is_of_the_event(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Failed(_))
}
