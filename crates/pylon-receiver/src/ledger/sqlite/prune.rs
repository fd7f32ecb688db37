//! Forgets what is done and old, a little at a time.

use super::clock::Tick;
use super::transaction::Transaction;
use crate::id::EventId;
use crate::ledger::{Prune, Pruned};
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// Events looked at in one call: few enough that their deletion holds up no commit for long.
const MOST_EVENTS: usize = 500;
/// For how long an owner that does not ask again keeps others from pruning.
const OWNED_FOR: Duration = Duration::from_secs(180);

/// Goes on where the last call ended, and begins anew at the end.
pub(super) fn run(transaction: &mut Transaction<'_>, prune: &Prune) -> rusqlite::Result<Pruned> {
    let connection = transaction.connection;
    let now = transaction.now;
    let chore: Option<(bool, Option<Vec<u8>>)> = connection
        .prepare_cached("SELECT owner <> ?1 AND until_ms > ?2, place FROM chores WHERE name = 'prune'")?
        .query_row(params![prune.owner, now.tick], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (is_elsewhere, place) = chore.unwrap_or_default();
    if is_elsewhere {
        return Ok(Pruned::Elsewhere);
    }
    let (events, place) = match prune.kept_for {
        Some(kept_for) => forget_events(transaction, &place.unwrap_or_default(), kept_for)?,
        None => (0, None),
    };
    let keys = forget_keys(connection, now.tick)?;
    connection
        .prepare_cached(
            "INSERT INTO chores (name, owner, until_ms, place) VALUES ('prune', ?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until_ms = excluded.until_ms, place = excluded.place",
        )?
        .execute(params![prune.owner, now.tick.after(OWNED_FOR), place.map(|id| *id.as_bytes())])?;
    Ok(Pruned::Here { events, more: place.is_some() || keys == MOST_EVENTS })
}

/// Forgets some of the deduplication keys whose time is over; says how many.
pub(super) fn forget_keys(connection: &Connection, now: Tick) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM deduplication_keys WHERE (endpoint, key) IN
             (SELECT endpoint, key FROM deduplication_keys WHERE expires_at_ms <= ?1 LIMIT ?2)",
        )?
        .execute(params![now, MOST_EVENTS as i64])
}

/// Forgets some of the events behind the place; says how many, and where to go on.
fn forget_events(
    transaction: &mut Transaction<'_>,
    behind: &[u8],
    kept_for: Duration,
) -> rusqlite::Result<(u64, Option<EventId>)> {
    let connection = transaction.connection;
    let before = EventId::first_at(transaction.now.wall.before(kept_for));
    let old = connection
        .prepare_cached(
            "SELECT seq, id, parked IS NOT NULL FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
        )?
        .query_map(params![behind, before, MOST_EVENTS as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(i64, EventId, bool)>, _>>()?;
    let (mut forgotten, mut parked) = (0, 0);
    for &(seq, id, is_parked) in &old {
        if is_done(connection, seq, is_parked)? {
            forget(connection, seq, id)?;
            forgotten += 1;
            parked += i64::from(is_parked);
        }
    }
    transaction.count_events(-forgotten, -parked);
    let is_full = old.len() == MOST_EVENTS;
    Ok((forgotten.cast_unsigned(), old.last().filter(|_| is_full).map(|&(_, id, _)| id)))
}

/// Whether nothing of an event is waiting, held, delivering or dead; and whether a parked one was ever redelivered.
fn is_done(connection: &Connection, seq: i64, is_parked: bool) -> rusqlite::Result<bool> {
    let unfinished = "SELECT 1 FROM deliveries WHERE event_seq = ?1 AND state IN (10, 11, 21) LIMIT 1";
    if connection.prepare_cached(unfinished)?.exists([seq])? {
        return Ok(false);
    }
    Ok(!is_parked
        || connection.prepare_cached("SELECT 1 FROM deliveries WHERE event_seq = ?1 LIMIT 1")?.exists([seq])?)
}

/// Forgets an event and all that belongs to it, except for a deduplication key that has a time of its own.
pub(super) fn forget(connection: &Connection, seq: i64, id: EventId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM attempts WHERE delivery_seq IN (SELECT seq FROM deliveries WHERE event_seq = ?1)")?
        .execute([seq])?;
    connection.prepare_cached("DELETE FROM deliveries WHERE event_seq = ?1")?.execute([seq])?;
    connection
        .prepare_cached("DELETE FROM deduplication_keys WHERE event_id = ?1 AND expires_at_ms IS NULL")?
        .execute([id])?;
    connection.prepare_cached("DELETE FROM events WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}
