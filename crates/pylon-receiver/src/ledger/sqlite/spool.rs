//! A ledger's file as a spool: it holds events for another ledger, and gives them out again as they came.
//!
//! At any time it is a sound ledger too, with every delivery of what it holds: a receiver that is started on it delivers.

use super::clock::{LedgerClock, Now, Tick};
use super::ledger::SqliteLedger;
use super::moving::Purpose;
use super::options::SqliteOptions;
use super::record::{self, Kept};
use super::row::state_of;
use super::transaction::Transaction;
use super::{prune, settle};
use crate::headers::Headers;
use crate::id::EventId;
use crate::ledger::{DeduplicationKey, DeliveryState, Ledger, LedgerError, LedgerFuture, NewDelivery, NewEvent};
use crate::time::WallClock;
use pylon_webhooks::Verified;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Once events that are handed over together have this many bytes, there are no more of them.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// What the rows of an event take beside its texts.
const EVENT_BYTES: usize = 512;
/// What the rows of a delivery take beside its order key, which is in an index too.
const DELIVERY_BYTES: usize = 256;

/// What an event counts for. An event that was not spooled is here because a receiver was started on the spool.
const BYTES: &str = "coalesce(spooled_bytes, length(body) + length(headers) + 512)";

/// A file that holds events for another ledger.
#[derive(Debug)]
pub(in crate::ledger) struct SpoolFile(SqliteLedger);

/// What is in a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::ledger) struct Left {
    pub(in crate::ledger) events: u64,
    /// How many of them the other ledger refused.
    pub(in crate::ledger) not_taken: u64,
    pub(in crate::ledger) bytes: u64,
}

/// An event in a spool.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Spooled {
    pub(in crate::ledger) seq: i64,
    pub(in crate::ledger) bytes: u64,
    pub(in crate::ledger) event: NewEvent,
}

/// What the other ledger said of events, by `seq`.
#[derive(Debug, Clone, Default)]
pub(in crate::ledger) struct Said {
    /// It has them.
    pub(in crate::ledger) taken: Vec<i64>,
    /// It refused them, for these reasons.
    pub(in crate::ledger) not_taken: Vec<(i64, Box<str>)>,
}

impl SpoolFile {
    /// Opens the file, or makes it; says what is in it.
    ///
    /// # Errors
    /// As [`SqliteLedger::open`]; [`LedgerError::Failed`] if it is a ledger that was never a spool, with events in it.
    pub(in crate::ledger) fn open(path: &Path, options: SqliteOptions) -> Result<(Self, Left), LedgerError> {
        let (ledger, left) =
            SqliteLedger::open_with(Purpose::Serve, path, options, |connection| begin(connection, path))?;
        Ok((Self(ledger), left))
    }

    /// The path without links.
    pub(in crate::ledger) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Keeps an event, as a ledger does.
    pub(in crate::ledger) fn keep(&self, event: NewEvent) -> LedgerFuture<'_, Kept> {
        self.0.write_now(event, |transaction, event| record::keep(transaction, event, insert_event))
    }

    /// The oldest events that were not refused, in the order in which they were kept; so many at most, and 8 MiB of them.
    pub(in crate::ledger) fn oldest(&self, most: usize) -> LedgerFuture<'_, Vec<Spooled>> {
        // Whatever is older than one that was refused was handed over too.
        self.0.read_by_clock(move |connection, clock| {
            let behind_refused = "seq > (SELECT coalesce(max(seq), 0) FROM events WHERE not_taken IS NOT NULL)";
            events(connection, clock, behind_refused, 0, most)
        })
    }

    /// Refused events behind this `seq`, in the same order and as many.
    pub(in crate::ledger) fn refused(&self, behind: i64, most: usize) -> LedgerFuture<'_, Vec<Spooled>> {
        let refused = "seq > ?1 AND not_taken IS NOT NULL";
        self.0.read_by_clock(move |connection, clock| events(connection, clock, refused, behind, most))
    }

    /// Forgets what the other ledger has, and keeps why it refused others.
    pub(in crate::ledger) fn settle(&self, said: Said) -> LedgerFuture<'_, ()> {
        self.0.write(said, settle_all)
    }

    /// How many events are in it, refused ones too.
    pub(in crate::ledger) fn events(&self) -> LedgerFuture<'_, u64> {
        self.0.read(|connection| connection.query_row("SELECT events FROM ledger WHERE id = 1", [], |row| row.get(0)))
    }

    /// Commits something that changes nothing.
    pub(in crate::ledger) fn check(&self) -> LedgerFuture<'_, ()> {
        self.0.check()
    }

    /// Commits what waits, and closes.
    pub(in crate::ledger) fn close(&self) -> LedgerFuture<'_, ()> {
        self.0.close()
    }
}

/// What an event takes of the spool's size.
pub(in crate::ledger) fn bytes_of(event: &NewEvent) -> u64 {
    let texts = [event.body.as_bytes().len(), event.headers.as_bytes().len(), event.target.len(), event.name.len()];
    let query = event.query.as_ref().map_or(0, |query| query.len());
    let key_bytes = |delivery: &NewDelivery| delivery.order_key.as_ref().map_or(0, |key| 2 * key.len());
    let deliveries: usize = event.deliveries.iter().map(|delivery| DELIVERY_BYTES + key_bytes(delivery)).sum();
    (EVENT_BYTES + texts.iter().sum::<usize>() + query + deliveries) as u64
}

/// Makes the file a spool, if it is none; counts what is in it.
fn begin(connection: &mut Connection, path: &Path) -> Result<Left, LedgerError> {
    let transaction = connection.transaction()?;
    let (is_spool, events): (bool, u64) =
        transaction
            .query_row("SELECT is_spool, events FROM ledger WHERE id = 1", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if !is_spool && events > 0 {
        let path = path.display();
        return Err(LedgerError::Failed(
            format!(
                "expected a spool at {path}, found a ledger with {events} events; choose another file for the spool"
            )
            .into(),
        ));
    }
    let count = format!("SELECT coalesce(sum({BYTES}), 0) FROM events");
    let bytes = transaction.query_row(&count, [], |row| row.get(0))?;
    let not_taken =
        transaction.query_row("SELECT count(*) FROM events WHERE not_taken IS NOT NULL", [], |row| row.get(0))?;
    transaction.execute("UPDATE ledger SET is_spool = 1 WHERE id = 1", [])?;
    transaction.commit()?;
    Ok(Left { events, not_taken, bytes })
}

fn insert_event(connection: &Connection, event: &NewEvent) -> rusqlite::Result<usize> {
    let passed: Vec<u8> = event.passed.iter().flat_map(EventId::as_bytes).copied().collect();
    connection
        .prepare_cached(
            "INSERT INTO events (id, endpoint, name, kind, method, target, query, parked, headers, body,
                 spooled_bytes, passed, deduplication_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            event.id,
            event.endpoint,
            event.name,
            event.kind,
            event.method,
            event.target,
            event.query,
            event.parked,
            event.headers.as_bytes(),
            event.body.as_bytes(),
            bytes_of(event),
            (!passed.is_empty()).then_some(passed),
            event.deduplication.as_ref().map(|key| &key.key),
        ])
}

/// Events that match the condition, with this parameter, in the order in which they were kept.
fn events(
    connection: &Connection,
    clock: Arc<dyn WallClock>,
    condition: &str,
    parameter: i64,
    most: usize,
) -> rusqlite::Result<Vec<Spooled>> {
    let transaction = connection.unchecked_transaction()?;
    let now = LedgerClock::open(&transaction, clock)?.now();
    let mut select = transaction.prepare_cached(&format!(
        "SELECT seq, {BYTES}, id, endpoint, name, kind, method, target, query, headers, body, parked, passed, deduplication_key
         FROM events WHERE {condition} ORDER BY seq"
    ))?;
    let parameters: &[i64] = if select.parameter_count() == 0 { &[] } else { &[parameter] };
    let mut rows = select.query(rusqlite::params_from_iter(parameters))?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < most
        && bytes < MOST_BYTES
        && let Some(row) = rows.next()?
    {
        let spooled = read(&transaction, row, &now)?;
        bytes += spooled.bytes;
        found.push(spooled);
    }
    Ok(found)
}

/// An event as it came. What a receiver that was started on the spool has delivered is not delivered again.
fn read(connection: &Connection, row: &Row<'_>, now: &Now) -> rusqlite::Result<Spooled> {
    let (seq, id, endpoint): (i64, EventId, Arc<str>) = (row.get(0)?, row.get(2)?, row.get(3)?);
    let passed: Option<Vec<u8>> = row.get(12)?;
    let deduplication = match row.get::<_, Option<Box<str>>>(13)? {
        Some(key) => Some(DeduplicationKey { lasts: time_left(connection, &endpoint, &key, id, now)?, key }),
        None => None,
    };
    let deliveries = connection
        .prepare_cached(
            "SELECT destination, order_key FROM deliveries WHERE event_seq = ?1 AND state IN (10, 11, 21) ORDER BY number",
        )?
        .query_map([seq], |row| Ok(NewDelivery { destination: row.get(0)?, order_key: row.get(1)? }))?
        .collect::<Result<_, _>>()?;
    let event = NewEvent {
        id,
        endpoint,
        name: row.get(4)?,
        kind: row.get(5)?,
        method: row.get(6)?,
        target: row.get(7)?,
        query: row.get(8)?,
        headers: Headers::from_stored(row.get::<_, Vec<u8>>(9)?),
        passed: passed.iter().flat_map(|passed| passed.as_chunks().0).map(|&id| EventId::from_bytes(id)).collect(),
        body: Verified::stored_body(row.get::<_, Vec<u8>>(10)?),
        parked: row.get(11)?,
        deduplication,
        deliveries,
    };
    Ok(Spooled { seq, bytes: row.get(1)?, event })
}

/// How long an event's key is still remembered, as [`DeduplicationKey::lasts`] says it; zero if its time is over.
fn time_left(
    connection: &Connection,
    endpoint: &str,
    key: &str,
    id: EventId,
    now: &Now,
) -> rusqlite::Result<Option<Duration>> {
    let expires_at: Option<Option<Tick>> = connection
        .prepare_cached(
            "SELECT expires_at_ms FROM deduplication_keys WHERE endpoint = ?1 AND key = ?2 AND event_id = ?3",
        )?
        .query_row(params![endpoint, key, id], |row| row.get(0))
        .optional()?;
    Ok(match expires_at {
        Some(expires_at) => expires_at.map(|expires_at| now.tick.until(expires_at)),
        // Forgotten, or another event has it since.
        None => Some(Duration::ZERO),
    })
}

fn settle_all(transaction: &mut Transaction<'_>, said: &Said) -> rusqlite::Result<()> {
    for &seq in &said.taken {
        forget(transaction, seq)?;
    }
    for (seq, reason) in &said.not_taken {
        transaction
            .connection
            .prepare_cached("UPDATE events SET not_taken = ?2 WHERE seq = ?1")?
            .execute(params![seq, reason])?;
    }
    // A key lasts beyond the event that has it: what comes meanwhile may be a duplicate of that one.
    prune::forget_keys(transaction.connection, transaction.now.tick).map(drop)
}

/// Forgets an event, and lets what is behind its deliveries go.
fn forget(transaction: &mut Transaction<'_>, seq: i64) -> rusqlite::Result<()> {
    let connection = transaction.connection;
    let found: Option<(EventId, bool)> = connection
        .prepare_cached("SELECT id, parked IS NOT NULL FROM events WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, is_parked)) = found else { return Ok(()) };
    let deliveries = connection
        .prepare_cached("SELECT destination, order_key, state, code FROM deliveries WHERE event_seq = ?1")?
        .query_map([seq], |row| Ok((row.get(0)?, row.get(1)?, state_of(row.get(2)?, false)?, row.get(3)?)))?
        .collect::<Result<Vec<(Arc<str>, Option<Box<str>>, DeliveryState, Option<Box<str>>)>, _>>()?;
    prune::forget(connection, seq, id)?;
    transaction.count_events(-1, -i64::from(is_parked));
    for (destination, order_key, state, code) in deliveries {
        match state {
            DeliveryState::Dead => transaction.count_dead(&destination, code.as_deref(), -1),
            _ => transaction.leaves(&destination, state),
        }
        if let (DeliveryState::Waiting, Some(order_key)) = (state, order_key) {
            settle::let_the_next_go(transaction, &destination, &order_key)?;
        }
    }
    Ok(())
}
