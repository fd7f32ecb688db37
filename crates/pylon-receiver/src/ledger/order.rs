//! Operators' orders: what one asks for, how far it is, and what came of it.

use super::event::NewDelivery;
use crate::id::{DeliveryId, EventId};
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// An order to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// What makes a repeated request the same order.
    pub key: Box<str>,
    /// Who gives it.
    pub who: Box<str>,
    /// Where it comes from.
    pub source: OrderSource,
    /// What is to be done.
    pub verb: OrderVerb,
    /// To what: ids, a filter, destinations.
    pub what: serde_json::Value,
    /// Why, in the operator's words.
    pub note: Option<Box<str>>,
    /// How many events or deliveries it is about; none: they are still counted.
    pub counted: Option<u64>,
}

/// The answer to an order that was to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunOrder {
    /// The order.
    pub record: OrderRecord,
    /// Whether it began now; false: an order with this key began before, and this is that one.
    pub is_new: bool,
}

/// A part of an order: all of it is done in one commit, or in few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderPart {
    /// Nothing is done: the order's lease is renewed, and the number of what it is about is kept, if it is known by now.
    Counting(Option<u64>),
    /// Makes a new delivery of each event to the destination, or to every destination that the event ever went to. The new
    /// deliveries are due at once.
    ///
    /// A new delivery joins the end of its line and names the event's last delivery to that destination as the one it
    /// repeats. The event's dead deliveries to that destination become [redelivered](super::DeliveryState::Redelivered).
    /// Unknown events are skipped.
    Redeliver {
        /// The events.
        events: Vec<EventId>,
        /// None: wherever each went.
        destination: Option<Arc<str>>,
    },
    /// Makes the first deliveries of events that went nowhere, due at once. Events that are unknown, or have a delivery by now, are
    /// skipped. An event without a delivery to make counts as one that no destination takes.
    Route(Vec<(EventId, Vec<NewDelivery>)>),
    /// Makes a new delivery in the place of each dead one, which becomes [redelivered](super::DeliveryState::Redelivered).
    /// Deliveries that are not dead are skipped.
    RedeliverDead(Vec<DeliveryId>),
    /// Drops dead deliveries for good. Deliveries that are not dead are skipped.
    DropDead(Vec<DeliveryId>),
    /// Gives the waiting, held and dead deliveries of a destination to another one, a limited number at a call. None: there are no
    /// others, except those that are [delivering](super::DeliveryState::Delivering) and those behind them.
    ///
    /// What waits is due at once, and keeps its attempts. In a line, what was made first goes first, and everything goes behind what
    /// is delivering at that moment.
    Move {
        /// The destination that has them.
        from: Arc<str>,
        /// The destination that gets them.
        to: Arc<str>,
    },
    /// Drops the waiting, held and dead deliveries of a destination for good, a limited number at a call. None: as above.
    Drop {
        /// The destination.
        destination: Arc<str>,
    },
}

impl OrderPart {
    /// How many of what the order is about go into this part; none: as many as are done.
    pub fn taken(&self) -> Option<u64> {
        match self {
            Self::Counting(_) => Some(0),
            Self::Redeliver { events, .. } => Some(events.len() as u64),
            Self::Route(events) => Some(events.len() as u64),
            Self::RedeliverDead(deliveries) | Self::DropDead(deliveries) => Some(deliveries.len() as u64),
            Self::Move { .. } | Self::Drop { .. } => None,
        }
    }

    /// How many of its events no destination takes.
    pub fn unrouted(&self) -> u64 {
        match self {
            Self::Route(events) => events.iter().filter(|(_, deliveries)| deliveries.is_empty()).count() as u64,
            _ => 0,
        }
    }
}

/// What came of a part of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// How many deliveries were made, moved or dropped.
    pub done: u64,
    /// Whether the order is not under way (any more): it has ended, was cancelled or broken off, or is unknown. Of the part, only what
    /// `done` says was done; nothing of the order will be done from now on.
    pub is_over: bool,
}

impl Carried {
    /// This, and then more.
    #[cfg(feature = "postgres")]
    pub(super) fn and(self, more: Self) -> Self {
        Self { done: self.done + more.done, is_over: more.is_over }
    }
}

/// How an order ends that was not cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderEnd {
    /// All of it is done.
    Done,
    /// It cannot go on; the text says why.
    Failed(Box<str>),
    /// Whoever carried it out stops.
    BrokenOff,
}

/// An order, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderRecord {
    /// Its number; later ones have higher ones.
    pub number: u64,
    /// The state.
    pub state: OrderState,
    /// What is done.
    pub verb: OrderVerb,
    /// To what: `ids` (the first of them) and `id_count`, `filter`, `all`, `limit`, `destination`, `from`, `to`, as in the order.
    pub what: serde_json::Value,
    /// Who gave it: an operator's name, or `local` where nobody has to say one.
    pub who: String,
    /// Where it came from.
    pub source: OrderSource,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many events or deliveries it is about; none while they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<u64>,
    /// How many of these it has taken up.
    pub taken: u64,
    /// How many deliveries were made, moved or dropped. An event may have several.
    pub done: u64,
    /// How many events no destination takes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrouted: u64,
    /// When it began.
    pub began_at: Moment,
    /// When it ended; none: it is running, or was broken off by the end of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Moment>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this form")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl OrderRecord {
    /// For how long an order counts as under way after its last part.
    pub const LEASE: Duration = Duration::from_secs(60);
    /// How many orders are kept: the newest, and all that are running. Each has some hundred bytes, so they take a few megabytes; an
    /// operator who sends one event at a time reaches that many after years, a script after a day of many orders.
    pub const MOST_KEPT: u64 = 10_000;
}

/// What an order does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderVerb {
    /// Delivers again.
    Redeliver,
    /// Gives deliveries to another destination.
    Move,
    /// Drops deliveries.
    Drop,
}

/// Where an order comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderSource {
    /// The operator's page.
    Page,
    /// The admin API.
    Api,
    /// A command of `pylon-receiver`.
    Command,
}

/// The state of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Being carried out.
    Running,
    /// All of it is done.
    Done,
    /// An operator ended it; what it had done by then is done.
    Cancelled,
    /// It could not go on; what it had done by then is done.
    Failed,
    /// Whoever carried it out stopped or crashed; what it had done by then is done.
    BrokenOff,
}

/// Names, as in JSON.
macro_rules! names {
    ($($type:ty: $($variant:ident $name:literal),*;)*) => {$(
        impl $type {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name, as in JSON.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The one with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    )*};
}
names! {
    OrderVerb: Redeliver "redeliver", Move "move", Drop "drop";
    OrderSource: Page "page", Api "api", Command "command";
    OrderState: Running "running", Done "done", Cancelled "cancelled", Failed "failed", BrokenOff "broken_off";
}
