//! Deliveries of a destination that is gone: to another destination, or dropped. A limited number of them at a call, and of those in
//! lines whole lines, so that nothing overtakes.
//!
//! Three short transactions a call: those in no line, some lines, the dead.

use super::advance::advance;
use super::changes::Changes;
use super::error::Fault;
use super::line::{line_of, lock};
use super::row::state_of;
use super::session::Use;
use super::under_order::{OrderJob, UnderOrder};
use crate::ledger::{Carried, DeliveryState};
use deadpool_postgres::Transaction;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Deliveries without an order key, and dead ones, of one call.
const MOST: i64 = 500;
/// Lines of one call.
const MOST_LINES: i64 = 50;
/// How long that may take: a line goes as a whole, however long it is.
const LONGEST: Duration = Duration::from_secs(300);
/// How often a call looks for lines anew whose first delivery was claimed between its look and its lock.
const LOOKS: usize = 5;

/// Gives deliveries to another destination.
pub(super) async fn to_another(order: UnderOrder<'_>, from: &Arc<str>, to: &Arc<str>) -> Result<Carried, Fault> {
    if from == to {
        return order.transact(Nothing, None, 0).await;
    }
    reassign(order, from, Some(to)).await
}

/// Drops deliveries.
pub(super) async fn drop_all(order: UnderOrder<'_>, destination: &Arc<str>) -> Result<Carried, Fault> {
    reassign(order, destination, None).await
}

/// Gives deliveries to the other destination, or drops them where there is none.
async fn reassign(order: UnderOrder<'_>, from: &Arc<str>, to: Option<&Arc<str>>) -> Result<Carried, Fault> {
    if from.contains('\0') {
        // PostgreSQL's texts have none.
        return order.transact(Nothing, None, 0).await;
    }
    let places = Places { ledger: order.database.id, from, to };
    let mut carried = order.transact(Loose(places), None, 0).await?;
    if !carried.is_over {
        carried = carried.and(some_lines(order, places, LINES).await?);
    }
    if !carried.is_over {
        carried = carried.and(order.transact(Dead(places), None, 0).await?);
    }
    // Asked last, and only once nothing else is left: it goes through the whole table.
    if carried.done > 0 || carried.is_over { Ok(carried) } else { some_lines(order, places, STRANDED).await }
}

async fn some_lines(order: UnderOrder<'_>, places: Places<'_>, find: &'static str) -> Result<Carried, Fault> {
    for _ in 0..LOOKS {
        let looked = AtomicBool::new(false);
        let carried = order.transact(SomeLines { places, find, has_found: &looked }, None, 0).await?;
        if carried.done > 0 || carried.is_over || !looked.into_inner() {
            return Ok(carried);
        }
    }
    Ok(Carried::default())
}

/// Where there is nothing to do.
struct Nothing;

impl OrderJob for Nothing {
    async fn run(&self, _: &Transaction<'_>, _: &mut Changes, _: i64) -> Result<u64, Fault> {
        Ok(0)
    }
}

/// Where deliveries are taken from, and where they go: to another destination, or nowhere.
#[derive(Clone, Copy)]
struct Places<'a> {
    ledger: Uuid,
    from: &'a Arc<str>,
    to: Option<&'a Arc<str>>,
}

/// What waits in no line.
struct Loose<'a>(Places<'a>);
/// Some lines of which nothing is being delivered.
#[derive(Clone, Copy)]
struct SomeLines<'a> {
    places: Places<'a>,
    /// What finds them.
    find: &'static str,
    /// Whether it has found any.
    has_found: &'a AtomicBool,
}
/// Dead ones.
struct Dead<'a>(Places<'a>);

/// Waiting ones in no line, locked: what is being claimed at this moment is waited for, and left out.
const LOOSE: &str = "
    WITH loose AS MATERIALIZED (
        SELECT event_id, number FROM open WHERE destination = $1 AND state = 0 AND line IS NULL
        ORDER BY is_repeat, due_at, seq LIMIT $2 FOR UPDATE
    )";

impl OrderJob for Loose<'_> {
    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes, order: i64) -> Result<u64, Fault> {
        let Places { from, to, .. } = self.0;
        let done = match to {
            Some(to) => {
                let give = format!(
                "{LOOSE} UPDATE open SET destination = $3, due_at = clock.tick, order_number = $4 FROM loose, (SELECT tick() AS tick) AS clock
                 WHERE open.event_id = loose.event_id AND open.number = loose.number"
            );
                let give = transaction.prepare_cached(&give).await?;
                let given = transaction.execute(&give, &[&&**from, &MOST, &&**to, &order]).await?;
                changes.enter(to, DeliveryState::Waiting, given as usize);
                given
            }
            None => {
                let drop = format!(
                    "{LOOSE}, gone AS (
                    DELETE FROM open USING loose WHERE open.event_id = loose.event_id AND open.number = loose.number
                    RETURNING open.*
                ) {DROPPED}"
                );
                let drop = transaction.prepare_cached(&drop).await?;
                transaction.execute(&drop, &[&&**from, &MOST, &order]).await?
            }
        };
        changes.leave(from, DeliveryState::Waiting, done as usize);
        Ok(done)
    }
}

/// Where those go that are dropped by the order `$3`. A settlement whose answer was lost is known by its token afterwards.
const DROPPED: &str = "
    INSERT INTO finished (event_id, number, destination, order_key, line, state, attempts, finished_at, created_at,
        redelivery_of, reason, token, code, order_number)
    SELECT event_id, number, destination, order_key, line, 5, attempts + interruptions, (SELECT wall_ms()), created_at,
        redelivery_of, reason, settled_token, code, $3
    FROM gone";

/// Lines of which one waits.
const LINES: &str = "
    SELECT line, order_key FROM open WHERE destination = $1 AND state = 0 AND line IS NOT NULL
    ORDER BY is_repeat, due_at, seq LIMIT $2";
/// Lines of which none waits and none is being delivered: there are none, unless somebody has changed the tables by hand. No index leads to
/// them.
const STRANDED: &str = "
    SELECT DISTINCT ON (held.line) held.line, held.order_key FROM open AS held
    LEFT JOIN LATERAL (
        SELECT true AS is_there FROM open WHERE open.line = held.line AND open.state IN (0, 2) LIMIT 1
    ) AS under_way ON true
    WHERE held.destination = $1 AND held.state = 1 AND held.line IS NOT NULL AND under_way.is_there IS NULL
    ORDER BY held.line, held.seq LIMIT $2";

impl OrderJob for SomeLines<'_> {
    const WITHIN: Duration = LONGEST;

    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes, order: i64) -> Result<u64, Fault> {
        // Here it is an operator who waits, and lines are found by their indexes as on other connections.
        transaction.batch_execute("SET LOCAL synchronous_commit TO local; SET LOCAL enable_seqscan TO off").await?;
        let Places { ledger, from, to } = self.places;
        let find = transaction.prepare_cached(self.find).await?;
        let found = transaction.query(&find, &[&&**from, &MOST_LINES]).await?;
        // Each line, and where it goes.
        let mut lines = BTreeMap::new();
        for row in found {
            let (line, order_key): (i64, Option<&[u8]>) = (row.try_get(0)?, row.try_get(1)?);
            let goes_to = to.map(|to| line_of(ledger, to, order_key)).transpose()?.flatten();
            lines.insert(line, goes_to.unwrap_or(line));
        }
        if lines.is_empty() {
            return Ok(0);
        }
        self.has_found.store(true, Ordering::Relaxed);
        let all: BTreeSet<i64> = lines.iter().flat_map(|(&line, &goes_to)| [line, goes_to]).collect();
        lock(transaction, &all).await?;
        let stays = under_way(transaction, &all).await?;
        lines.retain(|line, _| !stays.contains(line));
        match to {
            Some(to) => give_lines(transaction, changes, order, (from, to), &lines).await,
            None => drop_lines(transaction, changes, order, from, &lines).await,
        }
    }
}

/// Locks what is waiting or delivering in the lines, so that nobody claims it meanwhile; says in which lines something is being delivered.
async fn under_way(transaction: &Transaction<'_>, lines: &BTreeSet<i64>) -> Result<HashSet<i64>, Fault> {
    let lines: Vec<i64> = lines.iter().copied().collect();
    let lock = "
        SELECT line, state FROM open WHERE line = ANY($1) AND state IN (0, 2) ORDER BY event_id, number FOR UPDATE";
    let lock = transaction.prepare_cached(lock).await?;
    let mut delivering = HashSet::new();
    for row in transaction.query(&lock, &[&lines]).await? {
        if state_of(row.try_get(1)?)? == DeliveryState::Delivering {
            delivering.insert(row.try_get(0)?);
        }
    }
    Ok(delivering)
}

/// How many of the lines' deliveries to a destination are in each state.
const COUNT: &str = "
    SELECT state, count(*) FROM open WHERE line = ANY($1) AND destination = $2 AND state IN (0, 1) GROUP BY state";
/// All of them are held first.
const GIVE: &str = "
    UPDATE open SET destination = $3, line = moving.goes_to, state = 1, order_number = $5
    FROM unnest($1::bigint[], $4::bigint[]) AS moving (line, goes_to)
    WHERE open.line = moving.line AND open.destination = $2 AND open.state IN (0, 1)
    RETURNING open.line, open.seq";
/// What waited in a line is held behind what was made before it.
const HOLD: &str = "
    UPDATE open SET state = 1 FROM unnest($1::bigint[], $2::bigint[]) AS joined (line, seq)
    WHERE open.line = joined.line AND open.state = 0 AND open.seq > joined.seq
    RETURNING open.destination";

async fn give_lines(
    transaction: &Transaction<'_>,
    changes: &mut Changes,
    order: i64,
    (from, to): (&Arc<str>, &Arc<str>),
    lines: &BTreeMap<i64, i64>,
) -> Result<u64, Fault> {
    let (lines, goes_to): (Vec<i64>, Vec<i64>) = lines.iter().unzip();
    let count = transaction.prepare_cached(COUNT).await?;
    for row in transaction.query(&count, &[&lines, &&**from]).await? {
        let number: i64 = row.try_get(1)?;
        changes.leave(from, state_of(row.try_get(0)?)?, number as usize);
    }
    let give = transaction.prepare_cached(GIVE).await?;
    let mut given = 0;
    // The earliest that joined each line.
    let mut joined: BTreeMap<i64, i64> = BTreeMap::new();
    for row in transaction.query(&give, &[&lines, &&**from, &&**to, &goes_to, &order]).await? {
        let (line, seq): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        joined.entry(line).and_modify(|earliest| *earliest = seq.min(*earliest)).or_insert(seq);
        given += 1;
    }
    changes.enter(to, DeliveryState::Held, given);

    let (joined, earliest): (Vec<i64>, Vec<i64>) = joined.into_iter().unzip();
    let hold = transaction.prepare_cached(HOLD).await?;
    for row in transaction.query(&hold, &[&joined, &earliest]).await? {
        let destination: Arc<str> = row.try_get::<_, &str>(0)?.into();
        changes.leave(&destination, DeliveryState::Waiting, 1);
        changes.enter(&destination, DeliveryState::Held, 1);
    }
    let all: Vec<i64> = lines.into_iter().chain(joined).collect();
    advance(transaction, changes, &all).await?;
    Ok(given as u64)
}

async fn drop_lines(
    transaction: &Transaction<'_>,
    changes: &mut Changes,
    order: i64,
    from: &Arc<str>,
    lines: &BTreeMap<i64, i64>,
) -> Result<u64, Fault> {
    let lines: Vec<i64> = lines.keys().copied().collect();
    let drop = format!(
        "WITH gone AS (
            DELETE FROM open WHERE line = ANY($1) AND destination = $2 AND state IN (0, 1) RETURNING open.*
        ), dropped AS ({DROPPED})
        SELECT state, count(*) FROM gone GROUP BY state"
    );
    let drop = transaction.prepare_cached(&drop).await?;
    let mut dropped = 0;
    for row in transaction.query(&drop, &[&lines, &&**from, &order]).await? {
        let number: i64 = row.try_get(1)?;
        changes.leave(from, state_of(row.try_get(0)?)?, number as usize);
        dropped += number.cast_unsigned();
    }
    // Where two lines share a number, the other one goes on.
    advance(transaction, changes, &lines).await?;
    Ok(dropped)
}

impl OrderJob for Dead<'_> {
    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes, order: i64) -> Result<u64, Fault> {
        let Places { ledger, from, to } = self.0;
        let find = "
        SELECT event_id, number, order_key, code FROM finished WHERE destination = $1 AND state = 4
        ORDER BY event_id, number LIMIT $2 FOR UPDATE";
        let find = transaction.prepare_cached(find).await?;
        let (mut events, mut numbers, mut lines): (Vec<Uuid>, Vec<i32>, Vec<Option<i64>>) = Default::default();
        for row in transaction.query(&find, &[&&**from, &MOST]).await? {
            events.push(row.try_get(0)?);
            numbers.push(row.try_get(1)?);
            let line = to.map(|to| line_of(ledger, to, row.try_get(2)?)).transpose()?;
            lines.push(line.flatten());
            let code: Option<&str> = row.try_get(3)?;
            changes.count_dead(from, code, -1);
            if let Some(to) = to {
                changes.count_dead(to, code, 1);
            }
        }
        if events.is_empty() {
            return Ok(0);
        }
        let done = match to {
            Some(to) => {
                let give = "
                UPDATE finished SET destination = $4, line = dead.line, order_number = $5
                FROM unnest($1::uuid[], $2::integer[], $3::bigint[]) AS dead (event_id, number, line)
                WHERE finished.event_id = dead.event_id AND finished.number = dead.number";
                let give = transaction.prepare_cached(give).await?;
                transaction.execute(&give, &[&events, &numbers, &lines, &&**to, &order]).await?
            }
            None => {
                let drop = "
                UPDATE finished SET state = 5, finished_at = wall.now, order_number = $3
                FROM unnest($1::uuid[], $2::integer[]) AS dead (event_id, number), (SELECT wall_ms() AS now) AS wall
                WHERE finished.event_id = dead.event_id AND finished.number = dead.number";
                let drop = transaction.prepare_cached(drop).await?;
                transaction.execute(&drop, &[&events, &numbers, &order]).await?
            }
        };
        Ok(done)
    }
}
