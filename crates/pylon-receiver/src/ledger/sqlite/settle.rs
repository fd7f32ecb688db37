//! Ends leases, and renews them.

use super::row::number_of;
use super::writer::Transaction;
use crate::ledger::{DeliveryState, Lease, NewAttempt, Settled, Settlement, Verdict};
use crate::time::Moment;
use rusqlite::{Connection, OptionalExtension, params};

/// Ends a lease with its verdict, if it still holds.
pub(super) fn run(transaction: &mut Transaction<'_>, settlement: &Settlement) -> rusqlite::Result<Settled> {
    let connection = transaction.connection;
    let Some(seq) = held_by(connection, settlement.lease)? else { return Ok(Settled::Fenced) };
    let at = settlement.at;
    if let Some(attempt) = &settlement.attempt {
        log(connection, seq, attempt)?;
    }
    let detail = settlement.attempt.as_ref().map(|attempt| attempt.detail.as_ref());
    match &settlement.verdict {
        Verdict::Delivered => drop(end(connection, seq, End { state: DeliveryState::Delivered, at, reason: None })?),
        Verdict::Dead(reason) => {
            let reason = detail.map_or_else(|| reason.to_string(), |detail| format!("{reason}: {detail}"));
            end(connection, seq, End { state: DeliveryState::Dead, at, reason: Some(&reason) })?;
        }
        Verdict::RetryAt(due_at) => again(connection, seq, *due_at, 0, detail)?,
        Verdict::Released => again(connection, seq, at, 1, detail)?,
    }
    Ok(Settled::Recorded)
}

/// Extends leases; of each, whether it still holds.
pub(super) fn renew(
    transaction: &mut Transaction<'_>,
    (leases, until): &(Vec<Lease>, Moment),
) -> rusqlite::Result<Vec<bool>> {
    let connection = transaction.connection;
    leases
        .iter()
        .map(|&lease| {
            let Some(seq) = held_by(connection, lease)? else { return Ok(false) };
            connection
                .prepare_cached("UPDATE deliveries SET lease_until_ms = ?2 WHERE seq = ?1")?
                .execute(params![seq, until])?;
            Ok(true)
        })
        .collect()
}

/// How a delivery ended.
pub(super) struct End<'a> {
    pub(super) state: DeliveryState,
    pub(super) at: Moment,
    pub(super) reason: Option<&'a str>,
}

/// Ends a delivery that is unfinished, and lets the next of its order key go; says whether there was one.
pub(super) fn end(connection: &Connection, seq: i64, end: End<'_>) -> rusqlite::Result<bool> {
    let line: Option<(String, String)> = connection
        .prepare_cached(
            "UPDATE deliveries SET state = ?2, finished_at_ms = ?3, reason = ?4, lease_token = NULL, lease_until_ms = NULL
             WHERE seq = ?1 RETURNING destination, order_key",
        )?
        .query_row(params![seq, number_of(end.state), end.at, end.reason], |row| {
            Ok(row.get::<_, Option<String>>(1)?.map(|key| (key, row.get::<_, String>(0))))
        })?
        .map(|(key, destination)| destination.map(|destination| (destination, key)))
        .transpose()?;
    let Some((destination, order_key)) = line else { return Ok(false) };
    let released = connection
        .prepare_cached(
            "UPDATE deliveries SET state = 0, due_at_ms = ?3 WHERE seq =
             (SELECT min(seq) FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND state = 1)",
        )?
        .execute(params![destination, order_key, end.at])?;
    Ok(released > 0)
}

/// The delivery of a lease that still holds.
fn held_by(connection: &Connection, lease: Lease) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT deliveries.seq FROM deliveries JOIN events ON events.seq = event_seq
             WHERE id = ?1 AND number = ?2 AND state = 2 AND lease_token = ?3",
        )?
        .query_row(params![lease.delivery.event, lease.delivery.number, lease.token], |row| row.get(0))
        .optional()
}

/// Puts a delivery back among those that wait, giving back so many attempts.
fn again(
    connection: &Connection,
    seq: i64,
    due_at: Moment,
    given_back: u32,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 0, due_at_ms = ?2, attempts = attempts - ?3, reason = ?4,
             lease_token = NULL, lease_until_ms = NULL WHERE seq = ?1",
        )?
        .execute(params![seq, due_at, given_back, reason])?;
    Ok(())
}

fn log(connection: &Connection, seq: i64, attempt: &NewAttempt) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO attempts (delivery_seq, attempt, started_at_ms, took_ms, status, detail)
             SELECT seq, attempts, ?2, ?3, ?4, ?5 FROM deliveries WHERE seq = ?1",
        )?
        .execute(params![
            seq,
            attempt.started_at,
            i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX),
            attempt.status,
            attempt.detail
        ])?;
    Ok(())
}
