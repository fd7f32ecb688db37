//! Lists, page by page.

use super::event::RefusedRequest;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{DeliveryRecord, EventRecord, Order};
use crate::time::Moment;
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
    /// The moment up to which events were searched, if the search ended before its page was full, because it took too long. Ask for the
    /// next page to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_to: Option<Moment>,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryList {
    /// The deliveries.
    pub deliveries: Vec<DeliveryRecord>,
    /// The next page starts after this delivery; none on the last page.
    pub next: Option<DeliveryId>,
}

/// A page of refused requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedList {
    /// The requests.
    pub refused: Vec<RefusedRequest>,
    /// The next page starts after the request of this number; none on the last page.
    pub next: Option<u64>,
}
