//! Lists, page by page: events, deliveries, refused requests.

use super::answer::{Answer, Refusal, json};
use super::fields::Fields;
use super::parts::AdminParts;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{EventRecord, FoundEvents, LedgerFuture, Page};
use crate::wire::{
    DeadGroups, DeliveryFilter, DeliveryList, EventFilter, EventList, PageQuery, RefusedFilter, RefusedList,
    RefusedRequest,
};
use axum::extract::State;
use http::Uri;
use pylon_webhooks::EventKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::time::{Duration, Instant};

/// Entries on a page if the request does not say.
const PAGE: u32 = 100;
/// The most entries on a page.
const LONGEST_PAGE: u32 = 1000;
/// The most bytes of a page's entries in JSON: a page ends before the entry that would exceed it, unless it is the first one.
const LARGEST_PAGE: usize = 1024 * 1024;
/// How long events are searched for one page. Then the page says how far the search came.
const SEARCHED_FOR: Duration = Duration::from_secs(2);
/// How many entries the ledger gives at once.
const AT_ONCE: u32 = 50;

pub(super) async fn events(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    let mut fields = Fields::of_query(uri.query())?;
    let filter = complete_event_filter(fields.read()?, "", &fields)?;
    let page = page(&mut fields)?;
    json(&list_events(&parts, filter, page).await?)
}

/// A page of events.
pub(crate) async fn list_events(
    parts: &AdminParts,
    filter: EventFilter,
    page: Page<EventId>,
) -> Result<EventList, Refusal> {
    let until = Instant::now() + SEARCHED_FOR;
    let ask = |page: Page<EventId>| -> LedgerFuture<'_, Part<EventRecord, EventId>> {
        let within = until.saturating_duration_since(Instant::now());
        let asked = parts.ledger.search(filter.clone(), page, within);
        Box::pin(async move {
            let FoundEvents { events, searched_to } = asked.await?;
            Ok(Part { entries: events, ended_at: searched_to })
        })
    };
    let Gathered { entries, next, ended_at } = gather(page, ask, |event| event.id, |event| event).await?;
    Ok(EventList { events: entries, next, searched_to: ended_at.map(EventId::received_at) })
}

pub(super) async fn deliveries(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    let mut fields = Fields::of_query(uri.query())?;
    let filter: DeliveryFilter = fields.read()?;
    check_text(&filter.issue, "issue", &fields)?;
    let page = page(&mut fields)?;
    json(&list_deliveries(&parts, filter, page).await?)
}

/// A page of deliveries.
pub(crate) async fn list_deliveries(
    parts: &AdminParts,
    filter: DeliveryFilter,
    page: Page<DeliveryId>,
) -> Result<DeliveryList, Refusal> {
    let ask = |page| Part::whole(parts.ledger.deliveries(filter.clone(), page));
    let Gathered { entries, next, .. } = gather(page, ask, |delivery| delivery.id, |delivery| delivery).await?;
    Ok(DeliveryList { deliveries: entries, next })
}

pub(super) async fn dead_groups(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    Fields::of_query(uri.query())?.finish()?;
    json(&DeadGroups { groups: parts.ledger.dead_groups().await? })
}

pub(super) async fn refused(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    let mut fields = Fields::of_query(uri.query())?;
    let filter: RefusedFilter = fields.read()?;
    let page = page(&mut fields)?;
    json(&list_refused(&parts, filter, page).await?)
}

/// A page of refused requests.
pub(crate) async fn list_refused(
    parts: &AdminParts,
    filter: RefusedFilter,
    page: Page<u64>,
) -> Result<RefusedList, Refusal> {
    let ask = |page| Part::whole(parts.ledger.refused(filter.clone(), page));
    let Gathered { entries, next, .. } = gather(page, ask, |refused| refused.number, RefusedRequest::from).await?;
    Ok(RefusedList { refused: entries, next })
}

/// Refuses a filter with an empty text, and reads a kind's type as the kind. `prefix` stands before the filter's name.
pub(crate) fn complete_event_filter(
    filter: EventFilter,
    prefix: &str,
    fields: &Fields,
) -> Result<EventFilter, Refusal> {
    check_text(&filter.contains, &format!("{prefix}contains"), fields)?;
    check_text(&filter.issue, &format!("{prefix}issue"), fields)?;
    check_text(&filter.term, &format!("{prefix}term"), fields)?;
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

/// What the ledger gives at once.
pub(super) struct Part<T, K> {
    entries: Vec<T>,
    /// Where a search ended because it took too long; none: it came to its end.
    ended_at: Option<K>,
}

impl<T: Send, K: Send> Part<T, K> {
    pub(super) fn whole<'l>(entries: LedgerFuture<'l, Vec<T>>) -> LedgerFuture<'l, Self>
    where
        T: 'l,
        K: 'l,
    {
        Box::pin(async move { Ok(Self { entries: entries.await?, ended_at: None }) })
    }
}

/// A page.
pub(super) struct Gathered<E, K> {
    pub(super) entries: Vec<E>,
    /// Where the next page starts; none: this is the last one.
    pub(super) next: Option<K>,
    /// Where a search ended because it took too long.
    ended_at: Option<K>,
}

/// The entries of a page, as far as they are not too large together and the search for them does not take too long.
pub(super) async fn gather<'l, K: Copy, T, E: Serialize>(
    page: Page<K>,
    ask: impl Fn(Page<K>) -> LedgerFuture<'l, Part<T, K>>,
    id: impl Fn(&T) -> K,
    entry: impl Fn(T) -> E,
) -> Result<Gathered<E, K>, Refusal> {
    let (mut entries, mut size, mut after) = (Vec::new(), 0, page.after);
    loop {
        let left = page.limit - entries.len() as u32;
        let part = Page { after, limit: left.min(AT_ONCE), ..page };
        let Part { entries: found, ended_at } = ask(part).await?;
        let next = next(&found, &part, &id);
        for record in found {
            let (id, entry) = (id(&record), entry(record));
            size += size_of(&entry);
            if size > LARGEST_PAGE && !entries.is_empty() {
                return Ok(Gathered { entries, next: after, ended_at: None });
            }
            entries.push(entry);
            after = Some(id);
        }
        if ended_at.is_some() {
            return Ok(Gathered { entries, next: ended_at, ended_at });
        }
        if next.is_none() || entries.len() >= page.limit as usize {
            return Ok(Gathered { entries, next, ended_at: None });
        }
    }
}

/// The length of the value in JSON, in bytes.
fn size_of(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // What cannot be written fails again where the answer is made.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// Reads the page, which ends the query.
pub(super) fn page<K: DeserializeOwned>(fields: &mut Fields) -> Result<Page<K>, Refusal> {
    let PageQuery { after, limit, order } = fields.read()?;
    fields.finish()?;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        let fault = format!("expected a whole number from 1 to {LONGEST_PAGE}, found another number");
        return Err(fields.malformed("limit", fault));
    }
    Ok(Page { after, limit, order: order.unwrap_or_default() })
}
