//! Puts deliveries in that an operator ordered: due at once, or behind those of their line.

use super::changes::Changes;
use super::error::Fault;
use super::row::state_of;
use deadpool_postgres::Transaction;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// A delivery to put in. Its event and its line are locked.
pub(super) struct NewRow {
    pub(super) event: Uuid,
    pub(super) number: i32,
    pub(super) destination: Arc<str>,
    pub(super) order_key: Option<Vec<u8>>,
    pub(super) line: Option<i64>,
    /// Bytes of the event's body.
    pub(super) size: i32,
    pub(super) redelivery_of: Option<i32>,
}

/// `is_behind`: behind one of the same line in this statement. The numbers of the order are drawn from the sorted rows.
const INSERT: &str = "
    INSERT INTO open (event_id, number, destination, order_key, line, size, redelivery_of, state, is_repeat, due_at, created_at, seq,
        order_number)
    SELECT event_id, number, destination, order_key, line, size, redelivery_of, state, true, tick, wall, nextval('deliveries_seq'), $9
    FROM (
        SELECT new.*, CASE WHEN new.is_behind OR before.is_there THEN 1 ELSE 0 END AS state, clock.tick, clock.wall
        FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::bytea[], $5::bigint[], $6::integer[], $7::integer[], $8::boolean[])
            WITH ORDINALITY AS new (event_id, number, destination, order_key, line, size, redelivery_of, is_behind, place)
        CROSS JOIN (SELECT tick() AS tick, wall_ms() AS wall) AS clock
        LEFT JOIN LATERAL (SELECT true AS is_there FROM open WHERE open.line = new.line LIMIT 1) AS before ON true
        ORDER BY new.place
    ) AS sorted
    RETURNING destination, state";

/// Puts the deliveries in, in this order.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    changes: &mut Changes,
    order: i64,
    rows: &[NewRow],
) -> Result<u64, Fault> {
    if rows.is_empty() {
        return Ok(0);
    }
    let mut lines = HashSet::new();
    let is_behind: Vec<bool> = rows.iter().map(|row| row.line.is_some_and(|line| !lines.insert(line))).collect();
    let events: Vec<Uuid> = rows.iter().map(|row| row.event).collect();
    let numbers: Vec<i32> = rows.iter().map(|row| row.number).collect();
    let destinations: Vec<&str> = rows.iter().map(|row| &*row.destination).collect();
    let order_keys: Vec<Option<&[u8]>> = rows.iter().map(|row| row.order_key.as_deref()).collect();
    let lines: Vec<Option<i64>> = rows.iter().map(|row| row.line).collect();
    let sizes: Vec<i32> = rows.iter().map(|row| row.size).collect();
    let redelivery_of: Vec<Option<i32>> = rows.iter().map(|row| row.redelivery_of).collect();
    let insert = transaction.prepare_cached(INSERT).await?;
    let inserted = transaction
        .query(
            &insert,
            &[&events, &numbers, &destinations, &order_keys, &lines, &sizes, &redelivery_of, &is_behind, &order],
        )
        .await?;
    for row in &inserted {
        let destination: Arc<str> = row.try_get::<_, &str>(0)?.into();
        changes.enter(&destination, state_of(row.try_get(1)?)?, 1);
    }
    Ok(inserted.len() as u64)
}

/// Locks the events that there are, so that they stay and nobody else adds deliveries; says the size of each one's body.
pub(super) async fn lock_events(transaction: &Transaction<'_>, events: &[Uuid]) -> Result<HashMap<Uuid, i32>, Fault> {
    let lock = "SELECT id, octet_length(body) FROM events WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
    let lock = transaction.prepare_cached(lock).await?;
    let rows = transaction.query(&lock, &[&events]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
