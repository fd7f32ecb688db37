//! What is listed, searched and counted.

use super::clock::{LedgerClock, Now, Tick};
use super::row::{ATTEMPT, attempt, number_of, state_of};
use super::search;
use super::terms::TermSearch;
use crate::headers::Headers;
use crate::id::{DeliveryId, EventId, PartOfId};
use crate::ledger::{
    AttemptRecord, DeadGroup, DeliveryFilter, DeliveryRecord, DeliveryState, DestinationStats, EventDetail,
    EventFilter, EventRecord, EventState, FoundEvents, IssueSummary, Order, Page, RefusedFilter, RefusedRecord, Stats,
};
use crate::time::{Moment, WallClock};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Conditions and their parameters, as they gather.
#[derive(Default)]
struct Conditions {
    sql: String,
    parameters: Vec<Box<dyn ToSql>>,
}

impl Conditions {
    /// Adds a condition with a `?` for the value.
    fn with(mut self, sql: &str, value: Option<impl ToSql + 'static>) -> Self {
        if let Some(value) = value {
            self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
            self.sql.push_str(sql);
            self.parameters.push(Box::new(value));
        }
        self
    }

    /// Adds a condition without a value.
    fn and(mut self, sql: Option<&str>) -> Self {
        if let Some(sql) = sql {
            self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
            self.sql.push_str(sql);
        }
        self
    }

    /// Adds that the column has one of these ids.
    fn among(mut self, column: &str, ids: Vec<EventId>) -> Self {
        self = self.and(Some(&format!("{column} IN ({})", vec!["?"; ids.len()].join(", "))));
        self.parameters.extend(ids.into_iter().map(|id| Box::new(id) as Box<dyn ToSql>));
        self
    }

    fn query<T>(
        &self,
        connection: &Connection,
        (before, after): (&str, &str),
        limit: u32,
        offset: u32,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let offset = if offset > 0 { format!(" OFFSET {offset}") } else { String::new() };
        let sql = format!("{before}{}{after} LIMIT {limit}{offset}", self.sql);
        let parameters = rusqlite::params_from_iter(self.parameters.iter().map(|value| value.as_ref()));
        connection.prepare_cached(&sql)?.query_map(parameters, read)?.collect()
    }
}

const fn direction(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    }
}

/// A page of events; fails when bodies are searched for too long.
pub(super) fn events(
    connection: &Connection,
    filter: &EventFilter,
    page: Page<EventId>,
) -> rusqlite::Result<Vec<EventRecord>> {
    let found = search(connection, filter, page, search::LONGEST)?;
    if found.searched_to.is_some() { Err(search::too_long()) } else { Ok(found.events) }
}

/// A page of events, as far as they are found within this time.
pub(super) fn search(
    connection: &Connection,
    filter: &EventFilter,
    page: Page<EventId>,
    within: Duration,
) -> rusqlite::Result<FoundEvents> {
    // One transaction, so that nothing comes into the index in the middle.
    let transaction = connection.unchecked_transaction()?;
    let until = Instant::now() + within;
    if let Some(term) = filter.term.as_deref().or(filter.issue.as_deref())
        && let Some(terms) = TermSearch::begin(&transaction, term, page, ends(filter.since, filter.until))?
    {
        return search_by_term(&transaction, terms, filter, page, until);
    }
    let reads_bodies = filter.contains.is_some() || filter.issue.is_some() || filter.term.is_some();
    let is_rare = matches!(filter.state, Some(EventState::Dead | EventState::Parked));
    if reads_bodies && !is_rare {
        return search_bodies(&transaction, filter, page, until);
    }
    // Of these there are few, and they come in no order that could be gone on with.
    let until = until.max(Instant::now() + search::LONGEST);
    let events = page_of_events(&transaction, filter, page, Conditions::default(), until)?;
    Ok(FoundEvents { events, searched_to: None })
}

/// The ids that events between two moments can have.
fn ends(since: Option<Moment>, until: Option<Moment>) -> (EventId, EventId) {
    let number = |id: EventId| u128::from_be_bytes(*id.as_bytes());
    let id_at = |number: u128| EventId::from_bytes(number.to_be_bytes());
    let last = until.map_or(u128::MAX, |until| number(EventId::first_at(until)).saturating_sub(1));
    (since.map_or(id_at(0), EventId::first_at), id_at(last))
}

/// How many candidates are looked at together.
const CANDIDATES: usize = 128;

/// Looks at the events that may have the term: the index can be wrong about them, and the filter may have other conditions.
fn search_by_term(
    connection: &Connection,
    mut terms: TermSearch<'_>,
    filter: &EventFilter,
    page: Page<EventId>,
    until: Instant,
) -> rusqlite::Result<FoundEvents> {
    let (mut found, mut passed) = (FoundEvents::default(), None);
    loop {
        let left = page.limit.saturating_sub(found.events.len() as u32);
        let ids = terms.next(CANDIDATES)?;
        let (Some(&last), 1..) = (ids.last(), left) else { return Ok(found) };
        let part = Page { limit: left, after: None, ..page };
        let ends = if passed.is_none() { Instant::now() + search::LONGEST } else { until };
        let events = page_of_events(connection, filter, part, Conditions::default().among("id", ids), ends);
        match events {
            // What was found before is told, and where to go on.
            Err(error) if search::is_too_long(&error) && passed.is_some() => {
                found.searched_to = passed;
                return Ok(found);
            }
            events => found.events.extend(events?),
        }
        passed = Some(last);
        // Where the other conditions fail, no body is read that would look at the time.
        if Instant::now() > until && (found.events.len() as u32) < page.limit {
            found.searched_to = passed;
            return Ok(found);
        }
    }
}

/// Rows of the first part of a search that reads bodies, and of a later one at most.
const PART: (u32, u32) = (64, 2048);

/// Looks into the bodies of some events after the other, until the page is full or the time is over.
fn search_bodies(
    connection: &Connection,
    filter: &EventFilter,
    page: Page<EventId>,
    until: Instant,
) -> rusqlite::Result<FoundEvents> {
    let (beyond, order) = direction(page.order);
    let up_to = if order == "DESC" { "id >= ?" } else { "id <= ?" };
    let (mut found, mut after, mut rows) = (FoundEvents::default(), page.after, PART.0);
    loop {
        let part = Conditions::default()
            .with(&format!("id {beyond} ?"), after)
            .with("id >= ?", filter.since.map(EventId::first_at))
            .with("id < ?", filter.until.map(EventId::first_at));
        let sql = ("SELECT id FROM events", format!(" ORDER BY id {order}"));
        let last = part.query(connection, (sql.0, &sql.1), 1, rows - 1, |row| row.get::<_, EventId>(0))?.pop();
        let left = Page { after, limit: page.limit.saturating_sub(found.events.len() as u32), ..page };
        // The first part is looked at in any case, so that a search that goes on comes to its end.
        let is_first = after == page.after;
        let ends = if is_first { Instant::now() + search::LONGEST } else { until };
        let events = page_of_events(connection, filter, left, Conditions::default().with(up_to, last), ends);
        match events {
            // What was found before is told, and where to go on.
            Err(error) if search::is_too_long(&error) && !is_first => {
                found.searched_to = after;
                return Ok(found);
            }
            events => found.events.extend(events?),
        }
        if last.is_none() || found.events.len() as u32 >= page.limit {
            return Ok(found);
        }
        (after, rows) = (last, (2 * rows).min(PART.1));
        if Instant::now() >= until {
            found.searched_to = after;
            return Ok(found);
        }
    }
}

/// A page of the events that match the filter and these conditions.
fn page_of_events(
    connection: &Connection,
    filter: &EventFilter,
    page: Page<EventId>,
    conditions: Conditions,
    until: Instant,
) -> rusqlite::Result<Vec<EventRecord>> {
    let (beyond, order) = direction(page.order);
    let state = filter.state.map(|state| match state {
        EventState::Pending => "EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq AND state < 20)",
        EventState::Dead => {
            "events.seq IN (SELECT event_seq FROM deliveries WHERE state = 21)
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq AND state < 20)"
        }
        EventState::Delivered => {
            "EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq AND (state < 20 OR state = 21))"
        }
        EventState::Parked => {
            "parked IS NOT NULL AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)"
        }
        EventState::Unrouted => "parked IS NULL AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)",
    });
    let conditions = conditions
        .with(&format!("id {beyond} ?"), page.after)
        .with("id >= ?", filter.since.map(EventId::first_at))
        .with("id < ?", filter.until.map(EventId::first_at))
        .with("endpoint = ?", filter.endpoint.clone())
        .with("names_match(coalesce(kind, name), ?)", filter.kind.clone())
        .with("is_part_of_id(id, ?)", filter.id.as_ref().map(PartOfId::to_string))
        .with("is_about_issue(body, name, kind, ?)", filter.issue.clone())
        .with("has_term(body, name, kind, ?)", filter.term.clone())
        .with("body_contains(body, ?)", filter.contains.clone())
        .and(state);
    let sql =
        ("SELECT seq, id, endpoint, name, kind, parked, length(body) FROM events", format!(" ORDER BY id {order}"));
    let rows =
        search::bounded_until(until, || conditions.query(connection, (sql.0, &sql.1), page.limit, 0, EventRow::read))?;
    rows.into_iter().map(|row| row.complete(connection)).collect()
}

pub(super) fn event(
    connection: &Connection,
    clock: Arc<dyn WallClock>,
    id: EventId,
) -> rusqlite::Result<Option<EventDetail>> {
    // One transaction, so that the parts are of one moment.
    let transaction = connection.unchecked_transaction()?;
    let now = LedgerClock::open(&transaction, clock)?.now();
    let found = transaction
        .prepare_cached(
            "SELECT seq, id, endpoint, name, kind, parked, length(body), headers, body, method, target, query FROM events
             WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let headers = Headers::from_stored(row.get::<_, Vec<u8>>(7)?);
            let request = (row.get(9)?, row.get(10)?, row.get(11)?);
            Ok((EventRow::read(row)?, headers, row.get::<_, Vec<u8>>(8)?, request))
        })
        .optional()?;
    let Some((row, headers, body, (method, target, query))) = found else { return Ok(None) };
    let deliveries = transaction
        .prepare_cached(&format!(
            "{DELIVERIES} WHERE event_seq = ?1 ORDER BY deliveries.number DESC LIMIT {MOST_SHOWN}"
        ))?
        .query_map([row.seq], |row| Ok((row.get::<_, i64>(0)?, read_delivery(row, &now)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let (record, body) = (row.complete(&transaction)?, body.into());
    let with_attempts = |(seq, delivery)| {
        let delivery = DeliveryRecord { issue: record.issue.clone(), ..delivery };
        Ok((delivery, attempts(&transaction, seq)?))
    };
    let deliveries = deliveries.into_iter().rev().map(with_attempts).collect::<rusqlite::Result<_>>()?;
    Ok(Some(EventDetail { record, method, target, query, headers, body, deliveries }))
}

pub(super) fn deliveries(
    connection: &Connection,
    clock: Arc<dyn WallClock>,
    filter: &DeliveryFilter,
    page: Page<DeliveryId>,
) -> rusqlite::Result<Vec<DeliveryRecord>> {
    let transaction = connection.unchecked_transaction()?;
    let now = LedgerClock::open(&transaction, clock)?.now();
    let until = Instant::now() + search::LONGEST;
    let mut found = match (&filter.issue, filter.event) {
        (Some(issue), None) => {
            // The event where the page begins may have further deliveries.
            let (first, last) = ends(filter.since, filter.until);
            let of_page = match (page.after, page.order) {
                (None, _) => (first, last),
                (Some(after), Order::NewestFirst) => (first, last.min(after.event)),
                (Some(after), Order::OldestFirst) => (first.max(after.event), last),
            };
            let events = Page { after: None, limit: page.limit, order: page.order };
            match TermSearch::begin(&transaction, issue, events, of_page)? {
                Some(terms) => deliveries_by_term(&transaction, &now, terms, filter, page, until)?,
                None => page_of_deliveries(&transaction, &now, filter, page, None, until)?,
            }
        }
        _ => page_of_deliveries(&transaction, &now, filter, page, None, until)?,
    };
    for record in &mut found {
        record.issue = issue_of(&transaction, record.id.event, &record.name, record.kind.as_deref());
    }
    Ok(found)
}

/// Looks at the deliveries of events that may be about the issue.
fn deliveries_by_term(
    connection: &Connection,
    now: &Now,
    mut terms: TermSearch<'_>,
    filter: &DeliveryFilter,
    page: Page<DeliveryId>,
    until: Instant,
) -> rusqlite::Result<Vec<DeliveryRecord>> {
    let mut found = Vec::new();
    loop {
        let left = page.limit.saturating_sub(found.len() as u32);
        let ids = terms.next(CANDIDATES)?;
        if ids.is_empty() || left == 0 {
            return Ok(found);
        }
        found.extend(page_of_deliveries(connection, now, filter, Page { limit: left, ..page }, Some(ids), until)?);
    }
}

/// A page of the deliveries that match the filter, of all events or of these.
fn page_of_deliveries(
    connection: &Connection,
    now: &Now,
    filter: &DeliveryFilter,
    page: Page<DeliveryId>,
    events: Option<Vec<EventId>>,
    until: Instant,
) -> rusqlite::Result<Vec<DeliveryRecord>> {
    let (beyond, order) = direction(page.order);
    // Few deliveries have an index; many are read one event after the other, so that a page needs no look at all of them.
    let is_rare = events.is_none()
        && (filter.event.is_some()
            || filter.died_before.is_some()
            || filter.state.is_some_and(|state| state != DeliveryState::Delivered));
    let mut conditions = Conditions::default();
    if let Some(events) = events {
        conditions = conditions.among("id", events);
    }
    if let Some(after) = page.after {
        conditions = conditions.with(&format!("(id, deliveries.number) {beyond} (?, ?)"), Some(after.event));
        conditions.parameters.push(Box::new(after.number));
    }
    let conditions = conditions
        .with("id = ?", filter.event)
        .with("id >= ?", filter.since.map(EventId::first_at))
        .with("id < ?", filter.until.map(EventId::first_at))
        .with("deliveries.destination = ?", filter.destination.clone())
        .with("is_about_issue(body, name, kind, ?)", filter.issue.clone())
        .with("code = ?", filter.code.clone().filter(|code| code != DeliveryFilter::NO_CODE))
        .and(filter.code.as_deref().filter(|&code| code == DeliveryFilter::NO_CODE).map(|_| "code IS NULL"))
        .with("state = 21 AND at_ms < ?", filter.died_before)
        // By value and not by parameter, so that the index of the state is used.
        .and(filter.state.map(|state| format!("state = {}", number_of(state))).as_deref())
        .and(match filter.state {
            Some(DeliveryState::Waiting) => Some("token IS NULL"),
            Some(DeliveryState::Delivering) => Some("token IS NOT NULL"),
            _ => None,
        });
    let after = format!(" ORDER BY id {order}, deliveries.number {order}");
    let before = if is_rare { DELIVERIES.to_owned() } else { DELIVERIES.replace(JOINED, IN_ORDER_OF_EVENTS) };
    let read = |row: &Row<'_>| read_delivery(row, now);
    search::bounded_until(until, || conditions.query(connection, (&before, &after), page.limit, 0, read))
}

/// Reads what the writing thread counted, and the first and the last of each group by the index.
pub(super) fn dead_groups(connection: &Connection) -> rusqlite::Result<Vec<DeadGroup>> {
    let transaction = connection.unchecked_transaction()?;
    let counted = transaction
        .prepare_cached("SELECT destination, code, dead FROM dead_totals WHERE dead > 0 ORDER BY destination, code")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(String, String, u64)>>>()?;
    let mut first = transaction.prepare_cached(
        "SELECT at_ms FROM deliveries WHERE destination = ?1 AND code IS ?2 AND state = 21 ORDER BY at_ms LIMIT 1",
    )?;
    let mut last = transaction.prepare_cached(
        "SELECT at_ms, id, number, reason, deliveries.seq FROM deliveries JOIN events ON events.seq = event_seq WHERE deliveries.seq =
         (SELECT seq FROM deliveries WHERE destination = ?1 AND code IS ?2 AND state = 21 ORDER BY at_ms DESC LIMIT 1)",
    )?;
    let mut last_attempt = transaction.prepare_cached(&format!(
        "SELECT {ATTEMPT} FROM attempts WHERE delivery_seq = ?1 ORDER BY attempt DESC LIMIT 1"
    ))?;
    let mut groups = Vec::with_capacity(counted.len());
    for (destination, code, dead) in counted {
        let code = (!code.is_empty()).then_some(code);
        let first_at = first.query_row(params![destination, code], |row| row.get(0)).optional()?;
        let last = last
            .query_row(
                params![destination, code],
                |row: &Row<'_>| -> rusqlite::Result<(Moment, DeliveryId, Option<String>, i64)> {
                    let sample = DeliveryId { event: row.get(1)?, number: row.get(2)? };
                    Ok((row.get(0)?, sample, row.get(3)?, row.get(4)?))
                },
            )
            .optional()?;
        // Neither is missing where the numbers are right.
        let (Some(first_at), Some((last_at, sample, reason, seq))) = (first_at, last) else { continue };
        let answer = last_attempt.query_row([seq], attempt).optional()?.and_then(|attempt| attempt.answer);
        groups.push(DeadGroup { destination, code, dead, first_at, last_at, sample, reason, answer });
    }
    Ok(groups)
}

pub(super) fn refused(
    connection: &Connection,
    filter: &RefusedFilter,
    page: Page<u64>,
) -> rusqlite::Result<Vec<RefusedRecord>> {
    let (beyond, order) = direction(page.order);
    let conditions = Conditions::default()
        .with(&format!("number {beyond} ?"), page.after.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
        .with("endpoint = ?", filter.endpoint.clone())
        .with("code = ?", filter.code.clone());
    let before = "SELECT number, at_ms, endpoint, code, reason, status, method, path, remote, headers, body, body_length FROM refused";
    let after = format!(" ORDER BY number {order}");
    conditions.query(connection, (before, &after), page.limit, 0, |row| {
        Ok(RefusedRecord {
            number: row.get(0)?,
            at: row.get(1)?,
            endpoint: row.get(2)?,
            code: row.get(3)?,
            reason: row.get(4)?,
            status: row.get(5)?,
            method: row.get(6)?,
            path: row.get(7)?,
            remote: row.get(8)?,
            headers: Headers::from_stored(row.get::<_, Vec<u8>>(9)?),
            body: row.get::<_, Vec<u8>>(10)?.into(),
            body_length: row.get(11)?,
        })
    })
}

/// Reads what the writing thread counted: nothing here goes through more than is being delivered.
pub(super) fn stats(connection: &Connection, clock: Arc<dyn WallClock>, ledger_bytes: u64) -> rusqlite::Result<Stats> {
    let transaction = connection.unchecked_transaction()?;
    let now = LedgerClock::open(&transaction, clock)?.now();
    let (events, parked, refused) = transaction
        .prepare_cached("SELECT events, parked, refused FROM ledger WHERE id = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut counts = transaction.prepare_cached(
        "SELECT destination, waiting, held, dead, (SELECT count(*) FROM leases WHERE leases.destination = totals.destination)
         FROM totals WHERE waiting > 0 OR held > 0 OR dead > 0 ORDER BY destination",
    )?;
    let mut oldest_due = transaction.prepare_cached(
        "SELECT at_ms FROM deliveries WHERE destination = ?1 AND is_repeat = ?3 AND state = 10 AND at_ms <= ?2
         AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.destination = ?1 AND delivery_seq = deliveries.seq)
         ORDER BY at_ms LIMIT 1",
    )?;
    let counted = counts.query_map([], |row| {
        let (waiting, delivering): (u64, u64) = (row.get(1)?, row.get(4)?);
        Ok(DestinationStats {
            destination: row.get(0)?,
            waiting: waiting.saturating_sub(delivering),
            held: row.get(2)?,
            delivering,
            dead: row.get(3)?,
            oldest_due_at: None,
        })
    })?;
    let mut destinations = counted.collect::<Result<Vec<_>, _>>()?;
    for stats in &mut destinations {
        let mut oldest = |is_repeat: bool| -> rusqlite::Result<Option<Tick>> {
            oldest_due.query_row(params![stats.destination, now.tick, is_repeat], |row| row.get(0)).optional()
        };
        let due = [oldest(false)?, oldest(true)?].into_iter().flatten().min();
        stats.oldest_due_at = due.map(|due| now.wall_at(due));
    }
    Ok(Stats { events, parked, refused, ledger_bytes, destinations })
}

/// An event without what its deliveries tell.
struct EventRow {
    seq: i64,
    id: EventId,
    endpoint: String,
    name: String,
    kind: Option<String>,
    parked: Option<String>,
    body_length: u64,
}

impl EventRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: row.get(1)?,
            endpoint: row.get(2)?,
            name: row.get(3)?,
            kind: row.get(4)?,
            parked: row.get(5)?,
            body_length: row.get(6)?,
        })
    }

    fn complete(self, connection: &Connection) -> rusqlite::Result<EventRecord> {
        let states = connection
            .prepare_cached("SELECT state FROM deliveries WHERE event_seq = ?1")?
            // To its event, a delivery is pending whether it is leased or not.
            .query_map([self.seq], |row| Ok(state_of(row.get(0)?, false)?))?
            .collect::<Result<Vec<DeliveryState>, _>>()?;
        let issue = issue_of(connection, self.id, &self.name, self.kind.as_deref());
        Ok(EventRecord {
            id: self.id,
            received_at: self.id.received_at(),
            endpoint: self.endpoint,
            name: self.name,
            kind: self.kind,
            deliveries: states.len() as u32,
            state: EventState::of(self.parked.is_some(), states),
            parked: self.parked,
            issue,
            body_length: self.body_length,
        })
    }
}

const MOST_SHOWN: usize = EventDetail::MOST_SHOWN;

const DELIVERIES: &str = "
    SELECT deliveries.seq, id, deliveries.number, deliveries.destination, name, kind, state, attempts, interruptions,
           created_at_ms, at_ms, deliveries.order_key, redelivery_of, reason, token, code, order_number
    FROM deliveries JOIN events ON events.seq = event_seq
    LEFT JOIN leases ON leases.destination = deliveries.destination AND delivery_seq = deliveries.seq";

/// How deliveries and events are joined where SQLite may find its way.
const JOINED: &str = "deliveries JOIN events ON";
/// `CROSS JOIN` is SQLite's word for: in this order.
const IN_ORDER_OF_EVENTS: &str = "events CROSS JOIN deliveries ON";

/// All but the issue, which its event's body tells.
fn read_delivery(row: &Row<'_>, now: &Now) -> rusqlite::Result<DeliveryRecord> {
    let event: EventId = row.get(1)?;
    let state = state_of(row.get(6)?, row.get::<_, Option<i64>>(14)?.is_some())?;
    let (attempts, interruptions): (u32, u32) = (row.get(7)?, row.get(8)?);
    Ok(DeliveryRecord {
        id: DeliveryId { event, number: row.get(2)? },
        destination: row.get(3)?,
        name: row.get(4)?,
        kind: row.get(5)?,
        issue: None,
        state,
        attempts: attempts.saturating_add(interruptions),
        created_at: row.get::<_, Option<Moment>>(9)?.unwrap_or_else(|| event.received_at()),
        due_at: if state == DeliveryState::Waiting { Some(now.wall_at(row.get(10)?)) } else { None },
        finished_at: if state.is_unfinished() { None } else { Some(row.get(10)?) },
        order_key: row.get(11)?,
        redelivery_of: row.get(12)?,
        reason: row.get(13)?,
        code: row.get(15)?,
        order: row.get(16)?,
    })
}

/// The issue that an event is about. A damaged body names none: a list must not end at it.
fn issue_of(connection: &Connection, event: EventId, name: &str, kind: Option<&str>) -> Option<IssueSummary> {
    let mut body = connection.prepare_cached("SELECT body FROM events WHERE id = ?1").ok()?;
    body.query_row([event], |row| Ok(IssueSummary::of(row.get_ref(0)?.as_blob()?, name, kind))).ok()?
}

fn attempts(connection: &Connection, delivery_seq: i64) -> rusqlite::Result<Vec<AttemptRecord>> {
    let mut attempts = connection
        .prepare_cached(&format!(
            "SELECT {ATTEMPT} FROM attempts WHERE delivery_seq = ?1 ORDER BY attempt DESC LIMIT {MOST_SHOWN}"
        ))?
        .query_map(params![delivery_seq], attempt)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    attempts.reverse();
    Ok(attempts)
}
