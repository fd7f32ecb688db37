//! An operator's orders, and their results.

use crate::id::{DeliveryId, EventId};
use crate::ledger::{DeliveryFilter, EventFilter, IssueSummary, OrderRecord, OrderState};
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What goes with every order: how it is known, why it is given, and whether the answer waits for its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct OrderTerms {
    /// Makes a repeated request the same order: 1 to 64 letters, digits, `-` and `_`. If left out, each request is an order of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub key: Option<String>,
    /// Why, for those who read the list of orders: 500 characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
    /// Whether the answer comes at once, while the order is carried out. Look at [the order](super::path::order) for its progress.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(value_type = Option<bool>)]
    pub at_once: bool,
}

/// The order to redeliver events: those with these ids, those that match the filter, or all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventOrder {
    /// These events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<EventId>>,
    /// The events that match; a filter without a condition also needs `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<EventFilter>,
    /// Every event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(value_type = Option<bool>)]
    pub all: bool,
    /// To this destination only. If left out, to each destination that the event went to before; an event that went nowhere, to
    /// each that would take it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Only count what matches.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub dry_run: bool,
    /// At most so many, the oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The order to redeliver or drop dead deliveries: those with these ids, those that match the filter, or all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadOrder {
    /// These deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<DeliveryId>>,
    /// The dead deliveries that match; a filter without a condition also needs `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<DeliveryFilter>,
    /// Every dead delivery.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(value_type = Option<bool>)]
    pub all: bool,
    /// Only count what matches.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub dry_run: bool,
    /// At most so many, the oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The order to give what is left of a destination to another one: its waiting, held and dead deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveOrder {
    /// The destination that has them; not one that the receiver is configured with.
    #[schema(min_length = 1)]
    pub from: String,
    /// The destination that gets them; one that the receiver is configured with.
    #[schema(min_length = 1)]
    pub to: String,
    /// Only count what is left.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub dry_run: bool,
}

/// The order to drop what is left of a destination: its waiting, held and dead deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DropOrder {
    /// The destination; not one that the receiver is configured with.
    #[schema(min_length = 1)]
    pub destination: String,
    /// Only count what is left.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub dry_run: bool,
}

/// The result of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct OrderResult {
    /// How many events or deliveries matched, those that are being attempted among them.
    pub matched: u64,
    /// How many deliveries were created, if the order was to redeliver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<u64>,
    /// How many deliveries were moved, if the order was to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<u64>,
    /// How many deliveries were dropped, if the order was to drop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// How many events no destination takes, so that they were not redelivered; left out if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrouted: Option<u64>,
    /// The order's number; left out of a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// The order's state: `running` if the answer did not wait for its end; left out of a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<OrderState>,
    /// What a dry run has found; left out if that is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<OrderPreview>,
}

/// What an order would be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderPreview {
    /// When the event of the first one arrived.
    pub oldest: Moment,
    /// When the event of the last one arrived.
    pub newest: Moment,
    /// The first five.
    pub samples: Vec<OrderSample>,
    /// With this `filter.until`, an order about events takes none that arrive after the dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// With this `filter.died_before`, an order about dead deliveries takes none that die after the dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died_before: Option<Moment>,
}

/// One of those that an order would be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderSample {
    /// The event.
    pub event: EventId,
    /// The delivery; none: the order is about events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// The known kind, else the event's name as it was sent.
    pub kind: String,
    /// The issue that the event is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueSummary>,
    /// The delivery's destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// A page of orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderList {
    /// The orders.
    pub orders: Vec<OrderRecord>,
    /// The next page starts after the order of this number; none on the last page.
    pub next: Option<u64>,
}
