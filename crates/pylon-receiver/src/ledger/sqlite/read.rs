//! Reads beside the thread that writes.

use super::error::Damage;
use super::open;
use super::row::number_of;
use crate::headers::Headers;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{
    AttemptRecord, DeliveryFilter, DeliveryRecord, DeliveryState, DestinationStats, EventDetail, EventFilter,
    EventRecord, EventState, LedgerError, LedgerFuture, Order, Page, RefusedFilter, RefusedRecord, Stats,
};
use crate::time::Moment;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Reads at a time, and so connections that only read; further ones wait, and hold no thread meanwhile.
const MOST_READS: usize = 4;

/// Connections that only read.
pub(super) struct Readers {
    places: Arc<Semaphore>,
    /// Those at rest; none: closed.
    idle: Arc<Mutex<Option<Vec<Connection>>>>,
    path: Arc<Path>,
    damage: Damage,
}

impl Readers {
    pub(super) fn open(path: &Path, damage: Damage) -> Result<Self, LedgerError> {
        let idle = Arc::new(Mutex::new(Some(vec![open::to_read(path)?])));
        Ok(Self { places: Arc::new(Semaphore::new(MOST_READS)), idle, path: path.into(), damage })
    }

    /// Closes those at rest, and each of the others when it has read.
    pub(super) fn close(&self) {
        self.places.close();
        lock(&self.idle).take();
    }

    /// Reads on a thread that may wait, with a connection of its own, once there is a place.
    pub(super) fn read<'a, T: Send + 'static>(
        &'a self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> LedgerFuture<'a, T> {
        let (places, idle) = (self.places.clone(), self.idle.clone());
        let (path, damage) = (self.path.clone(), self.damage.clone());
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(|_| LedgerError::Closed)?;
            let reading = tokio::task::spawn_blocking(move || {
                // Given back at the end of the read, which comes also when nobody waits for it any more.
                let _place = place;
                let last = lock(&idle).as_mut().ok_or(LedgerError::Closed)?.pop();
                let connection = last.map_or_else(|| open::to_read(&path), Ok)?;
                let result = query(&connection).inspect_err(|error| damage.note(error))?;
                if let Some(idle) = lock(&idle).as_mut() {
                    idle.push(connection);
                }
                Ok(result)
            });
            reading.await.map_err(|_| LedgerError::Closed)?
        })
    }
}

fn lock(idle: &Mutex<Option<Vec<Connection>>>) -> MutexGuard<'_, Option<Vec<Connection>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

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

    fn query<T>(
        &self,
        connection: &Connection,
        (before, after): (&str, &str),
        limit: u32,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let sql = format!("{before}{}{after} LIMIT {limit}", self.sql);
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

pub(super) fn events(
    connection: &Connection,
    filter: &EventFilter,
    page: Page<EventId>,
) -> rusqlite::Result<Vec<EventRecord>> {
    let (beyond, order) = direction(page.order);
    let state = filter.state.map(|state| match state {
        EventState::Pending => "EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq AND state < 3)",
        EventState::Dead => {
            "events.seq IN (SELECT event_seq FROM deliveries WHERE state = 4)
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq AND state < 3)"
        }
        EventState::Delivered => {
            "EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq AND (state < 3 OR state = 4))"
        }
        EventState::Parked => {
            "parked IS NOT NULL AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)"
        }
        EventState::Unrouted => "parked IS NULL AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq)",
    });
    let conditions = Conditions::default()
        .with(&format!("id {beyond} ?"), page.after)
        .with("id >= ?", filter.since.map(EventId::first_at))
        .with("id < ?", filter.until.map(EventId::first_at))
        .with("endpoint = ?", filter.endpoint.clone())
        .with("names_match(kind, ?)", filter.kind.clone())
        .with("instr(body, ?) > 0", filter.contains.clone().map(String::into_bytes))
        .and(state);
    let sql = ("SELECT seq, id, endpoint, kind, parked, length(body) FROM events", format!(" ORDER BY id {order}"));
    let rows = conditions.query(connection, (sql.0, &sql.1), page.limit, EventRow::read)?;
    rows.into_iter().map(|row| row.complete(connection)).collect()
}

pub(super) fn event(connection: &Connection, id: EventId) -> rusqlite::Result<Option<EventDetail>> {
    // One transaction, so that the parts are of one moment.
    let transaction = connection.unchecked_transaction()?;
    let found = transaction
        .prepare_cached(
            "SELECT seq, id, endpoint, kind, parked, length(body), headers, body FROM events WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let headers = Headers::from_stored(row.get::<_, Vec<u8>>(6)?);
            Ok((EventRow::read(row)?, headers, row.get::<_, Vec<u8>>(7)?))
        })
        .optional()?;
    let Some((row, headers, body)) = found else { return Ok(None) };
    let deliveries = transaction
        .prepare_cached(&format!("{DELIVERIES} WHERE event_seq = ?1 ORDER BY number"))?
        .query_map([row.seq], |row| Ok((row.get::<_, i64>(0)?, read_delivery(row)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let with_attempts = |(seq, record)| Ok((record, attempts(&transaction, seq)?));
    let deliveries = deliveries.into_iter().map(with_attempts).collect::<rusqlite::Result<_>>()?;
    Ok(Some(EventDetail { record: row.complete(&transaction)?, headers, body: body.into(), deliveries }))
}

pub(super) fn deliveries(
    connection: &Connection,
    filter: &DeliveryFilter,
    page: Page<DeliveryId>,
) -> rusqlite::Result<Vec<DeliveryRecord>> {
    let (beyond, order) = direction(page.order);
    let mut conditions = Conditions::default();
    if let Some(after) = page.after {
        conditions = conditions.with(&format!("(id, number) {beyond} (?, ?)"), Some(after.event));
        conditions.parameters.push(Box::new(after.number));
    }
    let conditions = conditions
        .with("id = ?", filter.event)
        .with("id >= ?", filter.since.map(EventId::first_at))
        .with("id < ?", filter.until.map(EventId::first_at))
        .with("destination = ?", filter.destination.clone())
        // By value and not by parameter, so that the index of the state is used.
        .and(filter.state.map(|state| format!("state = {}", number_of(state))).as_deref());
    let after = format!(" ORDER BY id {order}, number {order}");
    // Of few deliveries there is an index; of many, those of one event after the other make a page without looking at them all.
    let is_rare = filter.event.is_some() || filter.state.is_some_and(|state| state != DeliveryState::Delivered);
    let before = if is_rare { DELIVERIES.to_owned() } else { DELIVERIES.replace(JOINED, IN_ORDER_OF_EVENTS) };
    conditions.query(connection, (&before, &after), page.limit, read_delivery)
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
    conditions.query(connection, (before, &after), page.limit, |row| {
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

pub(super) fn stats(connection: &Connection, now: Moment, ledger_bytes: u64) -> rusqlite::Result<Stats> {
    let transaction = connection.unchecked_transaction()?;
    let count = |sql: &str| transaction.prepare_cached(sql)?.query_row([], |row| row.get::<_, u64>(0));
    let mut destinations: Vec<DestinationStats> = Vec::new();
    for state in [DeliveryState::Waiting, DeliveryState::Held, DeliveryState::Delivering, DeliveryState::Dead] {
        let oldest = if state == DeliveryState::Waiting { "min(due_at_ms)" } else { "NULL" };
        let sql = format!(
            "SELECT destination, count(*), {oldest} FROM deliveries WHERE state = {} GROUP BY destination",
            number_of(state)
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let destination: String = row.get(0)?;
            let place = destinations.iter().position(|found| found.destination == destination).unwrap_or_else(|| {
                destinations.push(DestinationStats { destination, ..DestinationStats::default() });
                destinations.len() - 1
            });
            let (stats, count) = (&mut destinations[place], row.get(1)?);
            match state {
                DeliveryState::Waiting => {
                    stats.waiting = count;
                    stats.oldest_due_at = row.get::<_, Option<Moment>>(2)?.filter(|&due| due <= now);
                }
                DeliveryState::Held => stats.held = count,
                DeliveryState::Delivering => stats.delivering = count,
                _ => stats.dead = count,
            }
        }
    }
    destinations.sort_by(|one, other| one.destination.cmp(&other.destination));
    Ok(Stats {
        events: count("SELECT count(*) FROM events")?,
        parked: count("SELECT count(*) FROM events WHERE parked IS NOT NULL")?,
        refused: count("SELECT count(*) FROM refused")?,
        ledger_bytes,
        destinations,
    })
}

/// An event without what its deliveries tell.
struct EventRow {
    seq: i64,
    id: EventId,
    endpoint: String,
    kind: String,
    parked: Option<String>,
    body_length: u64,
}

impl EventRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: row.get(1)?,
            endpoint: row.get(2)?,
            kind: row.get(3)?,
            parked: row.get(4)?,
            body_length: row.get(5)?,
        })
    }

    fn complete(self, connection: &Connection) -> rusqlite::Result<EventRecord> {
        let states = connection
            .prepare_cached("SELECT state FROM deliveries WHERE event_seq = ?1")?
            .query_map([self.seq], |row| row.get(0))?
            .collect::<Result<Vec<DeliveryState>, _>>()?;
        Ok(EventRecord {
            id: self.id,
            received_at: self.id.received_at(),
            endpoint: self.endpoint,
            kind: self.kind,
            deliveries: states.len() as u32,
            state: EventState::of(self.parked.is_some(), states),
            parked: self.parked,
            body_length: self.body_length,
        })
    }
}

const DELIVERIES: &str = "
    SELECT deliveries.seq, id, number, destination, kind, state, attempts, created_at_ms, due_at_ms, finished_at_ms, order_key,
           redelivery_of, reason
    FROM deliveries JOIN events ON events.seq = event_seq";

/// How deliveries and events are joined where SQLite is to find its way.
const JOINED: &str = "deliveries JOIN events ON";
/// `CROSS JOIN` is SQLite's word for: in this order.
const IN_ORDER_OF_EVENTS: &str = "events CROSS JOIN deliveries ON";

fn read_delivery(row: &Row<'_>) -> rusqlite::Result<DeliveryRecord> {
    let state: DeliveryState = row.get(5)?;
    Ok(DeliveryRecord {
        id: DeliveryId { event: row.get(1)?, number: row.get(2)? },
        destination: row.get(3)?,
        kind: row.get(4)?,
        state,
        attempts: row.get(6)?,
        created_at: row.get(7)?,
        due_at: if state == DeliveryState::Waiting { row.get(8)? } else { None },
        finished_at: row.get(9)?,
        order_key: row.get(10)?,
        redelivery_of: row.get(11)?,
        reason: row.get(12)?,
    })
}

fn attempts(connection: &Connection, delivery_seq: i64) -> rusqlite::Result<Vec<AttemptRecord>> {
    connection
        .prepare_cached(
            "SELECT attempt, started_at_ms, took_ms, status, detail FROM attempts WHERE delivery_seq = ?1 ORDER BY attempt",
        )?
        .query_map(params![delivery_seq], |row| {
            Ok(AttemptRecord {
                attempt: row.get(0)?,
                started_at: row.get(1)?,
                took_milliseconds: row.get(2)?,
                status: row.get(3)?,
                detail: row.get(4)?,
            })
        })?
        .collect()
}
