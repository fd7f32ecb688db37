//! Every way in which a ledger can fail.

use std::fmt;

/// Why a ledger did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerError {
    /// More waits to be committed than fits.
    Busy,
    /// It has been closed.
    Closed,
    /// There is no room left.
    Full,
    /// It may be read and not written.
    ReadOnly,
    /// What is stored is damaged; the text says what was found.
    Damaged(Box<str>),
    /// It is in use by another process.
    InUse(Box<str>),
    /// It is no ledger, or one of another version; the text says which.
    Unknown(Box<str>),
    /// Anything else; the text says what the store said.
    Failed(Box<str>),
}

impl LedgerError {
    /// A stable name of the variant, for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Closed => "closed",
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Damaged(_) => "damaged",
            Self::InUse(_) => "in_use",
            Self::Unknown(_) => "unknown",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the ledger is busy: more waits to be committed than fits; try again"),
            Self::Closed => f.write_str("the ledger is closed: the receiver is shutting down"),
            Self::Full => f.write_str("the ledger is full: expected room on its disk, found none; make room"),
            Self::ReadOnly => f.write_str(
                "the ledger is read-only: expected to write to its file and folder, found that this is not allowed",
            ),
            Self::Damaged(found) => write!(
                f,
                "the ledger is damaged: {found}; stop the receiver, keep a copy of the file, and restore a backup or start with a new file"
            ),
            Self::InUse(by) => {
                write!(f, "the ledger is in use: {by}; stop the other process or give this one a ledger of its own")
            }
            Self::Unknown(found) => write!(f, "not a ledger of this version: {found}"),
            Self::Failed(said) => write!(f, "the ledger failed: {said}"),
        }
    }
}

impl std::error::Error for LedgerError {}
