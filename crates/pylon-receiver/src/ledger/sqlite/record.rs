//! Keeps an event and its deliveries.
//!
//! One thread writes the file, so that nothing can come between a look and the insert that follows it. A ledger with several
//! writers must lock the line, or the key, before it looks.

use super::clock::Tick;
use super::row::number_of;
use super::transaction::Transaction;
use crate::ledger::{DeduplicationKey, DeliveryState, NewEvent, Recorded};
use crate::time::Moment;
use rusqlite::{Connection, params};
use std::sync::Arc;

/// Keeps the event, unless it has been here before or its deduplication key is remembered.
pub(super) fn run(transaction: &mut Transaction<'_>, event: &NewEvent) -> rusqlite::Result<Recorded> {
    keep(transaction, event, insert_event).map(|kept| kept.answer)
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) struct Kept {
    pub(in crate::ledger) answer: Recorded,
    /// Whether it was not here before, and is now.
    pub(in crate::ledger) is_new: bool,
}

impl Kept {
    const fn before(answer: Recorded) -> Self {
        Self { answer, is_new: false }
    }
}

/// Puts an event's row in, unless there is one with its id; says how many rows that were.
pub(super) type InsertEvent = fn(&Connection, &NewEvent) -> rusqlite::Result<usize>;

/// Keeps the event as above, in a row of this form.
pub(super) fn keep(
    transaction: &mut Transaction<'_>,
    event: &NewEvent,
    insert_event: InsertEvent,
) -> rusqlite::Result<Kept> {
    for &id in &event.passed {
        if transaction.connection.prepare_cached("SELECT 1 FROM events WHERE id = ?1")?.exists([id])? {
            return Ok(Kept::before(Recorded::Looped(id)));
        }
    }
    if let Some(key) = &event.deduplication
        && let Some(answer) = remembered(transaction, event, key)?
    {
        return Ok(Kept::before(answer));
    }
    if insert_event(transaction.connection, event)? == 0 {
        // The same event again, whose key is forgotten by now: it is as before.
        if let Some(key) = &event.deduplication {
            transaction
                .connection
                .prepare_cached("DELETE FROM deduplication_keys WHERE endpoint = ?1 AND key = ?2 AND event_id = ?3")?
                .execute(params![event.endpoint, key.key, event.id])?;
        }
        return Ok(Kept::before(Recorded::Stored));
    }
    let event_seq = transaction.connection.last_insert_rowid();
    transaction.count_events(1, i64::from(event.parked.is_some()));
    for (delivery, number) in event.deliveries.iter().zip(1..) {
        let row = NewRow {
            event_seq,
            number,
            destination: &delivery.destination,
            order_key: delivery.order_key.as_deref(),
            created_at: None,
            redelivery_of: None,
            order: None,
        };
        insert(transaction, row)?;
    }
    Ok(Kept { answer: Recorded::Stored, is_new: true })
}

fn insert_event(connection: &Connection, event: &NewEvent) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO events (id, endpoint, name, kind, method, target, query, parked, headers, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING",
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
            event.body.as_bytes()
        ])
}

/// The answer, where the key is remembered; where it is not, it is from now on.
fn remembered(
    transaction: &Transaction<'_>,
    event: &NewEvent,
    key: &DeduplicationKey,
) -> rusqlite::Result<Option<Recorded>> {
    let connection = transaction.connection;
    let now = transaction.now.tick;
    let expires_at: Option<Tick> = key.lasts.map(|lasts| now.after(lasts));
    let is_new = connection
        .prepare_cached(
            "INSERT INTO deduplication_keys (endpoint, key, event_id, expires_at_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (endpoint, key) DO UPDATE SET event_id = excluded.event_id, expires_at_ms = excluded.expires_at_ms
             WHERE expires_at_ms <= ?5 AND event_id <> excluded.event_id",
        )?
        .execute(params![event.endpoint, key.key, event.id, expires_at, now])?;
    if is_new > 0 {
        return Ok(None);
    }
    let kept = connection
        .prepare_cached("SELECT event_id FROM deduplication_keys WHERE endpoint = ?1 AND key = ?2")?
        .query_row(params![event.endpoint, key.key], |row| row.get(0))?;
    // After the key's time another event may have it: an event that is kept itself is no duplicate of that one.
    let is_stored =
        kept == event.id || connection.prepare_cached("SELECT 1 FROM events WHERE id = ?1")?.exists([event.id])?;
    Ok(Some(if is_stored { Recorded::Stored } else { Recorded::Duplicate(kept) }))
}

/// A delivery to put into its table.
pub(super) struct NewRow<'a> {
    pub(super) event_seq: i64,
    pub(super) number: i64,
    pub(super) destination: &'a Arc<str>,
    pub(super) order_key: Option<&'a str>,
    /// None: with its event.
    pub(super) created_at: Option<Moment>,
    pub(super) redelivery_of: Option<i64>,
    /// The number of the operator's order that makes it.
    pub(super) order: Option<i64>,
}

/// Puts a delivery in: due at once, or behind those that share its order key.
pub(super) fn insert(transaction: &mut Transaction<'_>, row: NewRow<'_>) -> rusqlite::Result<()> {
    // As long as anything of a line is unfinished, its first delivery is waiting.
    let is_held = row.order_key.is_some()
        && transaction
            .connection
            .prepare_cached("SELECT 1 FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND state = 10")?
            .exists(params![row.destination, row.order_key])?;
    let state = if is_held { DeliveryState::Held } else { DeliveryState::Waiting };
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO deliveries (event_seq, number, destination, order_key, state, at_ms, created_at_ms, redelivery_of, is_repeat,
                 order_number)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            row.event_seq,
            row.number,
            row.destination,
            row.order_key,
            number_of(state),
            transaction.now.tick,
            row.created_at,
            row.redelivery_of,
            row.created_at.is_some(),
            row.order
        ])?;
    transaction.enters(row.destination, state);
    if !is_held {
        transaction.wake(row.destination);
    }
    Ok(())
}
