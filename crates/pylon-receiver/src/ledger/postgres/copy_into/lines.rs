//! Lets the lines of a copy go, each as a whole: were it in parts, what is recorded meanwhile would come between them.

use super::super::changes::Changes;
use super::super::error::Fault;
use super::super::line::lock;
use super::super::row::state_of;
use super::super::session::Use;
use super::super::transaction::Job;
use super::begun::{Stage, WITHIN, hold_to_release};
use super::number::of_destination;
use crate::ledger::copy::CopyId;
use deadpool_postgres::Transaction;
use std::collections::BTreeSet;
use std::time::Duration;

/// Deliveries whose lines are let go in one transaction. The last line may be longer.
const MOST: i64 = 1000;

/// Some lines. The events of their deliveries are there.
pub(super) struct Lines(pub(super) CopyId);

/// One of each line waits, unless the ledger has one that waits or is delivering: that of the copy that was waiting, if there is one. The
/// others are held, and go by their seq. One that was held behind something that is not of the copy is due at once.
const RELEASE: &str = "
    WITH gone AS (
        DELETE FROM copied_deliveries WHERE line = ANY($1) AND line IS NOT NULL AND seq IS NOT NULL RETURNING *
    ), placed AS (
        SELECT gone.*, row_number() OVER (PARTITION BY line ORDER BY state, seq) AS place FROM gone
    ), released AS (
        INSERT INTO open (event_id, number, seq, destination, order_key, line, state, is_repeat, attempts, uncounted, interruptions, size,
            due_at, created_at, redelivery_of, reason, code)
        SELECT event_id, number, seq, destination, order_key, placed.line,
            CASE WHEN place = 1 AND before.is_there IS NULL THEN 0 ELSE 1 END, is_repeat, attempts, uncounted, interruptions, size,
            CASE WHEN placed.state = 0 THEN at ELSE clock.tick END, created_at, redelivery_of, reason, code
        FROM placed CROSS JOIN (SELECT tick() AS tick) AS clock
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM open WHERE placed.place = 1 AND open.line = placed.line AND open.state IN (0, 2) LIMIT 1
        ) AS before ON true
        ORDER BY seq
        RETURNING destination, state
    )
    SELECT destination, state, count(*) FROM released GROUP BY destination, state";

impl Job for Lines {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes) -> Result<u64, Fault> {
        if hold_to_release(transaction, self.0).await? == Stage::InUse {
            return Ok(0);
        }
        let choose = "
            SELECT line FROM copied_deliveries WHERE seq IS NOT NULL AND line IS NOT NULL ORDER BY line LIMIT $1";
        let choose = transaction.prepare_cached(choose).await?;
        let mut lines = BTreeSet::new();
        for row in transaction.query(&choose, &[&MOST]).await? {
            lines.insert(row.try_get(0)?);
        }
        if lines.is_empty() {
            return Ok(0);
        }
        lock(transaction, &lines).await?;
        let lines: Vec<i64> = lines.into_iter().collect();
        let release = transaction.prepare_cached(RELEASE).await?;
        let mut released = 0;
        for row in transaction.query(&release, &[&lines]).await? {
            let (destination, number) = of_destination(&row, 2)?;
            changes.enter(&destination, state_of(row.try_get(1)?)?, number);
            released += number as u64;
        }
        Ok(released)
    }
}
