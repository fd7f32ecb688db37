//! Events in a list.

use super::super::database::Database;
use super::super::error::Fault;
use super::super::row::{event_of, text_of};
use super::bodies::{About, Wanted, complete};
use super::bounded;
use super::range::{Range, arrived, direction, key_of, uuid_at};
use super::search::Looks;
use crate::id::{EventId, PartOfId};
use crate::ledger::{EventFilter, EventRecord, EventState, Order, Page};
use futures_util::TryStreamExt;
use pylon_webhooks::names_match;
use std::pin::pin;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

pub(in super::super) async fn events(
    database: Arc<Database>,
    filter: EventFilter,
    page: Page<EventId>,
) -> Result<Vec<EventRecord>, Fault> {
    let limit = page.limit as usize;
    let after = Page { after: page.after.map(key_of), limit: page.limit, order: page.order };
    let mut rest = arrived(filter.since, filter.until).and_then(|arrived| arrived.on(after));
    if filter.endpoint.as_ref().is_some_and(|endpoint| endpoint.contains('\0')) {
        // PostgreSQL's texts have none.
        rest = None;
    }
    let wanted = Arc::new(Wanted { contains: filter.contains.clone(), issue: filter.issue.clone() });
    let all_match = wanted.is_anything()
        && filter.endpoint.is_none()
        && filter.kind.is_none()
        && filter.id.is_none()
        && !matches!(filter.state, Some(EventState::Delivered | EventState::Unrouted));
    let mut looks = Looks::new(&database, page.limit, all_match);
    let mut found: Vec<EventRecord> = Vec::new();
    while let Some(range) = rest.filter(|_| found.len() < limit) {
        let Part { records, last } = look(&database, &filter, range, page.order, looks.rows()).await?;
        let left = limit - found.len();
        found.extend(complete(&database, &looks, &wanted, records, left, about, with_issue).await?);
        rest = last.and_then(|last| range.behind(last, page.order));
        if rest.is_some() && found.len() < limit {
            looks.go_on(&database)?;
        }
    }
    Ok(found)
}

fn about(record: &EventRecord) -> About {
    About {
        event: Uuid::from_bytes(*record.id.as_bytes()),
        name: record.name.clone(),
        kind: record.kind.clone(),
        body_length: record.body_length as i64,
    }
}

fn with_issue(record: EventRecord, issue: Option<crate::ledger::IssueSummary>) -> EventRecord {
    EventRecord { issue, ..record }
}

/// What a look at some events has found.
struct Part {
    records: Vec<EventRecord>,
    /// The last one that it looked at; none: it came to the end.
    last: Option<u128>,
}

async fn look(
    database: &Database,
    filter: &EventFilter,
    range: Range<u128>,
    order: Order,
    rows: i64,
) -> Result<Part, Fault> {
    let sql = sql(filter.state, order);
    let (first, last) = (uuid_at(range.first), uuid_at(range.last));
    let state = filter.state.map(EventState::name);
    let part_of_id = filter.id.as_ref().map(PartOfId::digits);
    let parameters: [&(dyn ToSql + Sync); 6] = [&first, &last, &rows, &filter.endpoint, &part_of_id, &state];
    bounded::read(database, async |connection| {
        let statement = connection.prepare_cached(&sql).await?;
        let mut stream = pin!(connection.query_raw(&statement, parameters).await?);
        let mut part = Part { records: Vec::new(), last: None };
        let mut seen = 0;
        while let Some(row) = stream.try_next().await? {
            seen += 1;
            part.last = Some(row.try_get::<_, Uuid>(0)?.as_u128());
            // One that does not match comes with its id alone.
            if row.try_get::<_, Option<&str>>(1)?.is_some() {
                let record = read(&row)?;
                if filter.kind.as_ref().is_none_or(|kind| names_match(kind, record.kind_or_name())) {
                    part.records.push(record);
                }
            }
        }
        if seen < rows {
            part.last = None;
        }
        Ok(part)
    })
    .await
}

/// Where the events are looked for: those in a rare state have an index of their own.
fn sql(state: Option<EventState>, order: Order) -> String {
    let order = direction(order);
    let part = match state {
        Some(EventState::Pending) => format!(
            "SELECT DISTINCT event_id AS id FROM open WHERE event_id >= $1 AND event_id <= $2 ORDER BY event_id {order} LIMIT $3"
        ),
        Some(EventState::Dead) => format!(
            "SELECT DISTINCT event_id AS id FROM finished WHERE state <> 3 AND state = 4 AND event_id >= $1 AND event_id <= $2
             ORDER BY event_id {order} LIMIT $3"
        ),
        Some(EventState::Parked) => {
            format!("SELECT id FROM events WHERE parked IS NOT NULL AND id >= $1 AND id <= $2 ORDER BY id {order} LIMIT $3")
        }
        _ => format!("SELECT id FROM events WHERE id >= $1 AND id <= $2 ORDER BY id {order} LIMIT $3"),
    };
    format!(
        "WITH part AS MATERIALIZED ({part})
         SELECT part.id, found.*
         FROM part LEFT JOIN LATERAL (
             SELECT {COLUMNS} FROM events CROSS JOIN LATERAL ({SUMMARY}) AS summary
             WHERE events.id = part.id AND ($4::text IS NULL OR endpoint = $4)
             AND ($5::text IS NULL OR replace(id::text, '-', '') LIKE $5 || '%' OR replace(id::text, '-', '') LIKE '%' || $5)
             AND ($6::text IS NULL OR summary.state = $6)
         ) AS found ON true
         ORDER BY part.id {order}"
    )
}

/// An event as a list has it, without the issue.
pub(super) const COLUMNS: &str = "
    endpoint, name, kind, parked, octet_length(body) AS body_length, summary.deliveries, summary.state";

/// What an event's deliveries say of it, those included that a copy has not let go yet.
pub(super) const SUMMARY: &str = "
    SELECT count(*) AS deliveries, CASE
        WHEN bool_or(delivery.state <= 2) THEN 'pending'
        WHEN bool_or(delivery.state = 4) THEN 'dead'
        WHEN count(*) > 0 THEN 'delivered'
        WHEN events.parked IS NOT NULL THEN 'parked'
        ELSE 'unrouted'
    END AS state
    FROM (
        SELECT state FROM open WHERE event_id = events.id
        UNION ALL
        SELECT state FROM finished WHERE event_id = events.id
        UNION ALL
        SELECT state FROM copied_deliveries WHERE event_id = events.id
    ) AS delivery";

/// Reads an id and the columns.
pub(super) fn read(row: &Row) -> Result<EventRecord, Fault> {
    let id = event_of(row.try_get(0)?);
    let state: &str = row.try_get(7)?;
    Ok(EventRecord {
        id,
        received_at: id.received_at(),
        endpoint: row.try_get(1)?,
        name: text_of(row.try_get(2)?)?,
        kind: row.try_get(3)?,
        parked: row.try_get::<_, Option<Vec<u8>>>(4)?.map(text_of).transpose()?,
        issue: None,
        body_length: row.try_get::<_, i32>(5)?.unsigned_abs().into(),
        deliveries: u32::try_from(row.try_get::<_, i64>(6)?).unwrap_or(u32::MAX),
        state: EventState::ALL
            .iter()
            .copied()
            .find(|known| known.name() == state)
            .ok_or_else(|| Fault::Other(format!("expected the name of an event's state, found {state}").into()))?,
    })
}
