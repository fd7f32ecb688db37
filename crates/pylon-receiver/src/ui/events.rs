//! The list of events, searched and filtered by its address.

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, page};
use super::query;
use crate::access::Caller;
use crate::admin;
use crate::id::{DeliveryId, EventId, PartOfId};
use crate::ledger::{EventFilter, Order, Page};
use crate::time::Moment;
use crate::wire::{EventList, EventRecord, EventState, PageQuery};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use http::{HeaderMap, Uri};
use pylon_webhooks::EventKind;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    frame: Frame,
    events: Vec<EventRecord>,
    /// Up to when events were searched, if that was not to the end.
    searched_to: Option<Moment>,
    filter: Shown,
    /// The query of the next page.
    next: Option<String>,
    is_first: bool,
    is_filtered: bool,
    /// The filter of this list, for an order about all that match.
    order: String,
}

/// The filter as the form shows it.
#[derive(Default)]
struct Shown {
    search: String,
    contains: String,
    kind: String,
    endpoint: String,
    state: Option<EventState>,
    since: String,
    until: String,
    is_oldest_first: bool,
}

/// What is searched for.
#[derive(Deserialize)]
struct Search {
    /// An id leads to its event; else a term.
    q: Option<String>,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let mut fields = query::fields_of(uri.query(), ui.parts.clock.now())?;
    let Search { q } = fields.read()?;
    let filter: EventFilter = admin::complete_event_filter(fields.read()?, "", &fields)?;
    let PageQuery { after, order, .. } = fields.read::<PageQuery<EventId>>()?;
    fields.finish()?;
    // The id of an issue may look like that of an event.
    if let Some(id) = q.as_deref().and_then(id_of)
        && ui.parts.ledger.event(id).await.map_err(admin::Refusal::from)?.is_some()
    {
        return Ok(Redirect::to(&format!("events/{id}")).into_response());
    }
    let order = order.unwrap_or_default();
    let frame = Frame { search: q.clone().unwrap_or_default(), ..ui.frame(&caller, "").await };
    let raw = |name: &str| raw(&uri, name);
    let shown = Shown {
        search: frame.search.clone(),
        contains: filter.contains.clone().unwrap_or_default(),
        kind: filter.kind.clone().unwrap_or_default(),
        endpoint: filter.endpoint.clone().unwrap_or_default(),
        state: filter.state,
        since: raw("since"),
        until: raw("until"),
        is_oldest_first: order == Order::OldestFirst,
    };
    let asked = Page { after, limit: query::ROWS, order };
    let part = q.as_deref().and_then(part_of_id);
    let by_term = EventFilter { term: q, ..filter.clone() };
    let is_filtered = by_term != EventFilter::default();
    let mut order = query::more(&by_term);
    let mut list = admin::list_events(&ui.parts, by_term, asked).await?;
    if list.events.is_empty() && list.next.is_none() && part.is_some() {
        let by_id = EventFilter { id: part, ..filter };
        order = query::more(&by_id);
        list = admin::list_events(&ui.parts, by_id, asked).await?;
        if let ([only], None) = (&*list.events, after) {
            return Ok(Redirect::to(&format!("events/{}", only.id)).into_response());
        }
    }
    let EventList { events, next, searched_to } = list;
    let next = query::next(&uri, next);
    let is_first = after.is_none();
    page(&Events { frame, events, searched_to, filter: shown, next, is_first, is_filtered, order }, &headers)
}

/// The event that an id names: its own, that of a delivery, or that of its trace.
fn id_of(text: &str) -> Option<EventId> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse().ok().map(|DeliveryId { event, .. }| event))
}

/// Digits alone are the number of an issue, not a part of an id.
fn part_of_id(text: &str) -> Option<PartOfId> {
    let text = text.trim();
    let is_number = text.trim_start_matches('#').bytes().all(|byte| byte.is_ascii_digit());
    if is_number { None } else { text.parse().ok() }
}

/// What was typed: `2h` stays `2h`.
fn raw(uri: &Uri, name: &str) -> String {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value);
    found.map(|value| percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()).unwrap_or_default()
}

/// The kinds that a list can be narrowed to.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    EventKind::ALL.iter().map(|kind| kind.name())
}
