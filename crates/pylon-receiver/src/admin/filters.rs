//! Filters and pages, as queries and orders say them.

use super::answer::Refusal;
use super::fields::Fields;
use crate::ledger::{DeliveryFilter, DeliveryState, EventFilter, EventState, Order, Page, RefusedFilter};

/// Entries on a page unless more or fewer are asked for.
const PAGE: u32 = 100;
/// The most entries on a page.
const LONGEST_PAGE: u32 = 1000;

/// Which events.
pub(super) fn events(fields: &mut Fields) -> Result<EventFilter, Refusal> {
    let filter = EventFilter {
        since: fields.parsed("since", str::parse)?,
        until: fields.parsed("until", str::parse)?,
        kind: fields.text("kind")?,
        endpoint: fields.text("endpoint")?,
        state: fields.one_of("state", &EventState::ALL, EventState::name)?,
        contains: fields.text("contains")?,
    };
    // It would look like a condition, and be none.
    if filter.contains.as_deref() == Some("") {
        return Err(fields.malformed("contains", "expected a text, found an empty one; leave it out"));
    }
    Ok(filter)
}

/// Which deliveries.
pub(super) fn deliveries(fields: &mut Fields) -> Result<DeliveryFilter, Refusal> {
    Ok(DeliveryFilter {
        event: fields.parsed("event", str::parse)?,
        destination: fields.text("destination")?,
        state: fields.one_of("state", &DeliveryState::ALL, DeliveryState::name)?,
        since: fields.parsed("since", str::parse)?,
        until: fields.parsed("until", str::parse)?,
    })
}

/// Which refused requests.
pub(super) fn refused(fields: &mut Fields) -> Result<RefusedFilter, Refusal> {
    Ok(RefusedFilter { endpoint: fields.text("endpoint")?, code: fields.text("code")? })
}

/// Which part of a list; the function reads an entry's name.
pub(super) fn page<K>(fields: &mut Fields, parse: impl FnOnce(&str) -> Result<K, String>) -> Result<Page<K>, Refusal> {
    let limit = |text: &str| {
        let limit = text.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
        limit.ok_or_else(|| {
            let found = if text.parse::<f64>().is_ok() { "another number" } else { "another text" };
            format!("expected a whole number from 1 to {LONGEST_PAGE}, found {found}")
        })
    };
    let order_name = |order| match order {
        Order::NewestFirst => "newest_first",
        Order::OldestFirst => "oldest_first",
    };
    Ok(Page {
        after: fields.parsed("after", parse)?,
        limit: fields.parsed("limit", limit)?.unwrap_or(PAGE),
        order: fields.one_of("order", &[Order::NewestFirst, Order::OldestFirst], order_name)?.unwrap_or_default(),
    })
}

/// Behind which entry the next page begins: the last one's name where the page is full.
pub(super) fn next<T, K>(entries: &[T], page: &Page<K>, name: impl FnOnce(&T) -> K) -> Option<K> {
    entries.last().filter(|_| entries.len() >= page.limit as usize).map(name)
}
