//! Deliveries of a destination that is gone: to another destination, or dropped. A limited number of them at a call, and of those in
//! lines whole lines, so that nothing overtakes.

use super::transaction::Transaction;
use crate::ledger::DeliveryState;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// Deliveries that one call begins with; behind each that has an order key is its line.
const MOST: usize = 500;

/// Gives deliveries to another destination.
pub(super) fn to_another(
    transaction: &mut Transaction<'_>,
    order: i64,
    from: &Arc<str>,
    to: &Arc<str>,
) -> rusqlite::Result<u64> {
    if from == to {
        return Ok(0);
    }
    let connection = transaction.connection;
    let mut moved = 0;
    for First { seq, order_key } in firsts(connection, from)? {
        match order_key {
            None => {
                connection
                    .prepare_cached(
                        "UPDATE deliveries SET destination = ?2, at_ms = ?3, order_number = ?4 WHERE seq = ?1",
                    )?
                    .execute(params![seq, to, transaction.now.tick, order])?;
                transaction.count(from, DeliveryState::Waiting, -1);
                transaction.count(to, DeliveryState::Waiting, 1);
                transaction.wake(to);
                moved += 1;
            }
            Some(order_key) => moved += move_line(transaction, order, (from, to), seq, &order_key)?,
        }
    }
    for Dead { seq, code } in dead(connection, from)? {
        connection
            .prepare_cached("UPDATE deliveries SET destination = ?2, order_number = ?3 WHERE seq = ?1")?
            .execute(params![seq, to, order])?;
        transaction.count_dead(from, code.as_deref(), -1);
        transaction.count_dead(to, code.as_deref(), 1);
        moved += 1;
    }
    Ok(moved)
}

/// Drops deliveries.
pub(super) fn drop_all(transaction: &mut Transaction<'_>, order: i64, destination: &Arc<str>) -> rusqlite::Result<u64> {
    let connection = transaction.connection;
    let now = transaction.now.wall;
    let mut dropped = 0;
    for First { seq, order_key } in firsts(connection, destination)? {
        if let Some(order_key) = order_key {
            let held = connection
                .prepare_cached(
                    "UPDATE deliveries SET state = 22, at_ms = ?3, order_number = ?4
                     WHERE destination = ?1 AND order_key = ?2 AND state = 11",
                )?
                .execute(params![destination, order_key, now, order])?;
            transaction.count(destination, DeliveryState::Held, -(held as i64));
            dropped += held as u64;
        }
        drop_one(transaction, order, seq)?;
        transaction.leaves(destination, DeliveryState::Waiting);
        dropped += 1;
    }
    for Dead { seq, code } in dead(connection, destination)? {
        drop_one(transaction, order, seq)?;
        transaction.count_dead(destination, code.as_deref(), -1);
        dropped += 1;
    }
    Ok(dropped)
}

fn drop_one(transaction: &Transaction<'_>, order: i64, seq: i64) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached("UPDATE deliveries SET state = 22, at_ms = ?2, order_number = ?3 WHERE seq = ?1")?
        .execute(params![seq, transaction.now.wall, order])
        .map(drop)
}

/// A waiting delivery without a lease: the first of its line, if it has an order key.
struct First {
    seq: i64,
    order_key: Option<String>,
}

fn firsts(connection: &Connection, destination: &str) -> rusqlite::Result<Vec<First>> {
    connection
        .prepare_cached(
            "SELECT seq, order_key FROM deliveries WHERE destination = ?1 AND state = 10
             AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.destination = ?1 AND delivery_seq = deliveries.seq)",
        )?
        .query_map([destination], |row| Ok(First { seq: row.get(0)?, order_key: row.get(1)? }))?
        .take(MOST)
        .collect()
}

/// A dead delivery.
struct Dead {
    seq: i64,
    code: Option<String>,
}

fn dead(connection: &Connection, destination: &str) -> rusqlite::Result<Vec<Dead>> {
    connection
        .prepare_cached("SELECT seq, code FROM deliveries WHERE destination = ?1 AND state = 21")?
        .query_map([destination], |row| Ok(Dead { seq: row.get(0)?, code: row.get(1)? }))?
        .take(MOST)
        .collect()
}

/// Moves the first of a line and those behind it; says how many they were.
fn move_line(
    transaction: &mut Transaction<'_>,
    order: i64,
    (from, to): (&Arc<str>, &Arc<str>),
    first: i64,
    order_key: &str,
) -> rusqlite::Result<u64> {
    let connection = transaction.connection;
    let held = connection
        .prepare_cached(
            "UPDATE deliveries SET destination = ?3, order_number = ?4
             WHERE destination = ?1 AND order_key = ?2 AND state = 11",
        )?
        .execute(params![from, order_key, to, order])?;
    connection
        .prepare_cached("UPDATE deliveries SET destination = ?2, state = 11, order_number = ?3 WHERE seq = ?1")?
        .execute(params![first, to, order])?;
    transaction.count(from, DeliveryState::Held, -(held as i64));
    transaction.count(from, DeliveryState::Waiting, -1);
    transaction.count(to, DeliveryState::Held, held as i64 + 1);
    let_the_first_go(transaction, to, order_key)?;
    Ok(held as u64 + 1)
}

/// In a line that others have joined: lets the one that was made first wait for its attempt, and holds the one that waited until now,
/// unless it is being attempted.
fn let_the_first_go(
    transaction: &mut Transaction<'_>,
    destination: &Arc<str>,
    order_key: &str,
) -> rusqlite::Result<()> {
    let connection = transaction.connection;
    let held: Option<i64> = connection
        .prepare_cached("SELECT min(seq) FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND state = 11")?
        .query_row(params![destination, order_key], |row| row.get(0))?;
    let waiting: Option<(i64, bool)> = connection
        .prepare_cached(
            "SELECT seq, EXISTS (SELECT 1 FROM leases WHERE leases.destination = ?1 AND delivery_seq = deliveries.seq)
             FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND state = 10",
        )?
        .query_row(params![destination, order_key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some(first) = held else { return Ok(()) };
    match waiting {
        Some((waiting, is_leased)) if is_leased || waiting < first => return Ok(()),
        Some((waiting, _)) => {
            connection.prepare_cached("UPDATE deliveries SET state = 11 WHERE seq = ?1")?.execute([waiting])?;
            transaction.count(destination, DeliveryState::Waiting, -1);
            transaction.count(destination, DeliveryState::Held, 1);
        }
        None => {}
    }
    connection
        .prepare_cached("UPDATE deliveries SET state = 10, at_ms = ?2 WHERE seq = ?1")?
        .execute(params![first, transaction.now.tick])?;
    transaction.count(destination, DeliveryState::Held, -1);
    transaction.count(destination, DeliveryState::Waiting, 1);
    transaction.wake(destination);
    Ok(())
}
