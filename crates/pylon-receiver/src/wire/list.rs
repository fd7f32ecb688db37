//! Lists, page by page.

use super::event::RefusedRequest;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{DeadGroup, DeliveryRecord, EventRecord, Order};
use serde::{Deserialize, Serialize};

/// Which page of a list: the query parameters beside the filter's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PageQuery<K> {
    /// The page starts after this entry: the `next` of the page before. The first page has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<K>,
    /// Maximum number of entries: 1 to 1000, 100 if left out. A page has fewer if its entries would be more than 1 MiB of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The order; the newest first if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventList {
    /// The events.
    pub events: Vec<EventRecord>,
    /// The next page starts after this event; none on the last page.
    pub next: Option<EventId>,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryList {
    /// The deliveries.
    pub deliveries: Vec<DeliveryRecord>,
    /// The next page starts after this delivery; none on the last page.
    pub next: Option<DeliveryId>,
}

/// The dead deliveries in groups, by destination and code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadGroups {
    /// The groups, in the order of their destinations and codes.
    pub groups: Vec<DeadGroup>,
}

/// A page of refused requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedList {
    /// The requests.
    pub refused: Vec<RefusedRequest>,
    /// The next page starts after the request of this number; none on the last page.
    pub next: Option<u64>,
}
