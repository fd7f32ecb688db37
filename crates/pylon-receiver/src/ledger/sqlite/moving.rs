//! Where the ledger was moved to, and what is being copied into it: whether it may be used.

use crate::ledger::LedgerError;
use crate::time::Moment;
use rusqlite::{Connection, OptionalExtension};

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To serve it.
    Serve,
    /// To copy it into another ledger.
    CopyFrom,
    /// To copy another ledger into it.
    CopyInto,
}

/// Refuses a ledger that is not in use. One that is being copied and is used again forgets the copy.
pub(super) fn check(connection: &Connection, purpose: Purpose) -> Result<(), LedgerError> {
    if purpose != Purpose::CopyFrom {
        not_moved(connection)?;
    }
    if purpose != Purpose::CopyInto {
        no_copy_into_it(connection)?;
    }
    if purpose != Purpose::Serve {
        no_spool(connection)?;
    }
    Ok(())
}

fn no_spool(connection: &Connection) -> Result<(), LedgerError> {
    match connection.query_row("SELECT is_spool FROM ledger", [], |row| row.get(0))? {
        true => Err(LedgerError::Moved(
            "it is the spool of a receiver, which hands its events over to the receiver's ledger; start that receiver, and move the ledger \
             that its `ledger` names"
                .into(),
        )),
        false => Ok(()),
    }
}

fn not_moved(connection: &Connection) -> Result<(), LedgerError> {
    let moving: Option<(String, Option<Moment>)> = connection
        .query_row("SELECT target_name, moved_at_ms FROM moving", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match moving {
        Some((to, Some(at))) => Err(LedgerError::Moved(
            format!(
                "it was moved to {to} at {at}; use that ledger, or, if that one is lost, `pylon-receiver migrate-ledger --give-up` makes \
                 this one usable again"
            )
            .into(),
        )),
        Some((to, None)) => {
            tracing::warn!(to, "the ledger is used again: an unfinished copy of it is worthless, and would begin anew");
            connection.execute("DELETE FROM moving", [])?;
            Ok(())
        }
        None => Ok(()),
    }
}

fn no_copy_into_it(connection: &Connection) -> Result<(), LedgerError> {
    let from: Option<String> =
        connection.query_row("SELECT source_name FROM copies WHERE state < 2", [], |row| row.get(0)).optional()?;
    from.map_or(Ok(()), |from| {
        Err(LedgerError::Moved(
            format!(
                "the copy of {from} into it has not ended; run `pylon-receiver migrate-ledger` again with the same ledgers, or give the \
                 copy up with `--give-up`"
            )
            .into(),
        ))
    })
}
