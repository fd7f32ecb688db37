//! An operator's orders: redeliver, or drop for good.

use super::record::{NewRow, insert};
use super::transaction::Transaction;
use crate::id::{DeliveryId, EventId};
use crate::ledger::NewDelivery;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// Makes a new delivery of each event to the destination, or to all that it ever went to.
pub(super) fn events(
    transaction: &mut Transaction<'_>,
    order: i64,
    events: &[EventId],
    destination: Option<&Arc<str>>,
) -> rusqlite::Result<u64> {
    let connection = transaction.connection;
    let mut made = 0;
    for event in events {
        let seq: Option<i64> = connection
            .prepare_cached("SELECT seq FROM events WHERE id = ?1")?
            .query_row([event], |row| row.get(0))
            .optional()?;
        let Some(seq) = seq else { continue };
        let destinations = match destination {
            Some(destination) => vec![destination.clone()],
            None => former_destinations(connection, seq)?,
        };
        for destination in destinations {
            let dead: Vec<(i64, Option<String>)> = connection
                .prepare_cached(
                    // By name: SQLite would rather go through all that are dead at the destination.
                    "SELECT seq, code FROM deliveries INDEXED BY deliveries_of_event
                     WHERE event_seq = ?1 AND destination = ?2 AND state = 21",
                )?
                .query_map(params![seq, destination], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (seq, code) in dead {
                connection.prepare_cached("UPDATE deliveries SET state = 23 WHERE seq = ?1")?.execute([seq])?;
                transaction.count_dead(&destination, code.as_deref(), -1);
            }
            let last = last_to(connection, seq, &destination)?;
            again(transaction, order, seq, &destination, last)?;
            made += 1;
        }
    }
    Ok(made)
}

/// Makes the first deliveries of events that went nowhere.
pub(super) fn route(
    transaction: &mut Transaction<'_>,
    order: i64,
    events: &[(EventId, Vec<NewDelivery>)],
) -> rusqlite::Result<u64> {
    let mut made = 0;
    for (event, deliveries) in events {
        let seq: Option<i64> = transaction
            .connection
            .prepare_cached(
                "SELECT seq FROM events WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)",
            )?
            .query_row([event], |row| row.get(0))
            .optional()?;
        let Some(seq) = seq else { continue };
        for NewDelivery { destination, order_key } in deliveries {
            make(transaction, order, seq, destination, order_key.as_deref(), None)?;
            made += 1;
        }
    }
    Ok(made)
}

/// Makes a new delivery in the place of each dead one.
pub(super) fn dead(transaction: &mut Transaction<'_>, order: i64, deliveries: &[DeliveryId]) -> rusqlite::Result<u64> {
    let connection = transaction.connection;
    let mut made = 0;
    for &delivery in deliveries {
        if let Some(dead) = find_dead(connection, delivery)? {
            connection.prepare_cached("UPDATE deliveries SET state = 23 WHERE seq = ?1")?.execute([dead.seq])?;
            transaction.count_dead(&dead.destination, dead.code.as_deref(), -1);
            let repeated = Some((delivery.number, dead.order_key));
            again(transaction, order, dead.event_seq, &dead.destination, repeated)?;
            made += 1;
        }
    }
    Ok(made)
}

/// Drops dead deliveries.
pub(super) fn drop_dead(
    transaction: &mut Transaction<'_>,
    order: i64,
    deliveries: &[DeliveryId],
) -> rusqlite::Result<u64> {
    let connection = transaction.connection;
    let mut dropped = 0;
    for &delivery in deliveries {
        if let Some(dead) = find_dead(connection, delivery)? {
            // Nothing waits behind it: the next one of its line went on when it died.
            connection
                .prepare_cached("UPDATE deliveries SET state = 22, at_ms = ?2, order_number = ?3 WHERE seq = ?1")?
                .execute(params![dead.seq, transaction.now.wall, order])?;
            transaction.count_dead(&dead.destination, dead.code.as_deref(), -1);
            dropped += 1;
        }
    }
    Ok(dropped)
}

/// A delivery's number and order key.
type Repeated = (u32, Option<String>);

/// The last delivery of an event to a destination.
fn last_to(connection: &Connection, event_seq: i64, destination: &str) -> rusqlite::Result<Option<Repeated>> {
    connection
        .prepare_cached(
            "SELECT number, order_key FROM deliveries WHERE event_seq = ?1 AND destination = ?2 ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![event_seq, destination], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Makes a new delivery of an event to a destination, which repeats another one.
fn again(
    transaction: &mut Transaction<'_>,
    order: i64,
    event_seq: i64,
    destination: &Arc<str>,
    repeated: Option<Repeated>,
) -> rusqlite::Result<()> {
    let (redelivery_of, order_key) = repeated.map_or((None, None), |(number, order_key)| (Some(number), order_key));
    make(transaction, order, event_seq, destination, order_key.as_deref(), redelivery_of)
}

/// Makes a delivery by an operator's order.
fn make(
    transaction: &mut Transaction<'_>,
    order: i64,
    event_seq: i64,
    destination: &Arc<str>,
    order_key: Option<&str>,
    redelivery_of: Option<u32>,
) -> rusqlite::Result<()> {
    let number: i64 = transaction
        .connection
        .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM deliveries WHERE event_seq = ?1")?
        .query_row([event_seq], |row| row.get(0))?;
    let (created_at, redelivery_of) = (Some(transaction.now.wall), redelivery_of.map(i64::from));
    let order = Some(order);
    insert(transaction, NewRow { event_seq, number, destination, order_key, created_at, redelivery_of, order })
}

fn former_destinations(connection: &Connection, event_seq: i64) -> rusqlite::Result<Vec<Arc<str>>> {
    connection
        .prepare_cached(
            "SELECT destination FROM deliveries WHERE event_seq = ?1 GROUP BY destination ORDER BY min(number)",
        )?
        .query_map([event_seq], |row| row.get(0))?
        .collect()
}

struct Dead {
    seq: i64,
    event_seq: i64,
    destination: Arc<str>,
    order_key: Option<String>,
    code: Option<String>,
}

fn find_dead(connection: &Connection, delivery: DeliveryId) -> rusqlite::Result<Option<Dead>> {
    connection
        .prepare_cached(
            "SELECT deliveries.seq, event_seq, destination, order_key, code FROM deliveries JOIN events ON events.seq = event_seq
             WHERE id = ?1 AND number = ?2 AND state = 21",
        )?
        .query_row(params![delivery.event, delivery.number], |row| {
            let (order_key, code) = (row.get(3)?, row.get(4)?);
            Ok(Dead { seq: row.get(0)?, event_seq: row.get(1)?, destination: row.get(2)?, order_key, code })
        })
        .optional()
}
