//! Lists, page by page.

use super::event::RefusedRequest;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{DeadGroup, DeliveryRecord, EventRecord, Order};
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::{Object, RefOr, Required};
use utoipa::{IntoParams, PartialSchema, ToSchema};

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

/// Not derived, since that would demand a schema of `K` from everybody who reads a page.
impl<K: ToSchema> IntoParams for PageQuery<K> {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name: &str, description: &str, schema: RefOr<Schema>| {
            let parameter = ParameterBuilder::new().name(name).description(Some(description)).schema(Some(schema));
            parameter.parameter_in(parameter_in().unwrap_or_default()).required(Required::False).build()
        };
        let limit = Object::builder().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(1000));
        vec![
            parameter("after", "The page starts after this entry: the `next` of the page before.", K::schema()),
            parameter("limit", "Maximum number of entries; 100 if left out.", limit.into()),
            parameter("order", "The order; the newest first if left out.", Order::schema()),
        ]
    }
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryList {
    /// The deliveries.
    pub deliveries: Vec<DeliveryRecord>,
    /// The next page starts after this delivery; none on the last page.
    pub next: Option<DeliveryId>,
}

/// The dead deliveries in groups, by destination and code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadGroups {
    /// The groups, in the order of their destinations and codes.
    pub groups: Vec<DeadGroup>,
}

/// A page of refused requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedList {
    /// The requests.
    pub refused: Vec<RefusedRequest>,
    /// The next page starts after the request of this number; none on the last page.
    pub next: Option<u64>,
}
