//! Keeps an event and what is to be delivered of it.

use super::writer::Transaction;
use crate::id::EventId;
use crate::ledger::{DeduplicationKey, NewEvent, Recorded};
use crate::time::Moment;
use rusqlite::{Connection, OptionalExtension, params};

/// Keeps the event, unless one with its deduplication key is remembered.
pub(super) fn run(transaction: &mut Transaction<'_>, event: &NewEvent) -> rusqlite::Result<Recorded> {
    let connection = transaction.connection;
    let received_at = event.id.received_at();
    if let Some(key) = &event.deduplication
        && let Some(kept) = remembered(connection, event, key, received_at)?
    {
        return Ok(Recorded::Duplicate(kept));
    }
    connection
        .prepare_cached(
            "INSERT INTO events (id, endpoint, kind, parked, headers, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            event.id,
            event.endpoint,
            event.kind,
            event.parked,
            event.headers.as_bytes(),
            event.body.as_bytes()
        ])?;
    let event_seq = connection.last_insert_rowid();
    for (delivery, number) in event.deliveries.iter().zip(1..) {
        let row = NewRow {
            event_seq,
            number,
            destination: &delivery.destination,
            order_key: delivery.order_key.as_deref(),
            created_at: received_at,
            redelivery_of: None,
        };
        insert(connection, row)?;
    }
    Ok(Recorded::Stored)
}

/// A delivery to put into its table.
pub(super) struct NewRow<'a> {
    pub(super) event_seq: i64,
    pub(super) number: i64,
    pub(super) destination: &'a str,
    pub(super) order_key: Option<&'a str>,
    pub(super) created_at: Moment,
    pub(super) redelivery_of: Option<i64>,
}

/// Puts a delivery in: due at once, or behind those that share its order key.
pub(super) fn insert(connection: &Connection, row: NewRow<'_>) -> rusqlite::Result<()> {
    let is_held = row.order_key.is_some()
        && connection
            .prepare_cached("SELECT 1 FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND state < 3 LIMIT 1")?
            .exists(params![row.destination, row.order_key])?;
    connection
        .prepare_cached(
            "INSERT INTO deliveries (event_seq, number, destination, order_key, state, created_at_ms, due_at_ms, redelivery_of)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
        )?
        .execute(params![
            row.event_seq,
            row.number,
            row.destination,
            row.order_key,
            is_held,
            row.created_at,
            row.redelivery_of
        ])?;
    Ok(())
}

/// The event that is remembered under the key; where there is none, this one is from now on.
fn remembered(
    connection: &Connection,
    event: &NewEvent,
    key: &DeduplicationKey,
    now: Moment,
) -> rusqlite::Result<Option<EventId>> {
    let kept = connection
        .prepare_cached(
            "SELECT event_id FROM deduplication_keys
             WHERE endpoint = ?1 AND key = ?2 AND (expires_at_ms IS NULL OR expires_at_ms > ?3)",
        )?
        .query_row(params![event.endpoint, key.key, now], |row| row.get(0))
        .optional()?;
    if kept.is_none() {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO deduplication_keys (endpoint, key, event_id, expires_at_ms) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![event.endpoint, key.key, event.id, key.expires_at])?;
    }
    Ok(kept)
}
