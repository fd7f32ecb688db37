//! What is read from a ledger: filters, pages, records. Their JSON is that of the admin API.

use super::DeliveryState;
use crate::headers::Headers;
use crate::id::{DeliveryId, EventId};
use crate::time::Moment;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which events; what is left out excludes none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFilter {
    /// Came in at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Came in before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// Of this kind, compared as event names are: case and the choice among `_`, `.`, `-` and spaces do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Came in at this endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Stand there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<EventState>,
    /// Have this text somewhere in their body, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

/// Which deliveries; what is left out excludes none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryFilter {
    /// Of this event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// To this destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Stand there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeliveryState>,
    /// Of events that came in at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Of events that came in before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

/// Which refused requests; what is left out excludes none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedFilter {
    /// Refused at this endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Refused for this reason, by its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// In which order a page goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// From the newest to the oldest.
    #[default]
    NewestFirst,
    /// From the oldest to the newest.
    OldestFirst,
}

/// A part of a list, in the order of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<K> {
    /// Begins behind this one; none: at the beginning.
    pub after: Option<K>,
    /// At most so many.
    pub limit: u32,
    /// In this order.
    pub order: Order,
}

/// Where an event stands, by where its deliveries stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// Some delivery is waiting, held or being made.
    Pending,
    /// None of these, and some delivery is dead.
    Dead,
    /// Every delivery has arrived, or was dropped or redelivered.
    Delivered,
    /// It was accepted and cannot be delivered, and nothing was redelivered.
    Parked,
    /// No destination takes it.
    Unrouted,
}

impl EventState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Pending, Self::Dead, Self::Delivered, Self::Parked, Self::Unrouted];

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Unrouted => "unrouted",
        }
    }

    /// Where an event stands whose deliveries stand there.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its name.
    pub id: EventId,
    /// When it came in.
    pub received_at: Moment,
    /// Where.
    pub endpoint: String,
    /// Its name as it was sent; empty if there is none.
    pub name: String,
    /// The known kind that it is taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it stands.
    pub state: EventState,
    /// Why it goes nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// The length of its body in bytes.
    pub body_length: u64,
    /// How many deliveries it has.
    pub deliveries: u32,
}

impl EventRecord {
    /// The known kind that the event is taken for, else its name as it was sent.
    pub fn kind_or_name(&self) -> &str {
        self.kind.as_deref().unwrap_or(&self.name)
    }
}

/// An event with all that is known of it.
#[derive(Clone, PartialEq)]
pub struct EventDetail {
    /// What a list says of it.
    pub record: EventRecord,
    /// The request's method.
    pub method: String,
    /// The request's path.
    pub target: String,
    /// The request's query, without the `?`.
    pub query: Option<String>,
    /// The headers with which it came in.
    pub headers: Headers,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// Its deliveries, in the order in which they were made, each with its attempts.
    pub deliveries: Vec<(DeliveryRecord, Vec<AttemptRecord>)>,
}

/// A delivery in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Its name.
    pub id: DeliveryId,
    /// Where it goes.
    pub destination: String,
    /// The event's name as it was sent; empty if there is none.
    pub name: String,
    /// The known kind that the event is taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it stands.
    pub state: DeliveryState,
    /// How many attempts were made, or were interrupted and may have been made.
    pub attempts: u32,
    /// When it was made: on arrival, or on redelivery.
    pub created_at: Moment,
    /// When it is to be attempted next, where it is waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Moment>,
    /// When it came to its end: of a dropped one when it was dropped, of a redelivered one when it died.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Moment>,
    /// Deliveries with the same are made one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_key: Option<String>,
    /// Which delivery of the event it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivery_of: Option<u32>,
    /// Why it is dead, and what its last attempt met; none once it is delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl DeliveryRecord {
    /// The known kind that the event is taken for, else its name as it was sent.
    pub fn kind_or_name(&self) -> &str {
        self.kind.as_deref().unwrap_or(&self.name)
    }
}

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Which one, from 1.
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
}

/// A refused request.
#[derive(Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Its number; later ones have higher ones.
    pub number: u64,
    /// When.
    pub at: Moment,
    /// At which endpoint.
    pub endpoint: Option<String>,
    /// Why, as a stable code.
    pub code: String,
    /// Why, as a sentence.
    pub reason: String,
    /// The status it was answered with.
    pub status: u16,
    /// The request's method.
    pub method: String,
    /// The request's path.
    pub path: String,
    /// Who sent it.
    pub remote: String,
    /// Its headers, credentials left out.
    pub headers: Headers,
    /// The first bytes of its body.
    pub body: Bytes,
    /// How many bytes of its body were read.
    pub body_length: u64,
}

/// How much there is of everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// How many events are kept.
    pub events: u64,
    /// How many of them were parked on arrival, redelivered or not.
    pub parked: u64,
    /// How many refused requests are kept.
    pub refused: u64,
    /// The size of the ledger in bytes, with everything that belongs to it.
    pub ledger_bytes: u64,
    /// What is left to be done, for each destination that any is left for, in the order of their names.
    pub destinations: Vec<DestinationStats>,
}

/// How much is left to be done for a destination.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DestinationStats {
    /// Its name.
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
