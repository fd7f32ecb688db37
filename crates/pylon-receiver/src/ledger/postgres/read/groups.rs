//! The dead in groups.

use super::super::database::Database;
use super::super::error::Fault;
use super::super::row::{attempt, delivery_of, moment_of, text_of};
use super::bounded;
use crate::ledger::DeadGroup;
use std::sync::Arc;
use tokio_postgres::Row;

/// The tallies say how many they are. The first and the last of each group are found by the index.
const GROUPS: &str = "
    SELECT sums.destination, nullif(sums.code, ''), sums.dead, first.finished_at, last.finished_at, last.event_id, last.number,
        last.reason, attempt.*
    FROM (
        SELECT destination, code, sum(dead)::bigint AS dead FROM tallies GROUP BY destination, code HAVING sum(dead) > 0
    ) AS sums
    CROSS JOIN LATERAL (
        SELECT finished_at FROM finished
        WHERE finished.destination = sums.destination AND coalesce(finished.code, '') = sums.code AND state = 4
        ORDER BY finished_at LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
        SELECT finished_at, event_id, number, reason FROM finished
        WHERE finished.destination = sums.destination AND coalesce(finished.code, '') = sums.code AND state = 4
        ORDER BY finished_at DESC LIMIT 1
    ) AS last
    LEFT JOIN LATERAL (
        SELECT attempt, started_at, took_ms, status, detail, code, answer_type, answer, answer_is_cut FROM attempts
        WHERE attempts.event_id = last.event_id AND attempts.number = last.number ORDER BY attempt DESC LIMIT 1
    ) AS attempt ON true
    ORDER BY sums.destination, sums.code";

pub(in super::super) async fn dead_groups(database: Arc<Database>) -> Result<Vec<DeadGroup>, Fault> {
    bounded::read(&database, async |connection| {
        let groups = connection.prepare_cached(GROUPS).await?;
        connection.query(&groups, &[]).await?.iter().map(read).collect()
    })
    .await
}

/// The column with the number of the last attempt.
const ATTEMPT: usize = 8;

fn read(row: &Row) -> Result<DeadGroup, Fault> {
    let answer = match row.try_get::<_, Option<i32>>(ATTEMPT)? {
        Some(_) => attempt(row, ATTEMPT)?.answer,
        None => None,
    };
    Ok(DeadGroup {
        destination: row.try_get(0)?,
        code: row.try_get(1)?,
        dead: row.try_get::<_, i64>(2)?.max(0).cast_unsigned(),
        first_at: moment_of(row.try_get(3)?),
        last_at: moment_of(row.try_get(4)?),
        sample: delivery_of(row.try_get(5)?, row.try_get(6)?),
        reason: row.try_get::<_, Option<Vec<u8>>>(7)?.map(text_of).transpose()?,
        answer,
    })
}
