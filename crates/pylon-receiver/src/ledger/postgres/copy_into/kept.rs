//! Lets the events of a copy go, with what has ended of their deliveries.

use super::super::changes::Changes;
use super::super::error::Fault;
use super::super::session::Use;
use super::super::transaction::Job;
use super::begun::{Stage, WITHIN, hold_to_release};
use super::events::forget_deliveries;
use super::number::of_destination;
use crate::ledger::copy::CopyId;
use deadpool_postgres::Transaction;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// Events that are let go in one transaction, and the bytes of bodies after which no further one is.
const MOST_EVENTS: i64 = 1000;
const MOST_BYTES: i64 = 32 << 20;

/// Some events, with what has ended of their deliveries.
pub(super) struct Events {
    pub(super) copy: CopyId,
    /// Only those that have something left to do.
    pub(super) is_unfinished: bool,
}

/// What a receiver has recorded with the same id meanwhile stays: it is the same event, and was delivered from there.
const RELEASE: &str = "
    WITH gone AS (DELETE FROM copied_events WHERE id = ANY($1) RETURNING *),
    released AS (
        INSERT INTO events (id, endpoint, name, kind, method, target, query, parked, headers, body)
        SELECT id, endpoint, name, kind, method, target, query, parked, headers, body FROM gone ORDER BY id
        ON CONFLICT (id) DO NOTHING RETURNING id, parked IS NOT NULL AS is_parked, octet_length(body) AS bytes
    ),
    unindexed AS (
        INSERT INTO unindexed_events (events, bytes) SELECT array_agg(id), sum(bytes) FROM released HAVING count(*) > 0
    )
    SELECT id, is_parked FROM released";

const RELEASE_FINISHED: &str = "
    WITH gone AS (DELETE FROM copied_deliveries WHERE event_id = ANY($1) AND seq IS NULL RETURNING *),
    released AS (
        INSERT INTO finished (event_id, number, destination, order_key, line, state, attempts, finished_at, created_at, redelivery_of,
            reason, code)
        SELECT event_id, number, destination, order_key, line, state, attempts, at, created_at, redelivery_of, reason, code FROM gone
        ORDER BY event_id, number
    )
    SELECT destination, count(*), code FROM gone WHERE state = 4 GROUP BY destination, code";

const RELEASE_ATTEMPTS: &str = "
    WITH gone AS (DELETE FROM copied_attempts WHERE event_id = ANY($1) RETURNING *)
    INSERT INTO attempts (event_id, number, attempt, started_at, took_ms, status, detail, code, answer_type, answer, answer_is_cut)
    SELECT event_id, number, attempt, started_at, took_ms, status, detail, code, answer_type, answer, answer_is_cut FROM gone
    ORDER BY event_id, number, attempt";

impl Job for Events {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes) -> Result<u64, Fault> {
        if hold_to_release(transaction, self.copy).await? == Stage::InUse {
            return Ok(0);
        }
        let chosen = self.choose(transaction).await?;
        if chosen.is_empty() {
            return Ok(0);
        }
        let release = transaction.prepare_cached(RELEASE).await?;
        let (mut released, mut parked) = (HashSet::with_capacity(chosen.len()), 0);
        for row in transaction.query(&release, &[&chosen]).await? {
            released.insert(row.try_get::<_, Uuid>(0)?);
            parked += i64::from(row.try_get::<_, bool>(1)?);
        }
        changes.tallies.count_events(released.len() as i64, parked);
        let known: Vec<Uuid> = chosen.iter().copied().filter(|id| !released.contains(id)).collect();
        if !known.is_empty() {
            tracing::warn!(number = known.len(), "events of the copy were recorded here meanwhile: those stay");
            forget_deliveries(transaction, &known).await?;
        }
        let finished = transaction.prepare_cached(RELEASE_FINISHED).await?;
        for row in transaction.query(&finished, &[&chosen]).await? {
            let (destination, number) = of_destination(&row, 1)?;
            changes.count_dead(&destination, row.try_get(2)?, number as i64);
        }
        let attempts = transaction.prepare_cached(RELEASE_ATTEMPTS).await?;
        transaction.execute(&attempts, &[&chosen]).await?;
        Ok(chosen.len() as u64)
    }
}

impl Events {
    /// Which ones.
    async fn choose(&self, transaction: &Transaction<'_>) -> Result<Vec<Uuid>, Fault> {
        let choose = match self.is_unfinished {
            true => "SELECT id, octet_length(body) FROM copied_events WHERE is_unfinished ORDER BY id LIMIT $1",
            false => "SELECT id, octet_length(body) FROM copied_events ORDER BY id LIMIT $1",
        };
        let choose = transaction.prepare_cached(choose).await?;
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        for row in transaction.query(&choose, &[&MOST_EVENTS]).await? {
            chosen.push(row.try_get(0)?);
            bytes += i64::from(row.try_get::<_, i32>(1)?);
            if bytes >= MOST_BYTES {
                break;
            }
        }
        Ok(chosen)
    }
}
