//! Lets the first of a line go.

use super::changes::Changes;
use super::error::Fault;
use crate::ledger::DeliveryState;
use deadpool_postgres::Transaction;
use std::sync::Arc;

/// The first of each line, where it is held and nothing of the line is waiting or delivering.
const ADVANCE: &str = "
    UPDATE open SET state = 0, due_at = clock.tick
    FROM (
        SELECT first.event_id, first.number
        FROM unnest($1::bigint[]) AS locked (line)
        CROSS JOIN LATERAL (
            SELECT event_id, number FROM open WHERE open.line = locked.line AND state = 1 ORDER BY seq LIMIT 1
        ) AS first
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM open WHERE open.line = locked.line AND state IN (0, 2) LIMIT 1
        ) AS under_way ON true
        WHERE under_way.is_there IS NULL
    ) AS next, (SELECT tick() AS tick) AS clock
    WHERE open.event_id = next.event_id AND open.number = next.number
    RETURNING open.destination";

/// Has the first held delivery of each line wait for its attempt, due at once, unless another one of the line does so or is being
/// attempted. The lines are locked, and what they had under way was looked at in an earlier statement.
pub(super) async fn advance(transaction: &Transaction<'_>, changes: &mut Changes, lines: &[i64]) -> Result<(), Fault> {
    if lines.is_empty() {
        return Ok(());
    }
    let advance = transaction.prepare_cached(ADVANCE).await?;
    for row in transaction.query(&advance, &[&lines]).await? {
        let destination: Arc<str> = row.try_get::<_, &str>(0)?.into();
        changes.leave(&destination, DeliveryState::Held, 1);
        changes.enter(&destination, DeliveryState::Waiting, 1);
    }
    Ok(())
}
