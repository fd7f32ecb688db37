//! Values as the tables hold them.

use crate::id::EventId;
use crate::ledger::{AttemptAnswer, AttemptRecord, CopyId, DeliveryState, LedgerId, Owner};
use crate::time::Moment;
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

impl ToSql for Owner {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
    }
}

/// Ids of sixteen bytes.
macro_rules! as_blob {
    ($($id:ty),*) => {$(
        impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
            }
        }
        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let bytes = value.as_blob()?.try_into().map_err(|_| FromSqlError::InvalidType)?;
                Ok(Self::from_bytes(bytes))
            }
        }
    )*};
}
as_blob!(EventId, LedgerId, CopyId);

impl ToSql for Moment {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.unix_milliseconds().into())
    }
}

impl FromSql for Moment {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_unix_milliseconds)
    }
}

/// The number of a state in the tables, which partial indexes name. One that is delivering is a waiting one with a lease.
pub(super) const fn number_of(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Waiting | DeliveryState::Delivering => 10,
        DeliveryState::Held => 11,
        DeliveryState::Delivered => 20,
        DeliveryState::Dead => 21,
        DeliveryState::Dropped => 22,
        DeliveryState::Redelivered => 23,
    }
}

/// Of a copy that is not in use: it will be waiting.
pub(super) const WILL_WAIT: i64 = 12;
/// Of a copy that is not in use: it will be held.
pub(super) const WILL_BE_HELD: i64 = 13;

/// The state of a delivery by its number, and whether it is leased.
pub(super) fn state_of(number: i64, is_leased: bool) -> FromSqlResult<DeliveryState> {
    if is_leased {
        return Ok(DeliveryState::Delivering);
    }
    match number {
        WILL_WAIT => return Ok(DeliveryState::Waiting),
        WILL_BE_HELD => return Ok(DeliveryState::Held),
        _ => {}
    }
    DeliveryState::ALL.iter().copied().find(|&state| number_of(state) == number).ok_or(FromSqlError::OutOfRange(number))
}

/// The columns that [`attempt`] reads.
pub(super) const ATTEMPT: &str =
    "attempt, started_at_ms, took_ms, status, detail, code, answer_type, answer, answer_is_cut";

/// An entry of the log of attempts.
pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRecord> {
    let answer = match row.get::<_, Option<Vec<u8>>>(7)? {
        Some(bytes) => {
            let is_cut = row.get::<_, Option<bool>>(8)?.unwrap_or_default();
            Some(AttemptAnswer { content_type: row.get(6)?, bytes: bytes.into(), is_cut })
        }
        None => None,
    };
    Ok(AttemptRecord {
        attempt: row.get(0)?,
        started_at: row.get(1)?,
        took_milliseconds: row.get(2)?,
        status: row.get(3)?,
        detail: row.get(4)?,
        code: row.get(5)?,
        answer,
    })
}
