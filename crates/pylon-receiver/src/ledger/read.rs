//! What you read from a ledger: filters, pages, records. Their JSON is part of the admin API.

use super::DeliveryState;
use super::answer::AttemptAnswer;
use super::content::IssueSummary;
use crate::headers::Headers;
use crate::id::{DeliveryId, EventId, PartOfId};
use crate::time::Moment;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::{IntoParams, ToSchema};

/// Which events. A condition that is left out excludes none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventFilter {
    /// Arrived at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Arrived before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// Of this kind, or of this name if the kind is not known. Case does not count, nor does the choice among `_`, `.`, `-` and spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Accepted by this endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// In this state now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<EventState>,
    /// With this text somewhere in the body, as [`body_contains`](super::body_contains) finds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    #[param(min_length = 1)]
    pub contains: Option<String>,
    /// About the issue of this number or id, as [`IssueSummary::is_called`] compares them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    #[param(min_length = 1)]
    pub issue: Option<String>,
    /// With an id that begins or ends like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<PartOfId>,
    /// With this term: an issue's number or id, a message's id, an e-mail address, an account's name or id, as
    /// [`Terms::contain`](super::Terms::contain) compares them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    #[param(min_length = 1)]
    pub term: Option<String>,
}

/// Which deliveries. A condition that is left out excludes none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeliveryFilter {
    /// Of this event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// To this destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// In this state now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeliveryState>,
    /// Of events that arrived at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Of events that arrived before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// Of events about the issue of this number or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    #[param(min_length = 1)]
    pub issue: Option<String>,
    /// Whose last attempt failed with this code, such as `http_500`; `none` for those that have no code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Dead, and dead before this moment of the ledger's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub died_before: Option<Moment>,
}

impl DeliveryFilter {
    /// The word for the code of deliveries that have none.
    pub const NO_CODE: &'static str = "none";
}

/// Which refused requests. A condition that is left out excludes none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RefusedFilter {
    /// Refused by this endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Refused with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What a search of events has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundEvents {
    /// The events, in the order of the page.
    pub events: Vec<EventRecord>,
    /// The last event that the search looked at before its time was over: go on behind it. None: it came to the end of the page, or of the
    /// list.
    pub searched_to: Option<EventId>,
}

/// The order of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// From the newest to the oldest.
    #[default]
    NewestFirst,
    /// From the oldest to the newest.
    OldestFirst,
}

/// A part of a list, in the order of the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<K> {
    /// The page begins after this entry; none: at the beginning.
    pub after: Option<K>,
    /// Maximum number of entries.
    pub limit: u32,
    /// The order.
    pub order: Order,
}

/// The state of an event, derived from its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// A delivery is waiting, held or delivering.
    Pending,
    /// None of these, and a delivery is dead.
    Dead,
    /// Every delivery arrived, or was dropped or redelivered.
    Delivered,
    /// It was accepted, cannot be delivered, and was never redelivered.
    Parked,
    /// No destination wants it.
    Unrouted,
}

impl EventState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Pending, Self::Dead, Self::Delivered, Self::Parked, Self::Unrouted];

    /// The state's name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Unrouted => "unrouted",
        }
    }

    /// The state of an event with deliveries in these states.
    pub fn of(is_parked: bool, deliveries: impl IntoIterator<Item = DeliveryState>) -> Self {
        let mut state = if is_parked { Self::Parked } else { Self::Unrouted };
        for delivery in deliveries {
            match delivery {
                _ if delivery.is_unfinished() => return Self::Pending,
                DeliveryState::Dead => state = Self::Dead,
                _ if state != Self::Dead => state = Self::Delivered,
                _ => {}
            }
        }
        state
    }
}

impl fmt::Display for EventState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An event in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventRecord {
    /// The event's id.
    pub id: EventId,
    /// When it arrived.
    pub received_at: Moment,
    /// The endpoint that accepted it.
    pub endpoint: String,
    /// Its name as it was sent; empty if there is none.
    pub name: String,
    /// The known kind that it is taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The state.
    pub state: EventState,
    /// Why it is not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// The issue that it is about; none when its body names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueSummary>,
    /// The length of its body in bytes.
    pub body_length: u64,
    /// The number of its deliveries.
    pub deliveries: u32,
}

impl EventRecord {
    /// The known kind that the event is taken for, else its name as it was sent.
    pub fn kind_or_name(&self) -> &str {
        self.kind.as_deref().unwrap_or(&self.name)
    }
}

/// An event with its content and its deliveries. `Debug` shows no body.
#[derive(Clone, PartialEq)]
pub struct EventDetail {
    /// The event as a list has it.
    pub record: EventRecord,
    /// The request's method.
    pub method: String,
    /// The request's path.
    pub target: String,
    /// The request's query, without the `?`.
    pub query: Option<String>,
    /// The request's headers.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The newest [`MOST_SHOWN`](Self::MOST_SHOWN) deliveries in the order in which they were made, each with as many of its newest
    /// attempts.
    pub deliveries: Vec<(DeliveryRecord, Vec<AttemptRecord>)>,
}

impl EventDetail {
    /// How many deliveries are shown at most, and how many attempts of each: operators may redeliver any number of times.
    pub const MOST_SHOWN: usize = 50;
}

/// A delivery in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryRecord {
    /// The delivery's id.
    pub id: DeliveryId,
    /// The destination.
    pub destination: String,
    /// The event's name as it was sent; empty if there is none.
    pub name: String,
    /// The known kind that the event is taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The issue that the event is about; none when its body names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueSummary>,
    /// The state.
    pub state: DeliveryState,
    /// How many attempts were made, or were interrupted and may have been made.
    pub attempts: u32,
    /// When it was made: on arrival, or on redelivery.
    pub created_at: Moment,
    /// When the next attempt is due, if it is waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Moment>,
    /// When it ended: for a dropped one, when it was dropped; for a redelivered one, when it died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Moment>,
    /// Deliveries with the same order key are made one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_key: Option<String>,
    /// The number of the delivery that it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivery_of: Option<u32>,
    /// Why it is dead, and what its last attempt met; none once it is delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The code of its last failed attempt; `interrupted` if it is dead because its attempts never ended, `damaged` if its event cannot
    /// be read. None as long as nothing failed, once it is delivered, and if it failed before the receiver kept codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The number of the order that made it, or that moved or dropped it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
}

impl DeliveryRecord {
    /// The known kind that the event is taken for, else its name as it was sent.
    pub fn kind_or_name(&self) -> &str {
        self.kind.as_deref().unwrap_or(&self.name)
    }
}

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptRecord {
    /// The number, from 1.
    pub attempt: u32,
    /// When it began.
    pub started_at: Moment,
    /// How long it took, in milliseconds.
    pub took_milliseconds: u64,
    /// The HTTP status, or the command's exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// What happened.
    pub detail: String,
    /// What happened, as a stable code; none for an attempt that was made before the receiver kept codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the destination said, if the attempt failed: of the first five failed attempts of a delivery, and of the last five.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AttemptAnswer>,
}

/// A refused request.
#[derive(Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its number; later ones have higher ones.
    pub number: u64,
    /// When it was refused.
    pub at: Moment,
    /// The endpoint that refused it; none: the path names no endpoint.
    pub endpoint: Option<String>,
    /// The reason as a stable code.
    pub code: String,
    /// The reason as a sentence.
    pub reason: String,
    /// The status of the answer.
    pub status: u16,
    /// The request's method.
    pub method: String,
    /// The request's path.
    pub path: String,
    /// The address of the sender's connection.
    pub remote: String,
    /// The request's headers, without credentials.
    pub headers: Headers,
    /// The first bytes of its body.
    pub body: Bytes,
    /// The number of bytes of its body that were read.
    pub body_length: u64,
}

/// The numbers of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Events that are kept.
    pub events: u64,
    /// Events among them that were parked on arrival, redelivered or not.
    pub parked: u64,
    /// Refused requests that are kept.
    pub refused: u64,
    /// The size of the ledger in bytes, with everything that belongs to it.
    pub ledger_bytes: u64,
    /// Each destination that has deliveries left, by name.
    pub destinations: Vec<DestinationStats>,
}

/// The deliveries that a destination has left.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct DestinationStats {
    /// The destination's name.
    pub destination: String,
    /// Deliveries to be attempted when they are due.
    pub waiting: u64,
    /// Deliveries behind another one with the same order key.
    pub held: u64,
    /// Deliveries being attempted.
    pub delivering: u64,
    /// Deliveries given up.
    pub dead: u64,
    /// Since when the longest due one has been due; none: nothing is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_due_at: Option<Moment>,
}

/// The dead deliveries to one destination whose last attempts failed with one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadGroup {
    /// The destination's name.
    pub destination: String,
    /// The code; none: they died before the receiver kept codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How many they are.
    pub dead: u64,
    /// When the first of them died.
    pub first_at: Moment,
    /// When the last of them died.
    pub last_at: Moment,
    /// The one that died last.
    pub sample: DeliveryId,
    /// Why that one is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its last attempt was answered, if that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AttemptAnswer>,
}

/// Bodies are customers' texts: their length will do in a log.
impl fmt::Debug for EventDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventDetail")
            .field("record", &self.record)
            .field("headers", &self.headers)
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}

/// As above.
impl fmt::Debug for RefusedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedRecord")
            .field("number", &self.number)
            .field("code", &self.code)
            .field("headers", &self.headers)
            .field("body_length", &self.body_length)
            .finish_non_exhaustive()
    }
}
