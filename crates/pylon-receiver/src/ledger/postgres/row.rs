//! Values as the tables hold them.

use super::error::Fault;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{AttemptAnswer, AttemptRecord, DeliveryState};
use crate::time::Moment;
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// The id as PostgreSQL has it.
pub(super) fn uuid_of(id: EventId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// The event with this id.
pub(super) fn event_of(id: Uuid) -> EventId {
    EventId::from_bytes(*id.as_bytes())
}

/// The delivery with this id.
pub(super) fn delivery_of(event: Uuid, number: i32) -> DeliveryId {
    DeliveryId { event: event_of(event), number: number.cast_unsigned() }
}

/// The moment so many milliseconds after the beginning of 1970, UTC.
pub(super) fn moment_of(milliseconds: i64) -> Moment {
    Moment::from_unix_milliseconds(milliseconds)
}

/// The text that was stored as bytes.
pub(super) fn text_of(bytes: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(bytes).map_err(|_| Fault::Other("expected stored text in UTF-8, found other bytes".into()))
}

/// The number of a state, which partial indexes name.
pub(super) const fn number_of(state: DeliveryState) -> i16 {
    match state {
        DeliveryState::Waiting => 0,
        DeliveryState::Held => 1,
        DeliveryState::Delivering => 2,
        DeliveryState::Delivered => 3,
        DeliveryState::Dead => 4,
        DeliveryState::Dropped => 5,
        DeliveryState::Redelivered => 6,
    }
}

/// The state with this number.
pub(super) fn state_of(number: i16) -> Result<DeliveryState, Fault> {
    let state = DeliveryState::ALL.iter().copied().find(|&state| number_of(state) == number);
    state.ok_or_else(|| Fault::Other(format!("expected the number of a state, found {number}").into()))
}

/// A thousand years in milliseconds: no moment that is so far away from the present overflows.
const LONGEST: i64 = 31_556_952_000_000;

/// The duration in whole milliseconds; those of more than a thousand years are as long as these.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}

/// An entry of the log of attempts, from the column with the attempt's number on: `attempt, started_at, took_ms, status, detail, code,
/// answer_type, answer, answer_is_cut`.
pub(super) fn attempt(row: &Row, first: usize) -> Result<AttemptRecord, Fault> {
    let answer = match row.try_get::<_, Option<Vec<u8>>>(first + 7)? {
        Some(bytes) => {
            let content_type = row.try_get::<_, Option<Vec<u8>>>(first + 6)?.map(text_of).transpose()?;
            let is_cut = row.try_get::<_, Option<bool>>(first + 8)?.unwrap_or_default();
            Some(AttemptAnswer { content_type: content_type.map(Into::into), bytes: bytes.into(), is_cut })
        }
        None => None,
    };
    Ok(AttemptRecord {
        attempt: row.try_get::<_, i32>(first)?.cast_unsigned(),
        started_at: moment_of(row.try_get(first + 1)?),
        took_milliseconds: row.try_get::<_, i64>(first + 2)?.cast_unsigned(),
        status: row.try_get(first + 3)?,
        detail: text_of(row.try_get(first + 4)?)?,
        code: row.try_get(first + 5)?,
        answer,
    })
}
