//! Forgets what is done and old, a little at a time.

use super::writer::Transaction;
use crate::id::EventId;
use crate::ledger::Pruned;
use crate::time::Moment;
use rusqlite::{Connection, params};

/// Events looked at in one call: so many deletions hold up no commit for long.
const MOST_EVENTS: usize = 500;

/// Goes on where the last call ended, and begins anew when it has come to the end.
pub(super) fn run(
    transaction: &mut Transaction<'_>,
    (received_before, now): &(Moment, Moment),
) -> rusqlite::Result<Pruned> {
    let connection = transaction.connection;
    let begin = transaction.pruned_to.unwrap_or_default();
    let old = connection
        .prepare_cached(
            "SELECT seq, id, parked IS NOT NULL FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
        )?
        .query_map(params![begin, EventId::first_at(*received_before), MOST_EVENTS as i64], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<Vec<(i64, EventId, bool)>, _>>()?;
    let mut pruned = Pruned::default();
    for &(seq, id, is_parked) in &old {
        if is_done(connection, seq, is_parked)? {
            forget(connection, seq, id)?;
            pruned.events += 1;
        }
    }
    let is_full = old.len() == MOST_EVENTS;
    *transaction.pruned_to = old.last().filter(|_| is_full).map(|(_, id, _)| *id.as_bytes());
    let keys = connection
        .prepare_cached(
            "DELETE FROM deduplication_keys WHERE (endpoint, key) IN
             (SELECT endpoint, key FROM deduplication_keys WHERE expires_at_ms <= ?1 LIMIT ?2)",
        )?
        .execute(params![now, MOST_EVENTS as i64])?;
    pruned.more = is_full || keys == MOST_EVENTS;
    Ok(pruned)
}

/// Whether nothing of an event is waiting, held, delivering or dead; and, of one that was parked, whether it was ever redelivered.
fn is_done(connection: &Connection, seq: i64, is_parked: bool) -> rusqlite::Result<bool> {
    let unfinished = "SELECT 1 FROM deliveries WHERE event_seq = ?1 AND state IN (0, 1, 2, 4) LIMIT 1";
    if connection.prepare_cached(unfinished)?.exists([seq])? {
        return Ok(false);
    }
    Ok(!is_parked
        || connection.prepare_cached("SELECT 1 FROM deliveries WHERE event_seq = ?1 LIMIT 1")?.exists([seq])?)
}

fn forget(connection: &Connection, seq: i64, id: EventId) -> rusqlite::Result<()> {
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
