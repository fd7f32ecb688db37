//! Events in a list.

use super::super::database::Database;
use super::super::error::Fault;
use super::super::row::{event_of, text_of, uuid_of};
use super::bodies::{About, Wanted, complete};
use super::bounded;
use super::candidates::{Found, candidates};
use super::range::{Range, arrived, direction, key_of, uuid_at};
use super::search::Looks;
use crate::id::{EventId, PartOfId};
use crate::ledger::{BodyText, EventFilter, EventRecord, EventState, FoundEvents, Order, Page};
use futures_util::TryStreamExt;
use pylon_webhooks::names_match;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// A page of events; fails when bodies are searched for too long.
pub(in super::super) async fn events(
    database: Arc<Database>,
    filter: EventFilter,
    page: Page<EventId>,
) -> Result<Vec<EventRecord>, Fault> {
    let within = database.options.search_within;
    let found = search(database, filter, page, within).await?;
    if found.searched_to.is_some() { Err(Fault::Slow) } else { Ok(found.events) }
}

/// A page of events, as far as they are found within this time.
pub(in super::super) async fn search(
    database: Arc<Database>,
    filter: EventFilter,
    page: Page<EventId>,
    within: Duration,
) -> Result<FoundEvents, Fault> {
    let after = Page { after: page.after.map(key_of), limit: page.limit, order: page.order };
    let range = arrived(filter.since, filter.until).and_then(|arrived| arrived.on(after));
    // PostgreSQL's texts have no NUL.
    let Some(range) = range.filter(|_| !filter.endpoint.as_ref().is_some_and(|endpoint| endpoint.contains('\0')))
    else {
        return Ok(FoundEvents::default());
    };
    let wanted = Arc::new(Wanted {
        contains: filter.contains.as_deref().map(BodyText::new),
        issue: filter.issue.clone(),
        term: filter.term.clone(),
    });
    let all_match = wanted.is_anything()
        && filter.endpoint.is_none()
        && filter.kind.is_none()
        && filter.id.is_none()
        && !matches!(filter.state, Some(EventState::Delivered | EventState::Unrouted));
    let mut looks = Looks::new(within, page.limit, all_match);
    let mut rest =
        Rest { database: &database, filter: &filter, order: page.order, range: Some(range), may_use_index: true };
    let (mut found, mut passed) = (FoundEvents::default(), None);
    while rest.range.is_some() && found.events.len() < page.limit as usize {
        let left = page.limit as usize - found.events.len();
        let part = async {
            let (records, last) = rest.next(&looks).await?;
            Ok((complete(&database, &looks, &wanted, records, left, about, with_issue).await?, last))
        };
        match part.await {
            // What was found before is told, and where to go on.
            Err(Fault::Slow) if passed.is_some() => {
                found.searched_to = passed;
                break;
            }
            Err(fault) => return Err(fault),
            Ok((events, last)) => {
                found.events.extend(events);
                passed = last.or(passed);
            }
        }
        looks.go_on();
    }
    Ok(found)
}

/// What is left of a list.
struct Rest<'a> {
    database: &'a Database,
    filter: &'a EventFilter,
    order: Order,
    /// None: nothing.
    range: Option<Range<u128>>,
    /// Whether the index of terms may say where to look.
    may_use_index: bool,
}

impl Rest<'_> {
    /// Looks at the next ones: gives those that match, as far as SQL can say that, and the last one that was looked at.
    async fn next(&mut self, looks: &Looks) -> Result<(Vec<EventRecord>, Option<EventId>), Fault> {
        let &mut Self { database, filter, order, range: Some(range), may_use_index } = self else {
            return Ok((Vec::new(), None));
        };
        looks.check(database)?;
        let term = filter.term.as_deref().or(filter.issue.as_deref()).filter(|_| may_use_index);
        if let Some(term) = term {
            let ends = (event_of(uuid_at(range.first)), event_of(uuid_at(range.last)));
            let page = Page { after: None, limit: 1, order };
            match candidates(database, term, page, ends, usize::try_from(looks.rows()).unwrap_or(1)).await? {
                Found::Candidates(ids) => {
                    let last = ids.last().copied();
                    let Part { records, .. } = look(database, filter, Where::Among(&ids), order).await?;
                    self.range = last.and_then(|last| range.behind(key_of(last), order));
                    return Ok((records, last));
                }
                Found::NotIndexed => self.may_use_index = false,
            }
        }
        let Part { records, last } = look(database, filter, Where::In(range, looks.rows()), order).await?;
        self.range = last.and_then(|last| range.behind(last, order));
        Ok((records, last.map(|last| event_of(uuid_at(last)))))
    }
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

/// Which events are looked at.
enum Where<'a> {
    /// So many of a range.
    In(Range<u128>, i64),
    /// These.
    Among(&'a [EventId]),
}

async fn look(database: &Database, filter: &EventFilter, place: Where<'_>, order: Order) -> Result<Part, Fault> {
    let state = filter.state.map(EventState::name);
    let part_of_id = filter.id.as_ref().map(PartOfId::digits);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&filter.endpoint, &part_of_id, &state];
    let (first, last, most, among);
    let sql = match place {
        Where::In(range, rows) => {
            (first, last, most) = (uuid_at(range.first), uuid_at(range.last), rows);
            parameters.extend([&first as &(dyn ToSql + Sync), &last, &most]);
            sql(part_in_range(filter.state, direction(order)), order)
        }
        Where::Among(ids) => {
            most = i64::MAX;
            among = ids.iter().copied().map(uuid_of).collect::<Vec<_>>();
            parameters.push(&among);
            sql("SELECT id FROM unnest($4::uuid[]) AS given (id)".to_owned(), order)
        }
    };
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
        if seen < most {
            part.last = None;
        }
        Ok(part)
    })
    .await
}

/// Where the events are looked for: those in a rare state have an index of their own.
fn part_in_range(state: Option<EventState>, order: &str) -> String {
    match state {
        Some(EventState::Pending) => format!(
            "SELECT DISTINCT event_id AS id FROM open WHERE event_id >= $4 AND event_id <= $5 ORDER BY event_id {order} LIMIT $6"
        ),
        Some(EventState::Dead) => format!(
            "SELECT DISTINCT event_id AS id FROM finished WHERE state <> 3 AND state = 4 AND event_id >= $4 AND event_id <= $5
             ORDER BY event_id {order} LIMIT $6"
        ),
        Some(EventState::Parked) => {
            format!("SELECT id FROM events WHERE parked IS NOT NULL AND id >= $4 AND id <= $5 ORDER BY id {order} LIMIT $6")
        }
        _ => format!("SELECT id FROM events WHERE id >= $4 AND id <= $5 ORDER BY id {order} LIMIT $6"),
    }
}

fn sql(part: String, order: Order) -> String {
    let order = direction(order);
    format!(
        "WITH part AS MATERIALIZED ({part})
         SELECT part.id, found.*
         FROM part LEFT JOIN LATERAL (
             SELECT {COLUMNS} FROM events CROSS JOIN LATERAL ({SUMMARY}) AS summary
             WHERE events.id = part.id AND ($1::text IS NULL OR endpoint = $1)
             AND ($2::text IS NULL OR replace(id::text, '-', '') LIKE $2 || '%' OR replace(id::text, '-', '') LIKE '%' || $2)
             AND ($3::text IS NULL OR summary.state = $3)
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
