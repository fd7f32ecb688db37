//! Lists, page by page: events, deliveries, refused requests.

use super::answer::{Answer, Refusal, json};
use super::fields::Fields;
use super::parts::AdminParts;
use crate::ledger::Page;
use crate::wire::{
    DeliveryFilter, DeliveryList, EventFilter, EventList, PageQuery, RefusedFilter, RefusedList, RefusedRequest,
};
use axum::extract::State;
use http::Uri;
use pylon_webhooks::EventKind;
use serde::de::DeserializeOwned;

/// Entries on a page if the request does not say.
const PAGE: u32 = 100;
/// The most entries on a page.
const LONGEST_PAGE: u32 = 1000;

pub(super) async fn events(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    let mut fields = Fields::of_query(uri.query())?;
    let filter = complete_event_filter(fields.read()?, "", &fields)?;
    let page = page(&mut fields)?;
    let events = parts.ledger.events(filter, page).await?;
    json(&EventList { next: next(&events, &page, |event| event.id), events })
}

pub(super) async fn deliveries(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    let mut fields = Fields::of_query(uri.query())?;
    let filter: DeliveryFilter = fields.read()?;
    check_text(&filter.issue, "issue", &fields)?;
    let page = page(&mut fields)?;
    let deliveries = parts.ledger.deliveries(filter, page).await?;
    json(&DeliveryList { next: next(&deliveries, &page, |delivery| delivery.id), deliveries })
}

pub(super) async fn refused(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    let mut fields = Fields::of_query(uri.query())?;
    let filter: RefusedFilter = fields.read()?;
    let page = page(&mut fields)?;
    let refused = parts.ledger.refused(filter, page).await?;
    let next = next(&refused, &page, |refused| refused.number);
    json(&RefusedList { refused: refused.into_iter().map(RefusedRequest::from).collect(), next })
}

/// Refuses a filter with an empty text, and reads a kind's type as the kind. `prefix` stands before the filter's name.
pub(super) fn complete_event_filter(
    filter: EventFilter,
    prefix: &str,
    fields: &Fields,
) -> Result<EventFilter, Refusal> {
    check_text(&filter.contains, &format!("{prefix}contains"), fields)?;
    check_text(&filter.issue, &format!("{prefix}issue"), fields)?;
    let named = |kind: String| EventKind::from_name(&kind).map_or(kind, |kind| kind.name().to_owned());
    Ok(EventFilter { kind: filter.kind.map(named), ..filter })
}

/// Refuses an empty text: it looks like a condition, and every body contains it.
pub(super) fn check_text(text: &Option<String>, name: &str, fields: &Fields) -> Result<(), Refusal> {
    match text.as_deref() {
        Some("") => Err(fields.malformed(name, "expected a text, found an empty one; leave it out")),
        _ => Ok(()),
    }
}

/// Where the next page starts: after the last entry if the page is full.
pub(super) fn next<T, K>(entries: &[T], page: &Page<K>, id: impl FnOnce(&T) -> K) -> Option<K> {
    entries.last().filter(|_| entries.len() >= page.limit as usize).map(id)
}

/// Reads the page, which ends the query.
fn page<K: DeserializeOwned>(fields: &mut Fields) -> Result<Page<K>, Refusal> {
    let PageQuery { after, limit, order } = fields.read()?;
    fields.finish()?;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        let fault = format!("expected a whole number from 1 to {LONGEST_PAGE}, found another number");
        return Err(fields.malformed("limit", fault));
    }
    Ok(Page { after, limit, order: order.unwrap_or_default() })
}
