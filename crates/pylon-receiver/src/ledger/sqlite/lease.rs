//! Leases: made by a claim, ended by a settlement, by their owner, or by time.
//!
//! A lease is a row of a small table; the delivery's own row is not touched until its attempt is settled.

use super::clock::Tick;
use super::transaction::Transaction;
use crate::ledger::{Lease, Owner};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use std::time::Duration;

/// A token of which the ledger finds the delivery: its `seq`, and a number that is random for each claim.
pub(super) fn token(seq: i64, random: i64) -> u128 {
    u128::from(seq.cast_unsigned()) << 64 | u128::from(random.cast_unsigned())
}

fn parts(token: u128) -> (i64, i64) {
    (((token >> 64) as u64).cast_signed(), (token as u64).cast_signed())
}

/// A lease that has ended.
pub(super) struct Ended {
    pub(super) seq: i64,
    /// The number of its attempt.
    pub(super) attempt: u32,
    pub(super) order_key: Option<String>,
}

/// Ends a lease, if it holds.
pub(super) fn take(
    transaction: &Transaction<'_>,
    destination: &Arc<str>,
    lease: Lease,
) -> rusqlite::Result<Option<Ended>> {
    let (seq, random) = parts(lease.token);
    // Two statements are cheaper than one with RETURNING, for which SQLite makes a table.
    let ended = transaction
        .connection
        .prepare_cached(
            "SELECT attempt, order_key FROM leases
             WHERE destination = ?1 AND delivery_seq = ?2 AND token = ?3 AND event_id = ?4 AND number = ?5",
        )?
        .query_row(params![destination, seq, random, lease.delivery.event, lease.delivery.number], |row| {
            Ok(Ended { seq, attempt: row.get(0)?, order_key: row.get(1)? })
        })
        .optional()?;
    if ended.is_some() {
        transaction
            .connection
            .prepare_cached("DELETE FROM leases WHERE destination = ?1 AND delivery_seq = ?2")?
            .execute(params![destination, seq])?;
    }
    Ok(ended)
}

/// Ends the leases of a destination whose time is over; says when the first of the others ends.
pub(super) fn expire(transaction: &Transaction<'_>, destination: &Arc<str>) -> rusqlite::Result<Option<Tick>> {
    let first = first_end(transaction.connection, destination)?;
    let now = transaction.now.tick;
    if first.is_none_or(|first| first > now) {
        return Ok(first);
    }
    transaction
        .connection
        .prepare_cached(
            "UPDATE deliveries SET interruptions = interruptions + 1, is_repeat = is_repeat OR interruptions > 0
             WHERE seq IN (SELECT delivery_seq FROM leases WHERE destination = ?1 AND until_ms <= ?2)",
        )?
        .execute(params![destination, now])?;
    transaction
        .connection
        .prepare_cached("DELETE FROM leases WHERE destination = ?1 AND until_ms <= ?2")?
        .execute(params![destination, now])?;
    first_end(transaction.connection, destination)
}

fn first_end(connection: &Connection, destination: &str) -> rusqlite::Result<Option<Tick>> {
    connection
        .prepare_cached("SELECT min(until_ms) FROM leases WHERE destination = ?1")?
        .query_row([destination], |row| row.get(0))
}

/// Extends leases; says for each whether it holds.
pub(super) fn renew(
    transaction: &mut Transaction<'_>,
    (leases, length): &(Vec<Lease>, Duration),
) -> rusqlite::Result<Vec<bool>> {
    let until = transaction.now.tick.after(*length);
    let mut statement = transaction.connection.prepare_cached(
        "UPDATE leases SET until_ms = ?6 WHERE destination = (SELECT destination FROM deliveries WHERE seq = ?1)
         AND delivery_seq = ?2 AND token = ?3 AND event_id = ?4 AND number = ?5",
    )?;
    let mut renew = |lease: &Lease| {
        let (seq, random) = parts(lease.token);
        let renewed =
            statement.execute(params![seq, seq, random, lease.delivery.event, lease.delivery.number, until])?;
        Ok(renewed > 0)
    };
    leases.iter().map(&mut renew).collect()
}

/// Gives back all leases of an owner.
pub(super) fn release(transaction: &mut Transaction<'_>, owner: &Owner) -> rusqlite::Result<u64> {
    let destinations: Vec<String> = transaction
        .connection
        .prepare_cached("SELECT DISTINCT destination FROM leases WHERE owner = ?1")?
        .query_map([owner], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let released = transaction.connection.prepare_cached("DELETE FROM leases WHERE owner = ?1")?.execute([owner])?;
    for destination in destinations {
        transaction.wake(&destination.into());
    }
    transaction
        .connection
        .prepare_cached("DELETE FROM chores WHERE name = 'prune' AND owner = ?1")?
        .execute([owner])?;
    Ok(released as u64)
}
