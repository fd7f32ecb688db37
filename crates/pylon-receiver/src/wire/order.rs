//! An operator's orders, and their results.

use crate::id::{DeliveryId, EventId};
use crate::ledger::{DeliveryFilter, EventFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
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
}
