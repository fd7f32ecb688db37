//! Values as the tables hold them.

use super::error::Fault;
use crate::id::{DeliveryId, EventId};
use crate::ledger::DeliveryState;
use crate::time::Moment;
use std::time::Duration;
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
