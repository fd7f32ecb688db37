//! Events and refused requests as they go from one ledger to another, read from the tables.

use super::error::Fault;
use super::row::{attempt, event_of, moment_of, state_of, text_of};
use crate::headers::Headers;
use crate::ledger::copy::{DeliveryCopy, EventCopy, RefusedCopy};
use crate::ledger::{AttemptRecord, DeliveryState};
use deadpool_postgres::Transaction;
use std::collections::HashMap;
use tokio_postgres::Row;
use uuid::Uuid;

/// From what times and places are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// The moment of the copy, in the ledger's own time.
    pub(super) since: i64,
    /// The number before that of the first place.
    pub(super) deliveries_before: i64,
}

/// Where events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    /// Those that receivers serve.
    Served,
    /// Those of a copy that is not in use.
    Copied,
}

impl Tables {
    const fn events(self) -> &'static str {
        match self {
            Self::Served => {
                "SELECT id, endpoint, name, kind, method, target, query, parked, headers, body FROM events WHERE id = ANY($1)"
            }
            Self::Copied => {
                "SELECT id, endpoint, name, kind, method, target, query, parked, headers, body FROM copied_events WHERE id = ANY($1)"
            }
        }
    }

    const fn deliveries(self) -> &'static str {
        match self {
            Self::Served => {
                "SELECT event_id, number, destination, order_key, state, seq, due_at AS at, attempts, uncounted, interruptions, is_repeat,
                     created_at, redelivery_of, reason, code
                 FROM open WHERE event_id = ANY($1)
                 UNION ALL
                 SELECT event_id, number, destination, order_key, state, NULL, finished_at, attempts, 0, 0, false,
                     created_at, redelivery_of, reason, code
                 FROM finished WHERE event_id = ANY($1)
                 ORDER BY event_id, number"
            }
            Self::Copied => {
                "SELECT event_id, number, destination, order_key, state, seq, at, attempts, uncounted, interruptions, is_repeat,
                     created_at, redelivery_of, reason, code
                 FROM copied_deliveries WHERE event_id = ANY($1)
                 ORDER BY event_id, number"
            }
        }
    }

    const fn attempts(self) -> &'static str {
        match self {
            Self::Served => {
                "SELECT event_id, number, attempt, started_at, took_ms, status, detail, code, answer_type, answer, answer_is_cut FROM attempts WHERE event_id = ANY($1)
                 ORDER BY event_id, number, attempt"
            }
            Self::Copied => {
                "SELECT event_id, number, attempt, started_at, took_ms, status, detail, code, answer_type, answer, answer_is_cut FROM copied_attempts WHERE event_id = ANY($1)
                 ORDER BY event_id, number, attempt"
            }
        }
    }

    /// Those of the events that are there, with their deliveries and attempts.
    pub(super) async fn read(
        self,
        transaction: &Transaction<'_>,
        origin: Origin,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, EventCopy>, Fault> {
        let events = transaction.prepare_cached(self.events()).await?;
        let deliveries = transaction.prepare_cached(self.deliveries()).await?;
        let attempts = transaction.prepare_cached(self.attempts()).await?;
        let ids: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&ids];
        // Sent together.
        let (events, deliveries, attempts) = tokio::try_join!(
            transaction.query(&events, &ids),
            transaction.query(&deliveries, &ids),
            transaction.query(&attempts, &ids),
        )?;
        let mut logs: HashMap<(Uuid, i32), Vec<AttemptRecord>> = HashMap::new();
        for row in &attempts {
            logs.entry((row.try_get(0)?, row.try_get(1)?)).or_default().push(attempt(row, 2)?);
        }
        let mut of_events: HashMap<Uuid, Vec<DeliveryCopy>> = HashMap::new();
        for row in &deliveries {
            let (event, number): (Uuid, i32) = (row.try_get(0)?, row.try_get(1)?);
            let log = logs.remove(&(event, number)).unwrap_or_default();
            of_events.entry(event).or_default().push(origin.delivery(row, log)?);
        }
        let read = |row: &Row| {
            let id: Uuid = row.try_get(0)?;
            Ok((id, event(row, id, of_events.remove(&id).unwrap_or_default())?))
        };
        events.iter().map(read).collect()
    }
}

fn event(row: &Row, id: Uuid, deliveries: Vec<DeliveryCopy>) -> Result<EventCopy, Fault> {
    Ok(EventCopy {
        id: event_of(id),
        endpoint: row.try_get::<_, &str>(1)?.into(),
        name: text(row, 2)?,
        kind: row.try_get::<_, Option<&str>>(3)?.map(Into::into),
        method: text(row, 4)?,
        target: text(row, 5)?,
        query: optional_text(row, 6)?,
        parked: optional_text(row, 7)?,
        headers: Headers::from_stored(row.try_get::<_, Vec<u8>>(8)?),
        body: row.try_get::<_, Vec<u8>>(9)?.into(),
        deliveries,
    })
}

impl Origin {
    fn delivery(&self, row: &Row, log: Vec<AttemptRecord>) -> Result<DeliveryCopy, Fault> {
        let state = state_of(row.try_get(4)?)?;
        let at: i64 = row.try_get(6)?;
        let place = row.try_get::<_, Option<i64>>(5)?.map(|seq| seq.saturating_sub(self.deliveries_before));
        let count = |column: usize| -> Result<u32, Fault> { Ok(row.try_get::<_, i32>(column)?.cast_unsigned()) };
        Ok(DeliveryCopy {
            number: count(1)?,
            destination: row.try_get::<_, &str>(2)?.into(),
            order_key: optional_text(row, 3)?,
            state,
            place: place.and_then(|place| u64::try_from(place).ok()),
            due: (state == DeliveryState::Waiting).then(|| at.saturating_sub(self.since)),
            attempts: count(7)?,
            uncounted: count(8)?,
            interruptions: count(9)?,
            is_repeat: row.try_get(10)?,
            created_at: row.try_get::<_, Option<i64>>(11)?.map(moment_of),
            finished_at: (!state.is_unfinished()).then(|| moment_of(at)),
            redelivery_of: row.try_get::<_, Option<i32>>(12)?.map(i32::cast_unsigned),
            reason: optional_text(row, 13)?,
            log,
            code: row.try_get::<_, Option<&str>>(14)?.map(Into::into),
        })
    }
}

/// The columns that [`refused`] reads.
pub(super) const REFUSED: &str =
    "number, at, endpoint, code, reason, status, method, path, remote, headers, body, body_length";

/// A refused request.
pub(super) fn refused(row: &Row) -> Result<RefusedCopy, Fault> {
    Ok(RefusedCopy {
        number: row.try_get::<_, i64>(0)?.cast_unsigned(),
        at: moment_of(row.try_get(1)?),
        endpoint: row.try_get::<_, Option<&str>>(2)?.map(Into::into),
        code: row.try_get::<_, &str>(3)?.into(),
        reason: text(row, 4)?,
        status: u16::try_from(row.try_get::<_, i32>(5)?).unwrap_or(0),
        method: text(row, 6)?,
        path: text(row, 7)?,
        remote: text(row, 8)?,
        headers: Headers::from_stored(row.try_get::<_, Vec<u8>>(9)?),
        body: row.try_get::<_, Vec<u8>>(10)?.into(),
        body_length: row.try_get::<_, i64>(11)?.cast_unsigned(),
    })
}

fn text(row: &Row, column: usize) -> Result<Box<str>, Fault> {
    Ok(text_of(row.try_get(column)?)?.into())
}

fn optional_text(row: &Row, column: usize) -> Result<Option<Box<str>>, Fault> {
    let text = row.try_get::<_, Option<Vec<u8>>>(column)?.map(text_of).transpose()?;
    Ok(text.map(Into::into))
}
