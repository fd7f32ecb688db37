//! Events, deduplication keys and refused requests as they go from one ledger to another.

use super::clock::Tick;
use super::row::{ATTEMPT, attempt, state_of};
use crate::headers::Headers;
use crate::id::EventId;
use crate::ledger::copy::{CopyPlace, DeliveryCopy, EventCopy, KeyCopy, KeyName, LedgerId, RefusedCopy};
use crate::ledger::{AttemptRecord, DeliveryState};
use rusqlite::{Connection, Row, params};
use std::path::Path;

/// From what times and places are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// The moment of the copy.
    pub(super) since: Tick,
    /// The delivery before the one with the first place.
    pub(super) deliveries_before: i64,
    /// The refused request before the first of the copy.
    pub(super) refused_before: i64,
}

/// What the ledger is, and where.
pub(super) fn place(connection: &Connection, path: &Path) -> rusqlite::Result<CopyPlace> {
    let id: LedgerId = connection.query_row("SELECT identity FROM ledger", [], |row| row.get(0))?;
    Ok(CopyPlace { id, name: format!("sqlite:{}", path.display()).into() })
}

/// The columns that [`Origin::event`] reads.
pub(super) const EVENT: &str = "seq, id, endpoint, name, kind, method, target, query, parked, headers, body";

/// The columns that [`Origin::refused`] reads.
pub(super) const REFUSED: &str =
    "number, at_ms, endpoint, code, reason, status, method, path, remote, headers, body, body_length";

impl Origin {
    /// An event with its deliveries and their attempts.
    pub(super) fn event(&self, connection: &Connection, row: &Row<'_>) -> rusqlite::Result<EventCopy> {
        let seq: i64 = row.get(0)?;
        let mut deliveries = connection.prepare_cached(
            "SELECT seq, number, destination, order_key, state, at_ms, attempts, uncounted, interruptions, is_repeat, created_at_ms,
                 redelivery_of, reason, code FROM deliveries WHERE event_seq = ?1 ORDER BY number",
        )?;
        let deliveries = deliveries.query_map([seq], |row| self.delivery(connection, row))?;
        Ok(EventCopy {
            id: row.get(1)?,
            endpoint: row.get(2)?,
            name: row.get(3)?,
            kind: row.get(4)?,
            method: row.get(5)?,
            target: row.get(6)?,
            query: row.get(7)?,
            parked: row.get(8)?,
            headers: Headers::from_stored(row.get::<_, Vec<u8>>(9)?),
            body: row.get::<_, Vec<u8>>(10)?.into(),
            deliveries: deliveries.collect::<rusqlite::Result<_>>()?,
        })
    }

    fn delivery(&self, connection: &Connection, row: &Row<'_>) -> rusqlite::Result<DeliveryCopy> {
        let seq: i64 = row.get(0)?;
        let state = state_of(row.get(4)?, false)?;
        let is_unfinished = state.is_unfinished();
        let (attempts, uncounted, interruptions): (u32, u32, u32) = (row.get(6)?, row.get(7)?, row.get(8)?);
        let (at, is_repeat): (Tick, bool) = (row.get(5)?, row.get(9)?);
        let place = u64::try_from(seq.saturating_sub(self.deliveries_before)).ok();
        Ok(DeliveryCopy {
            number: row.get(1)?,
            destination: row.get(2)?,
            order_key: row.get(3)?,
            state,
            place: place.filter(|_| is_unfinished),
            due: (state == DeliveryState::Waiting).then(|| at.milliseconds_since(self.since)),
            // Of one that has ended, only the number of all counts is of use.
            attempts: if is_unfinished { attempts } else { attempts.saturating_add(interruptions) },
            uncounted: if is_unfinished { uncounted } else { 0 },
            interruptions: if is_unfinished { interruptions } else { 0 },
            is_repeat: is_unfinished && is_repeat,
            created_at: row.get(10)?,
            finished_at: if is_unfinished { None } else { Some(row.get(5)?) },
            redelivery_of: row.get(11)?,
            reason: row.get(12)?,
            log: log(connection, seq)?,
            code: row.get(13)?,
        })
    }

    /// The expiry of a deduplication key.
    pub(super) fn key(&self, name: KeyName, event: EventId, expires_at: Option<Tick>) -> KeyCopy {
        KeyCopy { name, event, expires: expires_at.map(|at| at.milliseconds_since(self.since)) }
    }

    /// A refused request.
    pub(super) fn refused(&self, row: &Row<'_>) -> rusqlite::Result<RefusedCopy> {
        let number: i64 = row.get(0)?;
        Ok(RefusedCopy {
            number: u64::try_from(number.saturating_sub(self.refused_before)).unwrap_or(0),
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
    }
}

fn log(connection: &Connection, delivery_seq: i64) -> rusqlite::Result<Vec<AttemptRecord>> {
    connection
        .prepare_cached(&format!("SELECT {ATTEMPT} FROM attempts WHERE delivery_seq = ?1 ORDER BY attempt"))?
        .query_map(params![delivery_seq], attempt)?
        .collect()
}
