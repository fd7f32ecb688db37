//! Deliveries in a list.

use super::super::database::Database;
use super::super::error::Fault;
use super::super::row::{delivery_of, event_of, moment_of, number_of, state_of, text_of, uuid_of};
use super::bodies::{About, Wanted, complete};
use super::bounded;
use super::candidates::{Found, candidates};
use super::range::{Range, arrived, direction, key_of, uuid_at};
use super::search::Looks;
use crate::id::DeliveryId;
use crate::ledger::{DeliveryFilter, DeliveryRecord, DeliveryState, IssueSummary, Order, Page};
use futures_util::TryStreamExt;
use std::pin::pin;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

pub(in super::super) async fn deliveries(
    database: Arc<Database>,
    filter: DeliveryFilter,
    page: Page<DeliveryId>,
) -> Result<Vec<DeliveryRecord>, Fault> {
    let limit = page.limit as usize;
    let mut rest = range(&filter).and_then(|range| range.on(page_of(page)));
    if [&filter.destination, &filter.code].into_iter().flatten().any(|text| text.contains('\0')) {
        // PostgreSQL's texts have none.
        rest = None;
    }
    let wanted = Arc::new(Wanted { issue: filter.issue.clone(), ..Wanted::default() });
    let is_unfiltered =
        filter.destination.is_none() && filter.state.is_none() && filter.code.is_none() && filter.died_before.is_none();
    let all_match = wanted.is_anything() && is_unfiltered;
    let mut looks = Looks::new(database.options.search_within, page.limit, all_match);
    let mut found: Vec<DeliveryRecord> = Vec::new();
    // Whether the index of terms may say where to look.
    let mut by_term = filter.issue.as_deref().filter(|_| filter.event.is_none());
    let mut among: Option<Among> = None;
    while let Some(range) = rest.filter(|_| found.len() < limit) {
        looks.check(&database)?;
        if among.is_none()
            && let Some(term) = by_term
        {
            match next_events(&database, term, range, page.order, looks.rows()).await? {
                Some(events) if events.ids.is_empty() => break,
                Some(events) => among = Some(events),
                None => by_term = None,
            }
        }
        let place = among.as_ref().map_or(range, |events| range.and(events.range).unwrap_or(range));
        let ids = among.as_ref().map(|events| &*events.ids);
        let Part { entries, last } = look(&database, &filter, place, page.order, looks.rows(), ids).await?;
        let left = limit - found.len();
        let entries = complete(&database, &looks, &wanted, entries, left, about, with_issue).await?;
        found.extend(entries.into_iter().map(|entry| entry.record));
        rest = match (last, among.take()) {
            (Some(last), events) => {
                among = events;
                range.behind(last, page.order)
            }
            // Behind the last delivery of the last event.
            (None, Some(events)) => range.behind(events.last, page.order),
            (None, None) => None,
        };
        looks.go_on();
    }
    Ok(found)
}

/// Events that may be about the issue, and the keys that their deliveries can have.
struct Among {
    ids: Vec<Uuid>,
    range: Range<(u128, i32)>,
    /// The last key in the order of the page.
    last: (u128, i32),
}

/// The next events of the range by the index; none: it does not know them all.
async fn next_events(
    database: &Database,
    term: &str,
    range: Range<(u128, i32)>,
    order: Order,
    most: i64,
) -> Result<Option<Among>, Fault> {
    let ends = (event_of(uuid_at(range.first.0)), event_of(uuid_at(range.last.0)));
    let page = Page { after: None, limit: 1, order };
    let Found::Candidates(ids) = candidates(database, term, page, ends, usize::try_from(most).unwrap_or(1)).await?
    else {
        return Ok(None);
    };
    let keys = || ids.iter().copied().map(key_of);
    let (first, last) = (keys().min().unwrap_or_default(), keys().max().unwrap_or_default());
    let range = Range { first: (first, i32::MIN), last: (last, i32::MAX) };
    let last = match order {
        Order::NewestFirst => range.first,
        Order::OldestFirst => range.last,
    };
    Ok(Some(Among { ids: ids.into_iter().map(uuid_of).collect(), range, last }))
}

/// The keys that the filter leaves; none: nothing can match.
fn range(filter: &DeliveryFilter) -> Option<Range<(u128, i32)>> {
    let arrived = arrived(filter.since, filter.until)?;
    let events = match filter.event.map(key_of) {
        Some(event) => arrived.and(Range { first: event, last: event })?,
        None => arrived,
    };
    Some(Range { first: (events.first, i32::MIN), last: (events.last, i32::MAX) })
}

/// The page by the keys of the tables. No delivery has a number beyond what the column holds.
fn page_of(page: Page<DeliveryId>) -> Page<(u128, i32)> {
    let key = |id: DeliveryId| (key_of(id.event), i32::try_from(id.number).unwrap_or(i32::MAX));
    Page { after: page.after.map(key), limit: page.limit, order: page.order }
}

/// A delivery, and the length of its event's body.
struct Entry {
    record: DeliveryRecord,
    body_length: i32,
}

fn about(entry: &Entry) -> About {
    let Entry { record, body_length } = entry;
    About {
        event: Uuid::from_bytes(*record.id.event.as_bytes()),
        name: record.name.clone(),
        kind: record.kind.clone(),
        body_length: (*body_length).into(),
    }
}

fn with_issue(mut entry: Entry, issue: Option<IssueSummary>) -> Entry {
    entry.record.issue = issue;
    entry
}

/// What a look at some deliveries has found.
struct Part {
    entries: Vec<Entry>,
    /// The last one that it looked at; none: it came to the end.
    last: Option<(u128, i32)>,
}

async fn look(
    database: &Database,
    filter: &DeliveryFilter,
    range: Range<(u128, i32)>,
    order: Order,
    rows: i64,
    among: Option<&[Uuid]>,
) -> Result<Part, Fault> {
    let sql = sql(filter.state, order, among.is_some());
    let (first, last) = (uuid_at(range.first.0), uuid_at(range.last.0));
    let state = filter.state.map(number_of);
    let died_before = filter.died_before.map(|moment| moment.unix_milliseconds());
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![
        &first,
        &range.first.1,
        &last,
        &range.last.1,
        &rows,
        &filter.destination,
        &state,
        &filter.code,
        &DeliveryFilter::NO_CODE,
        &died_before,
    ];
    if let Some(among) = &among {
        parameters.push(among);
    }
    bounded::read(database, async |connection| {
        let statement = connection.prepare_cached(&sql).await?;
        let mut stream = pin!(connection.query_raw(&statement, parameters).await?);
        let mut part = Part { entries: Vec::new(), last: None };
        let mut seen = 0;
        while let Some(row) = stream.try_next().await? {
            seen += 1;
            part.last = Some((row.try_get::<_, Uuid>(0)?.as_u128(), row.try_get(1)?));
            // One that does not match comes with its id alone.
            if let Some(body_length) = row.try_get(BODY_LENGTH)? {
                part.entries.push(Entry { record: read(&row)?, body_length });
            }
        }
        if seen < rows {
            part.last = None;
        }
        Ok(part)
    })
    .await
}

/// Unfinished deliveries as a list has them.
pub(super) const OPEN: &str = "
    SELECT event_id, number, destination, state, attempts + interruptions AS attempts, due_at AS at, created_at, order_key, redelivery_of,
           reason, code, order_number
    FROM open";
/// Finished ones.
pub(super) const FINISHED: &str = "
    SELECT event_id, number, destination, state, attempts, finished_at AS at, created_at, order_key, redelivery_of, reason, code,
           order_number
    FROM finished";

/// Where the deliveries are looked for: those in a rare state have an index of their own.
fn sql(state: Option<DeliveryState>, order: Order, is_among: bool) -> String {
    use DeliveryState::{Dead, Delivered, Delivering, Dropped, Held, Redelivered, Waiting};
    let order = direction(order);
    let among = if is_among { " AND event_id = ANY ($11::uuid[])" } else { "" };
    let range = format!(
        "(event_id, number) >= ($1::uuid, $2::integer) AND (event_id, number) <= ($3::uuid, $4::integer){among}"
    );
    let sorted = format!("ORDER BY event_id {order}, number {order} LIMIT $5");
    let part = match state {
        None => {
            format!("({OPEN} WHERE {range} {sorted}) UNION ALL ({FINISHED} WHERE {range} {sorted})")
        }
        Some(Waiting | Held) => format!("{OPEN} WHERE {range}"),
        // As few as receivers have slots: sorting them is cheap, and looking for them among all that wait is not.
        Some(Delivering) => {
            format!(
                "SELECT * FROM (WITH leased AS MATERIALIZED ({OPEN} WHERE state = 2) SELECT * FROM leased) AS leased WHERE {range}"
            )
        }
        Some(Delivered) => format!("{FINISHED} WHERE {range}"),
        Some(Dead | Dropped | Redelivered) => format!("{FINISHED} WHERE state <> 3 AND {range}"),
    };
    format!(
        "WITH part AS MATERIALIZED (SELECT * FROM ({part}) AS listed {sorted})
         SELECT part.event_id, part.number, found.*
         FROM part LEFT JOIN LATERAL (
             SELECT part.destination, part.state, part.attempts, part.at, part.created_at, part.order_key, part.redelivery_of, part.reason,
                    part.code, part.order_number, clock.ahead, events.name, events.kind, octet_length(events.body)
             FROM events CROSS JOIN (SELECT tick() - wall_ms() AS ahead) AS clock
             WHERE events.id = part.event_id AND ($6::text IS NULL OR part.destination = $6)
             AND ($7::smallint IS NULL OR part.state = $7)
             AND ($8::text IS NULL OR coalesce(part.code, $9::text) = $8)
             AND ($10::bigint IS NULL OR (part.state = 4 AND part.at < $10))
         ) AS found ON true
         ORDER BY part.event_id {order}, part.number {order}"
    )
}

/// The column with the length of the body.
const BODY_LENGTH: usize = 15;

/// Reads all but the issue, which the event's body tells.
pub(super) fn read(row: &Row) -> Result<DeliveryRecord, Fault> {
    let (event, number): (Uuid, i32) = (row.try_get(0)?, row.try_get(1)?);
    let state = state_of(row.try_get(3)?)?;
    let (at, ahead): (i64, i64) = (row.try_get(5)?, row.try_get(12)?);
    let text = |column: usize| row.try_get::<_, Option<Vec<u8>>>(column)?.map(text_of).transpose();
    Ok(DeliveryRecord {
        id: delivery_of(event, number),
        destination: row.try_get(2)?,
        name: text_of(row.try_get(13)?)?,
        kind: row.try_get(14)?,
        issue: None,
        state,
        attempts: row.try_get::<_, i32>(4)?.cast_unsigned(),
        created_at: row.try_get::<_, Option<i64>>(6)?.map_or_else(|| event_of(event).received_at(), moment_of),
        due_at: (state == DeliveryState::Waiting).then(|| moment_of(at.saturating_sub(ahead))),
        finished_at: (!state.is_unfinished()).then(|| moment_of(at)),
        order_key: text(7)?,
        redelivery_of: row.try_get::<_, Option<i32>>(8)?.map(i32::cast_unsigned),
        reason: text(9)?,
        code: row.try_get(10)?,
        order: row.try_get::<_, Option<i64>>(11)?.map(i64::cast_unsigned),
    })
}
