//! Lets a copy go.
//!
//! Events come first, with what of their deliveries has ended; those that have something left to do before all others. Then the
//! deliveries: what is in no line one by one, lines as a whole. Between its event's transaction and its own, a delivery is still in the
//! copy's table: `prune`, `redeliver` and `dead` look there too.

use super::super::changes::Changes;
use super::super::database::Database;
use super::super::error::Fault;
use super::super::session::Use;
use super::super::transaction::{Job, transact};
use super::super::wake::{EVERYWHERE, channel};
use super::begun::{Begun, Hold, Stage, WITHIN, not_as_expected, set_stage};
use super::lines::Lines;
use super::refused;
use crate::ledger::DeliveryState;
use crate::ledger::copy::CopyId;
use deadpool_postgres::Transaction;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// Events that are let go in one transaction, and the bytes of bodies after which no further one is.
const MOST_EVENTS: i64 = 1000;
const MOST_BYTES: i64 = 32 << 20;
/// Deliveries in no line that are let go in one transaction.
const MOST_LOOSE: i64 = 2000;
/// Deduplication keys that are no longer told from others, in one transaction.
const MOST_KEYS: i64 = 20_000;

/// Lets some go; says how many events and deliveries. Zero: the copy is in use, and stays so.
pub(super) async fn run(database: Arc<Database>, copy: CopyId) -> Result<u64, Fault> {
    for of in [Some(true), None, Some(false)] {
        let released = match of {
            Some(is_unfinished) => transact(&database, Events { copy, is_unfinished }).await?,
            None => match transact(&database, Loose(copy)).await? {
                0 => transact(&database, Lines(copy)).await?,
                released => released,
            },
        };
        if released > 0 {
            return Ok(released);
        }
    }
    while transact(&database, Keys(copy)).await? > 0 {}
    transact(&database, End { copy, channel: channel(database.id) }).await?;
    Ok(0)
}

/// Locks the copy until the end of the transaction; it is being let go from now on. Where all of it has gone before, the tables may have
/// another copy, so nothing may be done to them.
pub(super) async fn hold(transaction: &Transaction<'_>, copy: CopyId) -> Result<Stage, Fault> {
    let begun = Begun::find(transaction, copy, Hold::Alone).await?;
    match begun.map(|begun| begun.stage) {
        None => Err(not_as_expected("complete", "none")),
        Some(Stage::UnderWay) => Err(not_as_expected("complete", "one that is under way")),
        Some(Stage::Sealed) => {
            set_stage(transaction, copy, Stage::BeingReleased).await?;
            Ok(Stage::BeingReleased)
        }
        Some(stage) => Ok(stage),
    }
}

/// Some events, with what has ended of their deliveries.
struct Events {
    copy: CopyId,
    is_unfinished: bool,
}

/// What a receiver has recorded with the same id meanwhile stays: it is the same event, and was delivered from there.
const RELEASE: &str = "
    WITH gone AS (DELETE FROM copied_events WHERE id = ANY($1) RETURNING *)
    INSERT INTO events (id, endpoint, name, kind, method, target, query, parked, headers, body)
    SELECT id, endpoint, name, kind, method, target, query, parked, headers, body FROM gone ORDER BY id
    ON CONFLICT (id) DO NOTHING RETURNING id, parked IS NOT NULL";

const RELEASE_FINISHED: &str = "
    WITH gone AS (DELETE FROM copied_deliveries WHERE event_id = ANY($1) AND seq IS NULL RETURNING *),
    released AS (
        INSERT INTO finished (event_id, number, destination, order_key, line, state, attempts, finished_at, created_at, redelivery_of,
            reason)
        SELECT event_id, number, destination, order_key, line, state, attempts, at, created_at, redelivery_of, reason FROM gone
        ORDER BY event_id, number
    )
    SELECT destination, count(*) FROM gone WHERE state = 4 GROUP BY destination";

const RELEASE_ATTEMPTS: &str = "
    WITH gone AS (DELETE FROM copied_attempts WHERE event_id = ANY($1) RETURNING *)
    INSERT INTO attempts (event_id, number, attempt, started_at, took_ms, status, detail)
    SELECT event_id, number, attempt, started_at, took_ms, status, detail FROM gone ORDER BY event_id, number, attempt";

impl Job for Events {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes) -> Result<u64, Fault> {
        if hold(transaction, self.copy).await? == Stage::InUse {
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
            changes.enter(&destination, DeliveryState::Dead, number);
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

/// Forgets the deliveries of events of the copy.
pub(super) async fn forget_deliveries(transaction: &Transaction<'_>, events: &[Uuid]) -> Result<(), Fault> {
    let attempts = transaction.prepare_cached("DELETE FROM copied_attempts WHERE event_id = ANY($1)").await?;
    transaction.execute(&attempts, &[&events]).await?;
    let deliveries = transaction.prepare_cached("DELETE FROM copied_deliveries WHERE event_id = ANY($1)").await?;
    transaction.execute(&deliveries, &[&events]).await?;
    Ok(())
}

/// A destination, and a number of its deliveries in this column.
pub(super) fn of_destination(row: &Row, column: usize) -> Result<(Arc<str>, usize), Fault> {
    let number: i64 = row.try_get(column)?;
    Ok((row.try_get::<_, &str>(0)?.into(), usize::try_from(number).unwrap_or(0)))
}

/// Some deliveries that are in no line. Their events are there.
struct Loose(CopyId);

const RELEASE_LOOSE: &str = "
    WITH chosen AS MATERIALIZED (
        SELECT event_id, number FROM copied_deliveries WHERE seq IS NOT NULL AND line IS NULL ORDER BY seq LIMIT $1
    ), gone AS (
        DELETE FROM copied_deliveries AS copied USING chosen
        WHERE copied.event_id = chosen.event_id AND copied.number = chosen.number RETURNING copied.*
    ), released AS (
        INSERT INTO open (event_id, number, seq, destination, order_key, line, state, is_repeat, attempts, uncounted, interruptions, size,
            due_at, created_at, redelivery_of, reason)
        SELECT event_id, number, seq, destination, order_key, line, 0, is_repeat, attempts, uncounted, interruptions, size, at, created_at,
            redelivery_of, reason
        FROM gone ORDER BY seq
    )
    SELECT destination, count(*) FROM gone GROUP BY destination";

impl Job for Loose {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes) -> Result<u64, Fault> {
        if hold(transaction, self.0).await? == Stage::InUse {
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

/// Some deduplication keys: from now on they are pruned as others are.
struct Keys(CopyId);

impl Job for Keys {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<u64, Fault> {
        if hold(transaction, self.0).await? == Stage::InUse {
            return Ok(0);
        }
        let forget = "
            WITH chosen AS MATERIALIZED (SELECT endpoint, key FROM copied_keys ORDER BY endpoint, key LIMIT $1)
            DELETE FROM copied_keys USING chosen WHERE copied_keys.endpoint = chosen.endpoint AND copied_keys.key = chosen.key";
        let forget = transaction.prepare_cached(forget).await?;
        Ok(transaction.execute(&forget, &[&MOST_KEYS]).await?)
    }
}

/// The end: refused requests are shown, the copy is in use.
struct End {
    copy: CopyId,
    channel: String,
}

impl Job for End {
    type Answer = ();
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;
    // Nobody runs the command again whose last transaction was lost.
    const IS_DURABLE: bool = true;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<(), Fault> {
        if hold(transaction, self.copy).await? == Stage::InUse {
            return Ok(());
        }
        refused::release(transaction).await?;
        set_stage(transaction, self.copy, Stage::InUse).await?;
        // What was told before may not have been sent, and the command ends now.
        let notify = transaction.prepare_cached("SELECT pg_notify($1, $2)").await?;
        transaction.execute(&notify, &[&self.channel, &EVERYWHERE]).await?;
        Ok(())
    }
}
