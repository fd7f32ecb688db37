//! Dead deliveries: redelivered or dropped by an operator's order.

use super::changes::Changes;
use super::error::Fault;
use super::insert::{NewRow, insert, lock_events};
use super::line::{Lines, line_of};
use super::parts::parts;
use super::row::uuid_of;
use super::under_order::{OrderJob, UnderOrder};
use crate::id::DeliveryId;
use crate::ledger::{Carried, DeliveryState};
use deadpool_postgres::Transaction;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Makes a new delivery in the place of each dead one.
pub(super) async fn redeliver(order: UnderOrder<'_>, deliveries: Vec<DeliveryId>) -> Result<Carried, Fault> {
    let mut carried = Carried::default();
    for deliveries in parts(deliveries, |&delivery| delivery) {
        let taken = Some(deliveries.len() as u64);
        let job = Redeliver { ledger: order.database.id, lines: Lines::default(), deliveries };
        carried = carried.and(order.transact(job, taken, 0).await?);
        if carried.is_over {
            break;
        }
    }
    Ok(carried)
}

/// Drops dead deliveries.
pub(super) async fn drop_all(order: UnderOrder<'_>, deliveries: Vec<DeliveryId>) -> Result<Carried, Fault> {
    let mut carried = Carried::default();
    for part in parts(deliveries, |&delivery| delivery) {
        let taken = Some(part.len() as u64);
        carried = carried.and(order.transact(Drop(part), taken, 0).await?);
        if carried.is_over {
            break;
        }
    }
    Ok(carried)
}

/// Drops some deliveries.
struct Drop(Vec<DeliveryId>);

impl OrderJob for Drop {
    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes, order: i64) -> Result<u64, Fault> {
        // Nothing waits behind them: the next one of each line went on when they died.
        let dead = find(transaction, LOCKED, &arrays(&self.0)).await?;
        end(transaction, changes, order, dead, DeliveryState::Dropped).await
    }
}

/// A dead delivery.
pub(super) struct Dead {
    event: Uuid,
    number: i32,
    destination: Arc<str>,
    order_key: Option<Vec<u8>>,
    code: Option<String>,
}

impl Dead {
    fn read(row: &Row) -> Result<Self, Fault> {
        let destination = row.try_get::<_, &str>(2)?.into();
        let (order_key, code) = (row.try_get(3)?, row.try_get(4)?);
        Ok(Self { event: row.try_get(0)?, number: row.try_get(1)?, destination, order_key, code })
    }
}

/// Locks the dead deliveries of events to destinations.
pub(super) async fn lock_at<'a>(
    transaction: &Transaction<'_>,
    places: impl Iterator<Item = (Uuid, &'a str)>,
) -> Result<Vec<Dead>, Fault> {
    let (events, destinations): (Vec<Uuid>, Vec<&str>) = places.unzip();
    let lock = "
        SELECT finished.event_id, finished.number, finished.destination, NULL::bytea, finished.code
        FROM unnest($1::uuid[], $2::text[]) AS place (event_id, destination)
        JOIN finished ON finished.event_id = place.event_id AND finished.destination = place.destination
        WHERE finished.state = 4
        ORDER BY finished.event_id, finished.number FOR UPDATE OF finished";
    let lock = transaction.prepare_cached(lock).await?;
    transaction.query(&lock, &[&events, &destinations]).await?.iter().map(Dead::read).collect()
}

/// Finds the dead ones among these.
const FIND: &str = "
    SELECT finished.event_id, finished.number, finished.destination, finished.order_key, finished.code
    FROM unnest($1::uuid[], $2::integer[]) AS named (event_id, number)
    JOIN finished ON finished.event_id = named.event_id AND finished.number = named.number
    WHERE finished.state = 4";
/// Has them locked as well, in one order everywhere.
const LOCKED: &str = " ORDER BY finished.event_id, finished.number FOR UPDATE OF finished";

async fn find(
    transaction: &Transaction<'_>,
    locked: &str,
    (events, numbers): &(Vec<Uuid>, Vec<i32>),
) -> Result<Vec<Dead>, Fault> {
    let find = transaction.prepare_cached(&format!("{FIND}{locked}")).await?;
    transaction.query(&find, &[events, numbers]).await?.iter().map(Dead::read).collect()
}

/// Ids as two arrays.
fn arrays(deliveries: &[DeliveryId]) -> (Vec<Uuid>, Vec<i32>) {
    // No delivery has a higher number than the column holds.
    let pairs = deliveries.iter().filter_map(|id| Some((uuid_of(id.event), i32::try_from(id.number).ok()?)));
    pairs.unzip()
}

/// Has locked dead ones end in another way: redelivered or dropped.
pub(super) async fn end(
    transaction: &Transaction<'_>,
    changes: &mut Changes,
    order: i64,
    dead: Vec<Dead>,
    state: DeliveryState,
) -> Result<u64, Fault> {
    if dead.is_empty() {
        return Ok(0);
    }
    let events: Vec<Uuid> = dead.iter().map(|dead| dead.event).collect();
    let numbers: Vec<i32> = dead.iter().map(|dead| dead.number).collect();
    let parameters: [&(dyn ToSql + Sync); 3] = [&events, &numbers, &order];
    let (end, parameters) = match state {
        // It came to its end when it died, and names the order that made it.
        DeliveryState::Redelivered => ("state = 6", &parameters[..2]),
        _ => ("state = 5, finished_at = wall.now, order_number = $3", &parameters[..]),
    };
    let end = format!(
        "UPDATE finished SET {end}
         FROM unnest($1::uuid[], $2::integer[]) AS named (event_id, number), (SELECT wall_ms() AS now) AS wall
         WHERE finished.event_id = named.event_id AND finished.number = named.number"
    );
    let end = transaction.prepare_cached(&end).await?;
    let ended = transaction.execute(&end, parameters).await?;
    for dead in &dead {
        changes.count_dead(&dead.destination, dead.code.as_deref(), -1);
    }
    Ok(ended)
}

/// Redelivers some deliveries, none of them twice.
struct Redeliver {
    ledger: Uuid,
    lines: Lines,
    deliveries: Vec<DeliveryId>,
}

impl OrderJob for Redeliver {
    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes, order: i64) -> Result<u64, Fault> {
        let Self { ledger, lines, deliveries } = self;
        let named = arrays(deliveries);
        let lines_of = |dead: &[Dead]| -> Result<BTreeSet<i64>, Fault> {
            let lines = dead.iter().map(|dead| line_of(*ledger, &dead.destination, dead.order_key.as_deref()));
            lines.filter_map(Result::transpose).collect()
        };
        let before = find(transaction, "", &named).await?;
        lines.lock(transaction, lines_of(&before)?).await?;
        let events: BTreeSet<Uuid> = before.iter().map(|dead| dead.event).collect();
        let events: Vec<Uuid> = events.into_iter().collect();
        let sizes = lock_events(transaction, &events).await?;
        let dead = find(transaction, LOCKED, &named).await?;
        lines.check(lines_of(&dead)?)?;
        let mut dead: HashMap<(Uuid, i32), Dead> =
            dead.into_iter().map(|dead| ((dead.event, dead.number), dead)).collect();
        let mut last = last_numbers(transaction, &events).await?;

        let (mut rows, mut ended) = (Vec::new(), Vec::new());
        for place in named.0.into_iter().zip(named.1) {
            // One that died only after the first look has an event that is not locked: it stays for the next order.
            let (Some(&size), Some(last)) = (sizes.get(&place.0), last.get_mut(&place.0)) else { continue };
            let Some(dead) = dead.remove(&place) else { continue };
            *last = last.saturating_add(1);
            rows.push(NewRow {
                event: dead.event,
                number: *last,
                destination: dead.destination.clone(),
                order_key: dead.order_key.clone(),
                line: line_of(*ledger, &dead.destination, dead.order_key.as_deref())?,
                size,
                redelivery_of: Some(dead.number),
            });
            ended.push(dead);
        }
        end(transaction, changes, order, ended, DeliveryState::Redelivered).await?;
        insert(transaction, changes, order, &rows).await
    }
}

/// The highest number of each event's deliveries.
async fn last_numbers(transaction: &Transaction<'_>, events: &[Uuid]) -> Result<HashMap<Uuid, i32>, Fault> {
    let last = "
        SELECT named.id, coalesce(greatest(
            (SELECT max(number) FROM open WHERE event_id = named.id),
            (SELECT max(number) FROM finished WHERE event_id = named.id),
            (SELECT max(number) FROM copied_deliveries WHERE event_id = named.id)
        ), 0) FROM unnest($1::uuid[]) AS named (id)";
    let last = transaction.prepare_cached(last).await?;
    let rows = transaction.query(&last, &[&events]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
