//! PostgreSQL's errors, by what to do about them.

use crate::ledger::LedgerError;
use deadpool::managed::PoolError;
use std::fmt;
use tokio_postgres::error::SqlState;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The database cannot be reached, or cannot work now. What was asked may have been done.
    Away(Box<str>),
    /// There is no room on the disk of the database.
    Full,
    /// Others had something locked for longer than is waited for it.
    Locked(Box<str>),
    /// The server has no memory for so much in one transaction.
    TooMuch(Box<str>),
    /// Others were in the way: the same again may succeed.
    Again(Box<str>),
    /// The data that was given is at fault.
    Bad(Box<str>),
    /// A search took too long.
    Slow,
    /// The ledger is being closed.
    Closed,
    /// The promise is not kept. What was asked may have been done.
    Unconfirmed(Box<str>),
    /// What is there is no ledger that this program can use.
    Wrong(Box<str>),
    /// Anything else.
    Other(Box<str>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("no room on the disk of the database"),
            Self::Slow => f.write_str("the search took too long"),
            Self::Closed => f.write_str("the ledger is being closed"),
            Self::Away(said)
            | Self::Locked(said)
            | Self::TooMuch(said)
            | Self::Again(said)
            | Self::Bad(said)
            | Self::Unconfirmed(said)
            | Self::Wrong(said)
            | Self::Other(said) => f.write_str(said),
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            // The texts of the driver name what failed and never what was sent. Its I/O errors stand in their sources.
            let mut said = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                let inner_said = inner.to_string();
                if !said.contains(&inner_said) {
                    said = format!("{said}: {inner_said}");
                }
                source = inner.source();
            }
            return match error.is_closed() || error.code().is_none() {
                true => Self::Away(said.into()),
                false => Self::Other(said.into()),
            };
        };
        // Without its details, which quote values.
        let said: Box<str> = format!("{} ({})", database.message(), database.code().code()).into();
        match database.code() {
            code if *code == SqlState::DISK_FULL => Self::Full,
            code if *code == SqlState::LOCK_NOT_AVAILABLE => Self::Locked(said),
            code if *code == SqlState::OUT_OF_MEMORY => Self::TooMuch(said),
            code if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => {
                Self::Again(said)
            }
            code => match &code.code()[..2] {
                "08" | "53" | "58" => Self::Away(said),
                "22" | "23" | "54" => Self::Bad(said),
                _ if is_away(code) => Self::Away(said),
                _ => Self::Other(said),
            },
        }
    }
}

/// Whether the code tells of a server that stops, starts, or is a standby, or of a wait that took too long.
fn is_away(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::QUERY_CANCELED,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ]
    .contains(code)
}

impl From<PoolError<Fault>> for Fault {
    fn from(error: PoolError<Fault>) -> Self {
        match error {
            PoolError::Backend(fault) => fault,
            PoolError::Timeout(_) => Self::Away("no connection was free in time".into()),
            PoolError::Closed => Self::Away("the connections are closed".into()),
            error => Self::Away(error.to_string().into()),
        }
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Away(said) | Fault::Locked(said) | Fault::TooMuch(said) | Fault::Again(said) => {
                Self::Unreachable(said)
            }
            Fault::Full => Self::Full,
            Fault::Slow => Self::Slow,
            Fault::Closed => Self::Closed,
            Fault::Unconfirmed(said) => Self::Unconfirmed(said),
            Fault::Wrong(said) => Self::Unknown(said),
            Fault::Bad(said) | Fault::Other(said) => Self::Failed(said),
        }
    }
}
