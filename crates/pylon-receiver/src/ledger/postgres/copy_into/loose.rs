//! Lets the deliveries of a copy go that are in no line.

use super::super::changes::Changes;
use super::super::error::Fault;
use super::super::session::Use;
use super::super::transaction::Job;
use super::begun::{Stage, WITHIN, hold_to_release};
use super::number::of_destination;
use crate::ledger::DeliveryState;
use crate::ledger::copy::CopyId;
use deadpool_postgres::Transaction;
use std::time::Duration;

/// Deliveries in no line that are let go in one transaction.
const MOST_LOOSE: i64 = 2000;

/// Some deliveries that are in no line. Their events are there.
pub(super) struct Loose(pub(super) CopyId);

const RELEASE_LOOSE: &str = "
    WITH chosen AS MATERIALIZED (
        SELECT event_id, number FROM copied_deliveries WHERE seq IS NOT NULL AND line IS NULL ORDER BY seq LIMIT $1
    ), gone AS (
        DELETE FROM copied_deliveries AS copied USING chosen
        WHERE copied.event_id = chosen.event_id AND copied.number = chosen.number RETURNING copied.*
    ), released AS (
        INSERT INTO open (event_id, number, seq, destination, order_key, line, state, is_repeat, attempts, uncounted, interruptions, size,
            due_at, created_at, redelivery_of, reason, code)
        SELECT event_id, number, seq, destination, order_key, line, 0, is_repeat, attempts, uncounted, interruptions, size, at, created_at,
            redelivery_of, reason, code
        FROM gone ORDER BY seq
    )
    SELECT destination, count(*) FROM gone GROUP BY destination";

impl Job for Loose {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes) -> Result<u64, Fault> {
        if hold_to_release(transaction, self.0).await? == Stage::InUse {
            return Ok(0);
        }
        let release = transaction.prepare_cached(RELEASE_LOOSE).await?;
        let mut released = 0;
        for row in transaction.query(&release, &[&MOST_LOOSE]).await? {
            let (destination, number) = of_destination(&row, 1)?;
            changes.enter(&destination, DeliveryState::Waiting, number);
            released += number as u64;
        }
        Ok(released)
    }
}
