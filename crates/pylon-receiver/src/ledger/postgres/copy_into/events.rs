//! Events of a copy, with their deliveries and attempts.

use super::super::changes::Changes;
use super::super::copied::{Origin, Tables};
use super::super::error::Fault;
use super::super::line::line;
use super::super::row::{number_of, uuid_of};
use super::super::session::Use;
use super::super::transaction::Job;
use super::begun::{Begun, Hold, WITHIN, not_as_expected};
use crate::id::EventId;
use crate::ledger::DeliveryState;
use crate::ledger::copy::{CopyId, DeliveryCopy, EventCopy, Put};
use crate::time::Moment;
use deadpool_postgres::Transaction;
use std::collections::HashSet;
use std::time::Duration;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// Puts events.
pub(super) struct PutEvents {
    pub(super) ledger: Uuid,
    pub(super) copy: CopyId,
    pub(super) events: Vec<EventCopy>,
}

/// Answers which ones are new. What a receiver has recorded with the same id is looked at by the caller.
const PUT: &str = "
    INSERT INTO copied_events (id, endpoint, name, kind, method, target, query, parked, headers, body, is_unfinished)
    SELECT given.* FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[],
        $9::bytea[], $10::bytea[], $11::boolean[])
        AS given (id, endpoint, name, kind, method, target, query, parked, headers, body, is_unfinished)
    WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.id = given.id)
    ON CONFLICT (id) DO NOTHING RETURNING id";

const PUT_DELIVERIES: &str = "
    INSERT INTO copied_deliveries (event_id, number, seq, destination, order_key, line, state, is_repeat, attempts, uncounted,
        interruptions, size, at, created_at, redelivery_of, reason, code)
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::text[], $5::bytea[], $6::bigint[], $7::smallint[], $8::boolean[],
        $9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::bigint[], $14::bigint[], $15::integer[], $16::bytea[],
        $17::text[])";

const PUT_ATTEMPTS: &str = "
    INSERT INTO copied_attempts (event_id, number, attempt, started_at, took_ms, status, detail, code, answer_type, answer, answer_is_cut)
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[], $6::integer[], $7::bytea[], $8::text[],
        $9::bytea[], $10::bytea[], $11::boolean[])";

impl Job for PutEvents {
    type Answer = Vec<Put>;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<Vec<Put>, Fault> {
        let Self { ledger, copy, events } = self;
        let origin = Begun::to_put(transaction, *copy).await?.origin;
        let new = put(transaction, events).await?;
        let of_new = events.iter().filter(|event| new.contains(&uuid_of(event.id)));
        let (mut deliveries, mut attempts) = (Deliveries::default(), Attempts::default());
        for event in of_new {
            for delivery in &event.deliveries {
                deliveries.push(*ledger, origin, event, delivery)?;
                attempts.push(event.id, delivery);
            }
        }
        deliveries.put(transaction).await?;
        attempts.put(transaction).await?;

        let old: Vec<EventId> = events.iter().map(|event| event.id).filter(|&id| !new.contains(&uuid_of(id))).collect();
        let mut found = find(transaction, origin, &old).await?.into_iter();
        let answer = |event: &EventCopy| match new.contains(&uuid_of(event.id)) {
            true => Put::New,
            false if found.next().flatten().as_ref() == Some(event) => Put::There,
            false => Put::Differs,
        };
        Ok(events.iter().map(answer).collect())
    }
}

async fn put(transaction: &Transaction<'_>, events: &[EventCopy]) -> Result<HashSet<Uuid>, Fault> {
    let ids: Vec<Uuid> = events.iter().map(|event| uuid_of(event.id)).collect();
    let endpoints: Vec<&str> = events.iter().map(|event| &*event.endpoint).collect();
    let names: Vec<&[u8]> = events.iter().map(|event| event.name.as_bytes()).collect();
    let kinds: Vec<Option<&str>> = events.iter().map(|event| event.kind.as_deref()).collect();
    let methods: Vec<&[u8]> = events.iter().map(|event| event.method.as_bytes()).collect();
    let targets: Vec<&[u8]> = events.iter().map(|event| event.target.as_bytes()).collect();
    let queries: Vec<Option<&[u8]>> = events.iter().map(|event| event.query.as_deref().map(str::as_bytes)).collect();
    let parked: Vec<Option<&[u8]>> = events.iter().map(|event| event.parked.as_deref().map(str::as_bytes)).collect();
    let headers: Vec<&[u8]> = events.iter().map(|event| event.headers.as_bytes()).collect();
    let bodies: Vec<&[u8]> = events.iter().map(|event| event.body.as_ref()).collect();
    let is_unfinished = |event: &EventCopy| event.deliveries.iter().any(|delivery| delivery.state.is_unfinished());
    let unfinished: Vec<bool> = events.iter().map(is_unfinished).collect();
    let columns: &[&(dyn ToSql + Sync)] =
        &[&ids, &endpoints, &names, &kinds, &methods, &targets, &queries, &parked, &headers, &bodies, &unfinished];
    let put = transaction.prepare_cached(PUT).await?;
    transaction.query(&put, columns).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Deliveries, a list for each column.
#[derive(Default)]
struct Deliveries<'a> {
    events: Vec<Uuid>,
    numbers: Vec<i32>,
    seqs: Vec<Option<i64>>,
    destinations: Vec<&'a str>,
    order_keys: Vec<Option<&'a [u8]>>,
    lines: Vec<Option<i64>>,
    states: Vec<i16>,
    are_repeats: Vec<bool>,
    attempts: Vec<i32>,
    uncounted: Vec<i32>,
    interruptions: Vec<i32>,
    sizes: Vec<i32>,
    at: Vec<i64>,
    created_at: Vec<Option<i64>>,
    redelivery_of: Vec<Option<i32>>,
    reasons: Vec<Option<&'a [u8]>>,
    codes: Vec<Option<&'a str>>,
}

impl<'a> Deliveries<'a> {
    fn push(
        &mut self,
        ledger: Uuid,
        origin: Origin,
        event: &EventCopy,
        delivery: &'a DeliveryCopy,
    ) -> Result<(), Fault> {
        let size = i32::try_from(event.body.len())
            .map_err(|_| Fault::Bad(format!("expected a body below 2 GiB, found {} bytes", event.body.len()).into()))?;
        let seq = |place: u64| origin.deliveries_before.saturating_add(i64::try_from(place).unwrap_or(i64::MAX));
        let order_key = delivery.order_key.as_deref();
        let state = match delivery.state {
            DeliveryState::Delivering => DeliveryState::Waiting,
            state => state,
        };
        let due_at = origin.since.saturating_add(delivery.due.unwrap_or(0));
        let at = delivery.finished_at.map_or(due_at, Moment::unix_milliseconds);
        let is_unfinished = state.is_unfinished();
        self.events.push(uuid_of(event.id));
        self.numbers.push(delivery.number.cast_signed());
        self.seqs.push(is_unfinished.then(|| seq(delivery.place.unwrap_or(0))));
        self.destinations.push(&delivery.destination);
        self.order_keys.push(order_key.map(str::as_bytes));
        self.lines.push(order_key.map(|key| line(ledger, &delivery.destination, key)));
        self.states.push(number_of(state));
        self.are_repeats.push(delivery.is_repeat);
        self.attempts.push(delivery.attempts.cast_signed());
        self.uncounted.push(delivery.uncounted.cast_signed());
        self.interruptions.push(delivery.interruptions.cast_signed());
        self.sizes.push(size);
        self.at.push(at);
        self.created_at.push(delivery.created_at.map(Moment::unix_milliseconds));
        self.redelivery_of.push(delivery.redelivery_of.map(u32::cast_signed));
        self.reasons.push(delivery.reason.as_deref().map(str::as_bytes));
        self.codes.push(delivery.code.as_deref());
        Ok(())
    }

    async fn put(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        if self.events.is_empty() {
            return Ok(());
        }
        let columns: &[&(dyn ToSql + Sync)] = &[
            &self.events,
            &self.numbers,
            &self.seqs,
            &self.destinations,
            &self.order_keys,
            &self.lines,
            &self.states,
            &self.are_repeats,
            &self.attempts,
            &self.uncounted,
            &self.interruptions,
            &self.sizes,
            &self.at,
            &self.created_at,
            &self.redelivery_of,
            &self.reasons,
            &self.codes,
        ];
        let put = transaction.prepare_cached(PUT_DELIVERIES).await?;
        transaction.execute(&put, columns).await?;
        Ok(())
    }
}

/// Attempts, a list for each column.
#[derive(Default)]
struct Attempts<'a> {
    events: Vec<Uuid>,
    numbers: Vec<i32>,
    attempts: Vec<i32>,
    started_at: Vec<i64>,
    took: Vec<i64>,
    statuses: Vec<Option<i32>>,
    details: Vec<&'a [u8]>,
    codes: Vec<Option<&'a str>>,
    answer_types: Vec<Option<&'a [u8]>>,
    answers: Vec<Option<&'a [u8]>>,
    are_cut: Vec<Option<bool>>,
}

impl<'a> Attempts<'a> {
    fn push(&mut self, event: EventId, delivery: &'a DeliveryCopy) {
        for attempt in &delivery.log {
            self.events.push(uuid_of(event));
            self.numbers.push(delivery.number.cast_signed());
            self.attempts.push(attempt.attempt.cast_signed());
            self.started_at.push(attempt.started_at.unix_milliseconds());
            self.took.push(i64::try_from(attempt.took_milliseconds).unwrap_or(i64::MAX));
            self.statuses.push(attempt.status);
            self.details.push(attempt.detail.as_bytes());
            self.codes.push(attempt.code.as_deref());
            let answer = attempt.answer.as_ref();
            self.answer_types.push(answer.and_then(|answer| answer.content_type.as_deref().map(str::as_bytes)));
            self.answers.push(answer.map(|answer| answer.bytes.as_ref()));
            self.are_cut.push(answer.map(|answer| answer.is_cut));
        }
    }

    async fn put(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let Self {
            events,
            numbers,
            attempts,
            started_at,
            took,
            statuses,
            details,
            codes,
            answer_types,
            answers,
            are_cut,
        } = self;
        if !events.is_empty() {
            let put = transaction.prepare_cached(PUT_ATTEMPTS).await?;
            let columns: &[&(dyn ToSql + Sync)] = &[
                events,
                numbers,
                attempts,
                started_at,
                took,
                statuses,
                details,
                codes,
                answer_types,
                answers,
                are_cut,
            ];
            transaction.execute(&put, columns).await?;
        }
        Ok(())
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

/// What there is of the events: of the copy, or of those that receivers serve.
async fn find(transaction: &Transaction<'_>, origin: Origin, ids: &[EventId]) -> Result<Vec<Option<EventCopy>>, Fault> {
    let ids: Vec<Uuid> = ids.iter().copied().map(uuid_of).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Tables::Copied.read(transaction, origin, &ids).await?;
    let others: Vec<Uuid> = ids.iter().copied().filter(|id| !found.contains_key(id)).collect();
    if !others.is_empty() {
        found.extend(Tables::Served.read(transaction, origin, &others).await?);
    }
    Ok(ids.iter().map(|id| found.remove(id)).collect())
}

/// Finds events.
pub(super) struct FindEvents {
    pub(super) copy: CopyId,
    pub(super) ids: Vec<EventId>,
}

impl Job for FindEvents {
    type Answer = Vec<Option<EventCopy>>;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<Vec<Option<EventCopy>>, Fault> {
        let begun = Begun::find(transaction, self.copy, Hold::Shared).await?;
        let origin = begun.ok_or_else(|| not_as_expected("there", "none"))?.origin;
        find(transaction, origin, &self.ids).await
    }
}
