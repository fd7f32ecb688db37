//! The ledger as one that another is copied into. Nobody serves it meanwhile: see `moving`.

use super::clock::Tick;
use super::copied::{EVENT, Origin, REFUSED, place};
use super::ledger::SqliteLedger;
use super::moving::Purpose;
use super::options::SqliteOptions;
use super::row::{WILL_BE_HELD, WILL_WAIT, number_of};
use super::transaction::Transaction;
use crate::id::EventId;
use crate::ledger::copy::{
    CopyHead, CopyId, CopyPlace, CopyState, CopyTarget, DeliveryCopy, EventCopy, Incoming, KeyCopy, KeyName, Put,
    PutKey, RefusedCopy,
};
use crate::ledger::{DeliveryState, LedgerError, LedgerFuture};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::sync::Arc;

/// Deliveries that are let go in one commit, and events that are taken out in one.
const MOST: usize = 1000;

/// Opens the file, or makes it, to copy another ledger into it: also one into which a copy has not ended.
///
/// # Errors
/// As [`SqliteLedger::open`]; [`LedgerError::Moved`] if it was moved itself.
pub fn open_to_copy_into(path: impl AsRef<Path>, options: SqliteOptions) -> Result<SqliteLedger, LedgerError> {
    SqliteLedger::open_for(Purpose::CopyInto, path.as_ref(), options)
}

impl CopyTarget for SqliteLedger {
    fn target_place(&self) -> LedgerFuture<'_, CopyPlace> {
        let path = self.path().to_owned();
        self.read(move |connection| place(connection, &path))
    }

    fn copies(&self) -> LedgerFuture<'_, Vec<Incoming>> {
        self.read(copies)
    }

    fn count_events(&self) -> LedgerFuture<'_, u64> {
        self.read(|connection| connection.query_row("SELECT events FROM ledger", [], |row| row.get(0)))
    }

    fn begin_copy(&self, head: CopyHead) -> LedgerFuture<'_, ()> {
        self.write(head, begin)
    }

    fn put_keys(&self, copy: CopyId, keys: Vec<KeyCopy>) -> LedgerFuture<'_, Vec<PutKey>> {
        self.write((copy, keys), put_keys)
    }

    fn put_events(&self, copy: CopyId, events: Vec<EventCopy>) -> LedgerFuture<'_, Vec<Put>> {
        self.write((copy, events), put_events)
    }

    fn put_refused(&self, copy: CopyId, refused: Vec<RefusedCopy>) -> LedgerFuture<'_, Vec<Put>> {
        self.write((copy, refused), put_refused)
    }

    fn found_keys(&self, copy: CopyId, names: Vec<KeyName>) -> LedgerFuture<'_, Vec<Option<KeyCopy>>> {
        self.read(move |connection| {
            let origin = Begun::of(connection, copy)?.origin;
            names.into_iter().map(|name| found_key(connection, origin, name)).collect()
        })
    }

    fn found_events(&self, copy: CopyId, ids: Vec<EventId>) -> LedgerFuture<'_, Vec<Option<EventCopy>>> {
        self.read(move |connection| {
            let origin = Begun::of(connection, copy)?.origin;
            ids.into_iter().map(|id| found_event(connection, origin, id)).collect()
        })
    }

    fn found_refused(&self, copy: CopyId, numbers: Vec<u64>) -> LedgerFuture<'_, Vec<Option<RefusedCopy>>> {
        self.read(move |connection| {
            let origin = Begun::of(connection, copy)?.origin;
            numbers.into_iter().map(|number| found_refused(connection, origin, number)).collect()
        })
    }

    fn seal_copy(&self, copy: CopyId) -> LedgerFuture<'_, ()> {
        self.write((copy, CopyState::Sealed), set_state)
    }

    fn release_copy(&self, copy: CopyId) -> LedgerFuture<'_, u64> {
        self.write(copy, release)
    }

    fn discard_copy(&self, copy: CopyId) -> LedgerFuture<'_, u64> {
        self.write(copy, discard)
    }
}

/// A copy that has begun.
struct Begun {
    number: i64,
    state: CopyState,
    origin: Origin,
    places: i64,
    events_before: i64,
}

impl Begun {
    fn of(connection: &Connection, copy: CopyId) -> rusqlite::Result<Self> {
        Self::find(connection, copy)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn find(connection: &Connection, copy: CopyId) -> rusqlite::Result<Option<Self>> {
        connection
            .prepare_cached(
                "SELECT number, since_ms, places, events_before, deliveries_before, refused_before, state FROM copies WHERE copy = ?1",
            )?
            .query_row([copy], |row| {
                let origin =
                    Origin { since: row.get(1)?, deliveries_before: row.get(4)?, refused_before: row.get(5)? };
                let (places, events_before) = (row.get(2)?, row.get(3)?);
                Ok(Self { number: row.get(0)?, state: row.get(6)?, origin, places, events_before })
            })
            .optional()
    }
}

fn copies(connection: &Connection) -> rusqlite::Result<Vec<Incoming>> {
    connection
        .prepare_cached("SELECT copy, source, source_name, state FROM copies ORDER BY number")?
        .query_map([], |row| {
            let source = CopyPlace { id: row.get(1)?, name: row.get(2)? };
            Ok(Incoming { copy: row.get(0)?, source, state: row.get(3)? })
        })?
        .collect()
}

fn begin(transaction: &mut Transaction<'_>, head: &CopyHead) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO copies (copy, source, source_name, state, since_ms, places, events_before, deliveries_before, refused_before)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(seq), 0) FROM events),
                 (SELECT coalesce(max(seq), 0) FROM deliveries), (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'refused'))
             ON CONFLICT (copy) DO NOTHING",
        )?
        .execute(params![
            head.copy,
            head.source.id,
            head.source.name,
            CopyState::UnderWay,
            transaction.now.tick.offset(-i64::try_from(head.since_ago.as_millis()).unwrap_or(i64::MAX)),
            i64::try_from(head.places).unwrap_or(i64::MAX),
        ])
        .map(drop)
}

fn put_keys(transaction: &mut Transaction<'_>, (copy, keys): &(CopyId, Vec<KeyCopy>)) -> rusqlite::Result<Vec<PutKey>> {
    let connection = transaction.connection;
    let begun = Begun::of(connection, *copy)?;
    let mut put = connection.prepare_cached(
        "INSERT INTO deduplication_keys (endpoint, key, event_id, expires_at_ms, copied) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (endpoint, key) DO UPDATE
             SET event_id = excluded.event_id, expires_at_ms = excluded.expires_at_ms, copied = excluded.copied
             WHERE expires_at_ms <= ?6 AND event_id <> excluded.event_id",
    )?;
    let mut one = |KeyCopy { name, event, expires }: &KeyCopy| {
        let expires_at: Option<Tick> = expires.map(|expires| begun.origin.since.offset(expires));
        let now = transaction.now.tick;
        if put.execute(params![name.endpoint, name.key, event, expires_at, begun.number, now])? > 0 {
            return Ok(PutKey::New);
        }
        let kept: EventId = connection
            .prepare_cached("SELECT event_id FROM deduplication_keys WHERE endpoint = ?1 AND key = ?2")?
            .query_row(params![name.endpoint, name.key], |row| row.get(0))?;
        Ok(if kept == *event { PutKey::There } else { PutKey::Taken })
    };
    keys.iter().map(&mut one).collect()
}

fn put_events(
    transaction: &mut Transaction<'_>,
    (copy, events): &(CopyId, Vec<EventCopy>),
) -> rusqlite::Result<Vec<Put>> {
    let begun = Begun::of(transaction.connection, *copy)?;
    events.iter().map(|event| put_event(transaction, &begun, event)).collect()
}

fn put_event(transaction: &mut Transaction<'_>, begun: &Begun, event: &EventCopy) -> rusqlite::Result<Put> {
    let connection = transaction.connection;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO events (id, endpoint, name, kind, method, target, query, parked, headers, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            event.id,
            event.endpoint,
            event.name,
            event.kind,
            event.method,
            event.target,
            event.query,
            event.parked,
            event.headers.as_bytes(),
            event.body.as_ref()
        ])?;
    if inserted == 0 {
        let found = found_event(connection, begun.origin, event.id)?;
        return Ok(if found.as_ref() == Some(event) { Put::There } else { Put::Differs });
    }
    let event_seq = connection.last_insert_rowid();
    transaction.count_events(1, i64::from(event.parked.is_some()));
    for delivery in &event.deliveries {
        put_delivery(transaction, begun, event_seq, delivery)?;
    }
    Ok(Put::New)
}

fn put_delivery(
    transaction: &mut Transaction<'_>,
    begun: &Begun,
    event_seq: i64,
    delivery: &DeliveryCopy,
) -> rusqlite::Result<()> {
    let connection = transaction.connection;
    let Origin { since, deliveries_before, .. } = begun.origin;
    let seq = match delivery.place.and_then(|place| i64::try_from(place).ok()) {
        Some(place) => deliveries_before.saturating_add(place),
        // Behind all that have a place.
        None => {
            let last: Option<i64> =
                connection.prepare_cached("SELECT max(seq) FROM deliveries")?.query_row([], |row| row.get(0))?;
            last.unwrap_or(0).max(deliveries_before.saturating_add(begun.places)).saturating_add(1)
        }
    };
    let ended_at = delivery.finished_at.unwrap_or(transaction.now.wall).unix_milliseconds();
    let due_at = since.offset(delivery.due.unwrap_or(0)).milliseconds();
    let (state, at) = match delivery.state {
        DeliveryState::Waiting | DeliveryState::Delivering => (WILL_WAIT, due_at),
        DeliveryState::Held => (WILL_BE_HELD, due_at),
        state => (number_of(state), ended_at),
    };
    connection
        .prepare_cached(
            "INSERT INTO deliveries (seq, event_seq, number, destination, order_key, state, at_ms, attempts, uncounted, interruptions,
                 is_repeat, created_at_ms, redelivery_of, reason, code)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            seq,
            event_seq,
            delivery.number,
            delivery.destination,
            delivery.order_key,
            state,
            at,
            delivery.attempts,
            delivery.uncounted,
            delivery.interruptions,
            delivery.is_repeat,
            delivery.created_at,
            delivery.redelivery_of,
            delivery.reason,
            delivery.code
        ])?;
    for attempt in &delivery.log {
        connection
            .prepare_cached(
                "INSERT INTO attempts
                     (delivery_seq, attempt, started_at_ms, took_ms, status, detail, code, answer_type, answer, answer_is_cut)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                seq,
                attempt.attempt,
                attempt.started_at,
                i64::try_from(attempt.took_milliseconds).unwrap_or(i64::MAX),
                attempt.status,
                attempt.detail,
                attempt.code,
                attempt.answer.as_ref().and_then(|answer| answer.content_type.as_deref()),
                attempt.answer.as_ref().map(|answer| answer.bytes.as_ref()),
                attempt.answer.as_ref().map(|answer| answer.is_cut),
            ])?;
    }
    if delivery.state == DeliveryState::Dead {
        transaction.count_dead(&delivery.destination, delivery.code.as_deref(), 1);
    }
    Ok(())
}

fn put_refused(
    transaction: &mut Transaction<'_>,
    (copy, refused): &(CopyId, Vec<RefusedCopy>),
) -> rusqlite::Result<Vec<Put>> {
    let origin = Begun::of(transaction.connection, *copy)?.origin;
    refused.iter().map(|refused| put_one_refused(transaction, origin, refused)).collect()
}

fn put_one_refused(transaction: &mut Transaction<'_>, origin: Origin, refused: &RefusedCopy) -> rusqlite::Result<Put> {
    let connection = transaction.connection;
    if let Some(found) = found_refused(connection, origin, refused.number)? {
        return Ok(if found == *refused { Put::There } else { Put::Differs });
    }
    connection
        .prepare_cached(&format!(
            "INSERT INTO refused ({REFUSED}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        ))?
        .execute(params![
            number_here(origin, refused.number),
            refused.at,
            refused.endpoint,
            refused.code,
            refused.reason,
            refused.status,
            refused.method,
            refused.path,
            refused.remote,
            refused.headers.as_bytes(),
            refused.body.as_ref(),
            i64::try_from(refused.body_length).unwrap_or(i64::MAX),
        ])?;
    count_refused(connection, refused.endpoint.as_deref(), &refused.code, 1)?;
    transaction.count_refused(1);
    Ok(Put::New)
}

fn count_refused(connection: &Connection, endpoint: Option<&str>, code: &str, by: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO refused_totals (endpoint, code, kept) VALUES (coalesce(?1, ''), ?2, ?3)
             ON CONFLICT (endpoint, code) DO UPDATE SET kept = kept + excluded.kept",
        )?
        .execute(params![endpoint, code, by])?;
    connection
        .prepare_cached("DELETE FROM refused_totals WHERE endpoint = coalesce(?1, '') AND code = ?2 AND kept = 0")?
        .execute(params![endpoint, code])?;
    Ok(())
}

fn number_here(origin: Origin, number: u64) -> i64 {
    origin.refused_before.saturating_add(i64::try_from(number).unwrap_or(i64::MAX))
}

fn found_key(connection: &Connection, origin: Origin, name: KeyName) -> rusqlite::Result<Option<KeyCopy>> {
    let found = connection
        .prepare_cached("SELECT event_id, expires_at_ms FROM deduplication_keys WHERE endpoint = ?1 AND key = ?2")?
        .query_row(params![name.endpoint, name.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(event, expires_at)| origin.key(name, event, expires_at)))
}

fn found_event(connection: &Connection, origin: Origin, id: EventId) -> rusqlite::Result<Option<EventCopy>> {
    connection
        .prepare_cached(&format!("SELECT {EVENT} FROM events WHERE id = ?1"))?
        .query_row([id], |row| origin.event(connection, row))
        .optional()
}

fn found_refused(connection: &Connection, origin: Origin, number: u64) -> rusqlite::Result<Option<RefusedCopy>> {
    connection
        .prepare_cached(&format!("SELECT {REFUSED} FROM refused WHERE number = ?1"))?
        .query_row([number_here(origin, number)], |row| origin.refused(row))
        .optional()
}

fn set_state(transaction: &mut Transaction<'_>, &(copy, state): &(CopyId, CopyState)) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached("UPDATE copies SET state = ?2 WHERE copy = ?1")?
        .execute(params![copy, state])
        .map(drop)
}

/// Lets some go. Those that wait come first: of each line one at most, so that those that are held find it in front.
fn release(transaction: &mut Transaction<'_>, &copy: &CopyId) -> rusqlite::Result<u64> {
    let connection = transaction.connection;
    let copied: Vec<(i64, Arc<str>, Option<String>, i64)> = connection
        .prepare_cached(
            "SELECT seq, destination, order_key, state FROM deliveries WHERE state IN (12, 13) ORDER BY state, seq",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .take(MOST)
        .collect::<rusqlite::Result<_>>()?;
    if copied.is_empty() {
        set_state(transaction, &(copy, CopyState::InUse))?;
        return Ok(0);
    }
    for (seq, destination, order_key, state) in &copied {
        let is_behind = order_key.is_some()
            && connection
                .prepare_cached("SELECT 1 FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND state = 10")?
                .exists(params![destination, order_key])?;
        let now = transaction.now.tick;
        let (sql, entered) = match (is_behind, *state) {
            (true, _) => ("UPDATE deliveries SET state = 11 WHERE seq = ?1", DeliveryState::Held),
            (false, WILL_WAIT) => ("UPDATE deliveries SET state = 10 WHERE seq = ?1", DeliveryState::Waiting),
            // What was in front of it is none of the copy's.
            (false, _) => ("UPDATE deliveries SET state = 10, at_ms = ?2 WHERE seq = ?1", DeliveryState::Waiting),
        };
        let mut update = connection.prepare_cached(sql)?;
        match update.parameter_count() {
            1 => update.execute([seq])?,
            _ => update.execute(params![seq, now])?,
        };
        transaction.enters(destination, entered);
        if entered == DeliveryState::Waiting {
            transaction.wake(destination);
        }
    }
    Ok(copied.len() as u64)
}

/// Takes some out, and in the end what is not counted with events.
fn discard(transaction: &mut Transaction<'_>, &copy: &CopyId) -> rusqlite::Result<u64> {
    let connection = transaction.connection;
    let Some(begun) = Begun::find(connection, copy)?.filter(|begun| begun.state != CopyState::InUse) else {
        return Ok(0);
    };
    let events: Vec<(i64, bool)> = connection
        .prepare_cached("SELECT seq, parked IS NOT NULL FROM events WHERE seq > ?1 ORDER BY seq DESC")?
        .query_map([begun.events_before], |row| Ok((row.get(0)?, row.get(1)?)))?
        .take(MOST)
        .collect::<rusqlite::Result<_>>()?;
    for &(seq, is_parked) in &events {
        discard_event(transaction, seq)?;
        transaction.count_events(-1, -i64::from(is_parked));
    }
    if events.is_empty() {
        discard_the_rest(transaction, &begun)?;
    }
    Ok(events.len() as u64)
}

fn discard_event(transaction: &mut Transaction<'_>, seq: i64) -> rusqlite::Result<()> {
    let connection = transaction.connection;
    connection
        .prepare_cached("DELETE FROM attempts WHERE delivery_seq IN (SELECT seq FROM deliveries WHERE event_seq = ?1)")?
        .execute([seq])?;
    let dead: Vec<(Arc<str>, Option<String>)> = connection
        .prepare_cached("SELECT destination, code FROM deliveries WHERE event_seq = ?1 AND state = 21")?
        .query_map([seq], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    dead.iter().for_each(|(destination, code)| transaction.count_dead(destination, code.as_deref(), -1));
    connection.prepare_cached("DELETE FROM deliveries WHERE event_seq = ?1")?.execute([seq])?;
    connection.prepare_cached("DELETE FROM events WHERE seq = ?1")?.execute([seq]).map(drop)
}

fn discard_the_rest(transaction: &mut Transaction<'_>, begun: &Begun) -> rusqlite::Result<()> {
    let connection = transaction.connection;
    connection.prepare_cached("DELETE FROM deduplication_keys WHERE copied = ?1")?.execute([begun.number])?;
    let refused: Vec<(Option<String>, String)> = connection
        .prepare_cached("SELECT endpoint, code FROM refused WHERE number > ?1")?
        .query_map([begun.origin.refused_before], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (endpoint, code) in &refused {
        count_refused(connection, endpoint.as_deref(), code, -1)?;
    }
    transaction.count_refused(-(refused.len() as i64));
    connection.prepare_cached("DELETE FROM refused WHERE number > ?1")?.execute([begun.origin.refused_before])?;
    connection
        .prepare_cached("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'refused'")?
        .execute([begun.origin.refused_before])?;
    connection.prepare_cached("DELETE FROM copies WHERE number = ?1")?.execute([begun.number]).map(drop)
}

impl ToSql for CopyState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number: i64 = match self {
            Self::UnderWay => 0,
            Self::Sealed => 1,
            Self::InUse => 2,
        };
        Ok(number.into())
    }
}

impl FromSql for CopyState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::UnderWay),
            1 => Ok(Self::Sealed),
            2 => Ok(Self::InUse),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}
