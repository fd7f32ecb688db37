//! An operator's orders about events: deliver again, or for the first time.
//!
//! Many events or deliveries go in parts, each in a short transaction. Who adds deliveries to an event locks it, so that it does not
//! vanish, and so that nobody else gives out the same number.

use super::changes::Changes;
use super::dead;
use super::error::Fault;
use super::insert::{NewRow, insert, lock_events};
use super::line::{Lines, line, line_of, lock};
use super::parts::parts;
use super::row::uuid_of;
use super::under_order::{OrderJob, UnderOrder};
use crate::id::EventId;
use crate::ledger::{Carried, DeliveryState, NewDelivery};
use deadpool_postgres::Transaction;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// Makes a new delivery of each event to the destination, or to all that it ever went to.
pub(super) async fn events(
    order: UnderOrder<'_>,
    events: Vec<EventId>,
    to: Option<&Arc<str>>,
) -> Result<Carried, Fault> {
    let mut carried = Carried::default();
    for part in parts(events, |&event| event) {
        let taken = Some(part.len() as u64);
        let events: Vec<Uuid> = part.into_iter().map(uuid_of).collect();
        let job = Redeliver { ledger: order.database.id, lines: Lines::default(), events, to };
        carried = carried.and(order.transact(job, taken, 0).await?);
        if carried.is_over {
            break;
        }
    }
    Ok(carried)
}

/// Makes the first deliveries of events that went nowhere.
pub(super) async fn route(order: UnderOrder<'_>, events: Vec<(EventId, Vec<NewDelivery>)>) -> Result<Carried, Fault> {
    let mut carried = Carried::default();
    for part in parts(events, |&(event, _)| event) {
        let taken = Some(part.len() as u64);
        let unrouted = part.iter().filter(|(_, deliveries)| deliveries.is_empty()).count() as u64;
        let job = Route { ledger: order.database.id, events: part };
        carried = carried.and(order.transact(job, taken, unrouted).await?);
        if carried.is_over {
            break;
        }
    }
    Ok(carried)
}

/// Redelivers some events, none of them twice.
struct Redeliver<'a> {
    ledger: Uuid,
    lines: Lines,
    events: Vec<Uuid>,
    to: Option<&'a Arc<str>>,
}

impl OrderJob for Redeliver<'_> {
    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes, order: i64) -> Result<u64, Fault> {
        let Self { ledger, lines, events, to } = self;
        let before = plan(transaction, *ledger, events, *to).await?;
        lines.lock(transaction, lines_of(&before)).await?;
        let sizes = lock_events(transaction, events).await?;
        let known: Vec<Uuid> = events.iter().copied().filter(|event| sizes.contains_key(event)).collect();
        let mut planned = plan(transaction, *ledger, &known, *to).await?;
        lines.check(lines_of(&planned))?;

        let places = planned.iter().map(|row| (row.event, &*row.destination));
        let ended = dead::lock_at(transaction, places).await?;
        dead::end(transaction, changes, order, ended, DeliveryState::Redelivered).await?;
        for row in &mut planned {
            row.size = sizes.get(&row.event).copied().unwrap_or(0);
        }
        insert(transaction, changes, order, &planned).await
    }
}

fn lines_of(planned: &[NewRow]) -> BTreeSet<i64> {
    planned.iter().filter_map(|row| row.line).collect()
}

/// The last delivery of each event to each destination, and the number of the first one there. Of a copy that is being let go, some are
/// not in their place yet.
const LAST: &str = "
    SELECT DISTINCT ON (event_id, destination) event_id, destination, number, order_key,
           min(number) OVER (PARTITION BY event_id, destination)
    FROM (
        SELECT event_id, destination, number, order_key FROM open WHERE event_id = ANY($1)
        UNION ALL
        SELECT event_id, destination, number, order_key FROM finished WHERE event_id = ANY($1)
        UNION ALL
        SELECT event_id, destination, number, order_key FROM copied_deliveries WHERE event_id = ANY($1)
    ) AS of_events
    ORDER BY event_id, destination, number DESC";

/// What to make of each event, in the order of the events, and of their first deliveries; without the sizes.
async fn plan(
    transaction: &Transaction<'_>,
    ledger: Uuid,
    events: &[Uuid],
    to: Option<&Arc<str>>,
) -> Result<Vec<NewRow>, Fault> {
    struct Last {
        destination: Arc<str>,
        number: i32,
        order_key: Option<Vec<u8>>,
        first: i32,
    }
    let last = transaction.prepare_cached(LAST).await?;
    let mut former: HashMap<Uuid, Vec<Last>> = HashMap::new();
    for row in transaction.query(&last, &[&events]).await? {
        let destination = row.try_get::<_, &str>(1)?.into();
        let last = Last { destination, number: row.try_get(2)?, order_key: row.try_get(3)?, first: row.try_get(4)? };
        former.entry(row.try_get(0)?).or_default().push(last);
    }
    let mut planned = Vec::new();
    for &event in events {
        let mut last = former.remove(&event).unwrap_or_default();
        last.sort_by_key(|last| last.first);
        let numbers = last.iter().map(|last| last.number).max().unwrap_or(0).saturating_add(1)..;
        let row = |number: i32, destination: Arc<str>, last: Option<Last>| -> Result<NewRow, Fault> {
            let (redelivery_of, order_key) = last.map_or((None, None), |last| (Some(last.number), last.order_key));
            let line = line_of(ledger, &destination, order_key.as_deref())?;
            Ok(NewRow { event, number, destination, order_key, line, size: 0, redelivery_of })
        };
        let again: Vec<(Arc<str>, Option<Last>)> = match to {
            Some(to) => vec![(to.clone(), last.into_iter().find(|last| last.destination == *to))],
            None => last.into_iter().map(|last| (last.destination.clone(), Some(last))).collect(),
        };
        for ((destination, last), number) in again.into_iter().zip(numbers) {
            planned.push(row(number, destination, last)?);
        }
    }
    Ok(planned)
}

/// Routes some events, none of them twice.
struct Route {
    ledger: Uuid,
    events: Vec<(EventId, Vec<NewDelivery>)>,
}

impl OrderJob for Route {
    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes, order: i64) -> Result<u64, Fault> {
        let Self { ledger, events } = self;
        let ids: Vec<Uuid> = events.iter().map(|&(event, _)| uuid_of(event)).collect();
        let line_of =
            |delivery: &NewDelivery| Some(line(*ledger, &delivery.destination, delivery.order_key.as_deref()?));
        let lines = events.iter().flat_map(|(_, deliveries)| deliveries).filter_map(line_of).collect();
        lock(transaction, &lines).await?;
        let sizes = lock_events(transaction, &ids).await?;
        let unsent = without_deliveries(transaction, &ids).await?;

        let mut rows = Vec::new();
        for (event, deliveries) in events {
            let event = uuid_of(*event);
            let Some(&size) = sizes.get(&event).filter(|_| unsent.contains(&event)) else { continue };
            rows.extend(deliveries.iter().zip(1..).map(|(delivery, number)| NewRow {
                event,
                number,
                destination: delivery.destination.clone(),
                order_key: delivery.order_key.as_deref().map(|order_key| order_key.as_bytes().to_vec()),
                line: line_of(delivery),
                size,
                redelivery_of: None,
            }));
        }
        insert(transaction, changes, order, &rows).await
    }
}

/// Those of the ids of which there is no delivery.
async fn without_deliveries(transaction: &Transaction<'_>, events: &[Uuid]) -> Result<HashSet<Uuid>, Fault> {
    let find = "
        SELECT named.id FROM unnest($1::uuid[]) AS named (id)
        LEFT JOIN LATERAL (SELECT true AS is_there FROM open WHERE event_id = named.id LIMIT 1) AS unfinished ON true
        LEFT JOIN LATERAL (SELECT true AS is_there FROM finished WHERE event_id = named.id LIMIT 1) AS done ON true
        LEFT JOIN LATERAL (SELECT true AS is_there FROM copied_deliveries WHERE event_id = named.id LIMIT 1) AS copied ON true
        WHERE unfinished.is_there IS NULL AND done.is_there IS NULL AND copied.is_there IS NULL";
    let find = transaction.prepare_cached(find).await?;
    transaction.query(&find, &[&events]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
