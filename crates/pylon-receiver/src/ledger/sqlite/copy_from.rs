//! The ledger as one that is copied.

use super::clock::Tick;
use super::copied::{EVENT, Origin, REFUSED, place};
use super::ledger::{SqliteLedger, exists};
use super::moving::Purpose;
use super::options::SqliteOptions;
use super::transaction::Transaction;
use crate::id::EventId;
use crate::ledger::copy::{
    CopyId, CopyPlace, CopySource, CopyTotals, EventCopy, Held, Holding, KeyCopy, KeyName, LedgerId, RefusedCopy,
};
use crate::ledger::{LedgerError, LedgerFuture};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// Events in a page at most, and the bytes after which no further one is in it.
const MOST_EVENTS: usize = 256;
const MOST_BYTES: usize = 8 << 20;
/// Deduplication keys, and refused requests, in a page at most.
const MOST_KEYS: usize = 1024;
const MOST_REFUSED: usize = 128;

/// Opens a file that exists, to copy it into another ledger: also one that was moved. Leases of a process that ended count as
/// interruptions.
///
/// # Errors
/// As [`SqliteLedger::open`]; [`LedgerError::Moved`] while a copy into it has not ended.
pub fn open_to_copy_from(path: impl AsRef<Path>, options: SqliteOptions) -> Result<SqliteLedger, LedgerError> {
    let path = path.as_ref();
    exists(path)?;
    SqliteLedger::open_for(Purpose::CopyFrom, path, options)
}

impl CopySource for SqliteLedger {
    fn source_place(&self) -> LedgerFuture<'_, CopyPlace> {
        let path = self.path().to_owned();
        self.read(move |connection| place(connection, &path))
    }

    fn hold(&self, target: CopyPlace) -> LedgerFuture<'_, Holding> {
        self.write(target, hold)
    }

    fn key_page(&self, after: Option<KeyName>) -> LedgerFuture<'_, Vec<KeyCopy>> {
        self.read(move |connection| key_page(connection, after))
    }

    fn event_page(&self, after: Option<EventId>) -> LedgerFuture<'_, Vec<EventCopy>> {
        self.read(move |connection| event_page(connection, after))
    }

    fn refused_page(&self, after: Option<u64>) -> LedgerFuture<'_, Vec<RefusedCopy>> {
        self.read(move |connection| refused_page(connection, after))
    }

    fn mark_moved(&self, copy: CopyId, summary: Box<str>) -> LedgerFuture<'_, ()> {
        self.write((copy, summary), mark_moved)
    }

    fn unmark(&self) -> LedgerFuture<'_, Option<Box<str>>> {
        self.write((), unmark)
    }
}

/// What the ledger has written down of its move.
struct Moving {
    copy: CopyId,
    target: LedgerId,
    name: Box<str>,
    since: Tick,
    summary: Option<Box<str>>,
}

fn moving(connection: &Connection) -> rusqlite::Result<Option<Moving>> {
    connection
        .prepare_cached("SELECT copy, target, target_name, since_ms, summary FROM moving")?
        .query_row([], |row| {
            Ok(Moving {
                copy: row.get(0)?,
                target: row.get(1)?,
                name: row.get(2)?,
                since: row.get(3)?,
                summary: row.get(4)?,
            })
        })
        .optional()
}

/// Its places are its own numbers.
fn origin(connection: &Connection) -> rusqlite::Result<Origin> {
    let since = connection.prepare_cached("SELECT since_ms FROM moving")?.query_row([], |row| row.get(0))?;
    Ok(Origin { since, deliveries_before: 0, refused_before: 0 })
}

fn hold(transaction: &mut Transaction<'_>, target: &CopyPlace) -> rusqlite::Result<Holding> {
    let connection = transaction.connection;
    let now = transaction.now.tick;
    let kept = match moving(connection)? {
        Some(Moving { target: to, name, summary: Some(_), .. }) if to != target.id => {
            return Ok(Holding::MovedElsewhere(name));
        }
        Some(kept) if kept.target == target.id => kept,
        _ => {
            let (copy, name) = (CopyId::random(), target.name.clone());
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO moving (id, copy, target, target_name, since_ms) VALUES (1, ?1, ?2, ?3, ?4)",
                )?
                .execute(params![copy, target.id, name, now])?;
            Moving { copy, target: target.id, name, since: now, summary: None }
        }
    };
    let (events, refused) = connection
        .prepare_cached("SELECT events, refused FROM ledger WHERE id = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let keys = connection
        .prepare_cached("SELECT count(*) FROM deduplication_keys WHERE expires_at_ms IS NULL OR expires_at_ms > ?1")?
        .query_row([kept.since], |row| row.get(0))?;
    let places =
        connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM deliveries")?.query_row([], |row| row.get(0))?;
    let totals = CopyTotals { keys, events, refused };
    let since_ago = kept.since.until(now);
    Ok(Holding::Held(Held { copy: kept.copy, since_ago, places, totals, moved: kept.summary }))
}

fn key_page(connection: &Connection, after: Option<KeyName>) -> rusqlite::Result<Vec<KeyCopy>> {
    let origin = origin(connection)?;
    let (endpoint, key) = after.map(|name| (name.endpoint, name.key)).unwrap_or_default();
    connection
        .prepare_cached(
            "SELECT endpoint, key, event_id, expires_at_ms FROM deduplication_keys
             WHERE (endpoint, key) > (?1, ?2) AND (expires_at_ms IS NULL OR expires_at_ms > ?3) ORDER BY endpoint, key",
        )?
        .query_map(params![endpoint, key, origin.since], |row| {
            let name = KeyName { endpoint: row.get(0)?, key: row.get(1)? };
            Ok(origin.key(name, row.get(2)?, row.get(3)?))
        })?
        .take(MOST_KEYS)
        .collect()
}

fn event_page(connection: &Connection, after: Option<EventId>) -> rusqlite::Result<Vec<EventCopy>> {
    let origin = origin(connection)?;
    let behind = after.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let mut statement = connection.prepare_cached(&format!("SELECT {EVENT} FROM events WHERE id > ?1 ORDER BY id"))?;
    let events = statement.query_map([behind], |row| origin.event(connection, row))?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    for event in events {
        let event = event?;
        bytes += event.size();
        page.push(event);
        if page.len() >= MOST_EVENTS || bytes >= MOST_BYTES {
            break;
        }
    }
    Ok(page)
}

fn refused_page(connection: &Connection, after: Option<u64>) -> rusqlite::Result<Vec<RefusedCopy>> {
    let origin = origin(connection)?;
    let after = after.map_or(0, |number| i64::try_from(number).unwrap_or(i64::MAX));
    connection
        .prepare_cached(&format!("SELECT {REFUSED} FROM refused WHERE number > ?1 ORDER BY number"))?
        .query_map([after], |row| origin.refused(row))?
        .take(MOST_REFUSED)
        .collect()
}

fn mark_moved(transaction: &mut Transaction<'_>, (copy, summary): &(CopyId, Box<str>)) -> rusqlite::Result<()> {
    let marked = transaction
        .connection
        .prepare_cached("UPDATE moving SET moved_at_ms = ?2, summary = ?3 WHERE copy = ?1")?
        .execute(params![copy, transaction.now.wall, summary])?;
    // Another copy has begun, which cannot be while this one has the ledger.
    if marked == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(marked)) }
}

fn unmark(transaction: &mut Transaction<'_>, (): &()) -> rusqlite::Result<Option<Box<str>>> {
    let moving = moving(transaction.connection)?;
    transaction.connection.prepare_cached("DELETE FROM moving")?.execute([])?;
    Ok(moving.filter(|moving| moving.summary.is_some()).map(|moving| moving.name))
}
