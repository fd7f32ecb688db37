//! SQLite's errors in the ledger's words.

use crate::ledger::LedgerError;
use rusqlite::{Error, ErrorCode};
use std::sync::{Arc, OnceLock};

impl From<Error> for LedgerError {
    fn from(error: Error) -> Self {
        // SQLite's own texts name files and tables and never what stands in them.
        let said = || error.to_string().into();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(said()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse(said()),
            Some(ErrorCode::OperationInterrupted) => Self::Slow,
            _ => Self::Failed(said()),
        }
    }
}

/// Whether the fault lies with the file or its disk, so that every other piece of work would meet it too.
pub(super) fn is_of_the_file(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::NotADatabase
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
        )
    )
}

/// Whether something that is stored is damaged; the rest may be sound.
pub(super) fn is_damage(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// What was found damaged, once something was: a file does not heal, and a commit that meets the sound part of it proves nothing.
#[derive(Clone, Default)]
pub(super) struct Damage(Arc<OnceLock<LedgerError>>);

impl Damage {
    /// Remembers the error, if it tells of damage.
    pub(super) fn note(&self, error: &Error) {
        if let Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) = error.sqlite_error_code() {
            self.0.get_or_init(|| LedgerError::Damaged(error.to_string().into()));
        }
    }

    /// What was found first.
    pub(super) fn found(&self) -> Result<(), LedgerError> {
        self.0.get().cloned().map_or(Ok(()), Err)
    }
}
