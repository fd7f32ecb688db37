//! The errors of a ledger.

use std::fmt;

/// Why a ledger did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerError {
    /// Too much waits to be committed.
    Busy,
    /// It was closed.
    Closed,
    /// There is no room left.
    Full,
    /// It may be read only.
    ReadOnly,
    /// It cannot be reached, or does not answer; the text says what was found.
    Unreachable(Box<str>),
    /// It does not keep the promise that its configuration makes: no standby confirms what is committed; the text says what was
    /// found. What was to be kept may be on one disk.
    Unconfirmed(Box<str>),
    /// What is stored is damaged; the text says what was found.
    Damaged(Box<str>),
    /// Its files were moved, deleted, replaced or written by somebody else while they were open; the text says what was found.
    Displaced(Box<str>),
    /// Another process uses it.
    InUse(Box<str>),
    /// It is no ledger, or one of another version; the text says which.
    Unknown(Box<str>),
    /// It is not in use: it was moved to another ledger, or a move into it has not ended; the text says which, and what to do.
    Moved(Box<str>),
    /// A search took too long.
    Slow,
    /// Anything else; the text is the store's own.
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
            Self::Unreachable(_) => "unreachable",
            Self::Unconfirmed(_) => "unconfirmed",
            Self::Damaged(_) => "damaged",
            Self::Displaced(_) => "displaced",
            Self::InUse(_) => "in_use",
            Self::Unknown(_) => "unknown",
            Self::Moved(_) => "moved",
            Self::Slow => "slow",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the ledger is busy: too much waits to be committed; try again"),
            Self::Closed => f.write_str("the ledger is closed: the receiver is shutting down"),
            Self::Full => f.write_str("the ledger is full: expected room for more, found none; make room where it is stored"),
            Self::ReadOnly => f.write_str(
                "the ledger is read-only: expected to write, found that this is not allowed; let the receiver write where the ledger is stored",
            ),
            Self::Unreachable(found) => {
                write!(f, "the ledger cannot be reached: {found}; check that it runs, and that the address, the user and the password are right")
            }
            Self::Unconfirmed(found) => {
                write!(f, "the ledger does not keep its promise: {found}; bring the standby back, or promise less")
            }
            Self::Damaged(found) => write!(
                f,
                "the ledger is damaged: {found}; stop the receiver, keep a copy of the ledger, and restore a backup or start with a new one"
            ),
            Self::Displaced(found) => write!(
                f,
                "the ledger's files have changed: {found}; save what is open with `pylon-receiver backup FILE`, stop the receiver, put the right files in place, and start it"
            ),
            Self::InUse(by) => {
                write!(f, "the ledger is in use: {by}; stop the other process or give this one a ledger of its own")
            }
            Self::Unknown(found) => write!(f, "not a ledger of this version: {found}"),
            Self::Moved(found) => write!(f, "the ledger is not in use: {found}"),
            Self::Slow => f.write_str(
                "the search took too long: it goes through the bodies of all events that its other conditions leave; narrow it, for instance with since and until",
            ),
            Self::Failed(said) => write!(f, "the ledger failed: {said}"),
        }
    }
}

impl std::error::Error for LedgerError {}
