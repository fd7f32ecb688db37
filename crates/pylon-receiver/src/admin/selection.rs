//! The selection of an order: by id, by a filter, or all; gone through page by page.

use super::answer::Refusal;
use super::fields::Fields;
use super::lists::{check_text, complete_event_filter, next};
use crate::id::{DeliveryId, EventId};
use crate::ledger::{
    DeliveryFilter, DeliveryRecord, DeliveryState, EventFilter, EventRecord, EventState, Ledger, LedgerError, Order,
    Page,
};
use crate::time::Moment;
use crate::wire::{OrderPreview, OrderSample};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::time::Duration;

/// How many go to the ledger at once.
pub(super) const BATCH: u32 = 500;
/// How many ids of an order are told.
const IDS_TOLD: usize = 20;
/// How many samples a preview has.
const SAMPLES: usize = 5;

/// What an order can select: events, and dead deliveries.
pub(super) trait Selectable: Copy + Ord + std::hash::Hash + Serialize + Send + Sync + 'static {
    /// The conditions of a selection.
    type Filter: Clone + PartialEq + Serialize + Send + Sync + 'static;
    /// One as a list has it.
    type Record: Send + 'static;
    /// What an order has to know of one that it selects.
    type Selected: Copy + Send + Sync + 'static;

    /// All of them, in words.
    const ALL: &'static str;

    /// Refuses a filter that an order cannot have, and completes one that it can.
    fn check(filter: Self::Filter, fields: &Fields) -> Result<Self::Filter, Refusal>;

    /// The filter without a condition.
    fn every() -> Self::Filter;

    /// Looks it up; the text says why an order cannot select it.
    fn find(
        self,
        ledger: &dyn Ledger,
    ) -> impl Future<Output = Result<Result<Self::Record, String>, LedgerError>> + Send;

    /// Limits the filter to what is there when the order is given: otherwise new ones could keep the order going for ever.
    fn limit(
        filter: Self::Filter,
        ledger: &dyn Ledger,
        ordered_at: Moment,
    ) -> impl Future<Output = Result<Self::Filter, LedgerError>> + Send;

    /// A page of those that match.
    fn page(
        ledger: &dyn Ledger,
        filter: Self::Filter,
        page: Page<Self>,
    ) -> impl Future<Output = Result<Vec<Self::Record>, LedgerError>> + Send;

    /// Its id.
    fn id(record: &Self::Record) -> Self;

    /// What the order of this number has to know of it; none: the order has made it itself.
    fn selected(record: &Self::Record, order: u64) -> Option<Self::Selected>;

    /// How a preview shows it.
    fn sample(record: Self::Record) -> OrderSample;

    /// The limits of a filter, as a preview tells them.
    fn limits(filter: &Self::Filter) -> (Option<Moment>, Option<Moment>);
}

/// An event as an order selects it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SelectedEvent {
    pub(super) id: EventId,
    /// Whether it never went anywhere.
    pub(super) is_new: bool,
    /// Whether it can be delivered by the configuration's rules: a parked event cannot.
    pub(super) is_routable: bool,
}

/// Why an order was not begun.
pub(super) enum Unselectable {
    Ledger(LedgerError),
    /// It names what it cannot select; the text says what.
    Id(String),
}

impl From<LedgerError> for Unselectable {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// What an order selects.
pub(super) enum Selection<I: Selectable> {
    /// These, each once.
    Ids(Vec<I>),
    /// All that match.
    Matching(I::Filter),
}

impl<I: Selectable> Selection<I> {
    /// Checks the `ids`, `filter` and `all` of an order.
    pub(super) fn new(
        ids: Option<Vec<I>>,
        filter: Option<I::Filter>,
        all: bool,
        fields: &Fields,
    ) -> Result<Self, Refusal> {
        let filter = filter.map(|filter| I::check(filter, fields)).transpose()?;
        match (ids, filter, all) {
            (Some(ids), None, false) => {
                let mut seen = HashSet::new();
                Ok(Self::Ids(ids.into_iter().filter(|&id| seen.insert(id)).collect()))
            }
            (None, Some(filter), false) if filter == I::every() => {
                let fault = format!("expected a condition, found none; say \"all\": true for {}", I::ALL);
                Err(fields.malformed("filter", fault))
            }
            (None, Some(filter), _) => Ok(Self::Matching(filter)),
            (None, None, true) => Ok(Self::Matching(I::every())),
            (None, None, false) => {
                Err(Refusal::bad_request("malformed order: expected ids, filter or all, found none of them"))
            }
            (Some(_), ..) => {
                let message = "malformed order: expected either ids or filter and all, found ids beside another";
                Err(Refusal::bad_request(message))
            }
        }
    }

    /// The selection as the list of orders tells it.
    pub(super) fn what(&self, limit: Option<u64>) -> Map<String, Value> {
        let mut what = Map::new();
        match self {
            Self::Ids(ids) => {
                what.insert("ids".to_owned(), json!(&ids[..ids.len().min(IDS_TOLD)]));
                what.insert("id_count".to_owned(), json!(ids.len()));
            }
            Self::Matching(filter) if *filter == I::every() => drop(what.insert("all".to_owned(), json!(true))),
            Self::Matching(filter) => drop(what.insert("filter".to_owned(), json!(filter))),
        }
        if let Some(limit) = limit {
            what.insert("limit".to_owned(), json!(limit));
        }
        what
    }

    /// Looks everything up that it names, and has it take nothing that comes later.
    pub(super) async fn fixed(
        self,
        ledger: &dyn Ledger,
        limit: Option<u64>,
        ordered_at: Moment,
    ) -> Result<Fixed<I>, Unselectable> {
        let most = limit.unwrap_or(u64::MAX);
        match self {
            Self::Ids(mut ids) => {
                ids.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                let mut found = Vec::with_capacity(ids.len());
                for id in ids {
                    found.push(id.find(ledger).await?.map_err(Unselectable::Id)?);
                }
                Ok(Fixed::Found(found))
            }
            Self::Matching(filter) => Ok(Fixed::Matching { filter: I::limit(filter, ledger, ordered_at).await?, most }),
        }
    }
}

/// A selection that takes nothing that comes later.
pub(super) enum Fixed<I: Selectable> {
    /// These.
    Found(Vec<I::Record>),
    /// The oldest that match.
    Matching { filter: I::Filter, most: u64 },
}

impl<I: Selectable> Fixed<I> {
    /// How many there are, if nobody has to count.
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Found(found) => Some(found.len() as u64),
            Self::Matching { .. } => None,
        }
    }

    /// How many there are, and what the first ones are.
    pub(super) async fn preview(self, ledger: &dyn Ledger) -> Result<(u64, Option<OrderPreview>), LedgerError> {
        let (until, died_before) = match &self {
            Self::Found(_) => (None, None),
            Self::Matching { filter, .. } => I::limits(filter),
        };
        let (mut count, mut samples) = (0, Vec::new());
        let mut ends: Option<(Moment, Moment)> = None;
        let mut pages = self.pages();
        while let Some(records) = pages.next(ledger).await? {
            for record in records {
                count += 1;
                let sample = I::sample(record);
                let at = sample.event.received_at();
                ends = Some(ends.map_or((at, at), |(oldest, newest)| (oldest.min(at), newest.max(at))));
                if samples.len() < SAMPLES {
                    samples.push(sample);
                }
            }
        }
        let preview = ends.map(|(oldest, newest)| OrderPreview { oldest, newest, samples, until, died_before });
        Ok((count, preview))
    }

    /// Goes through it.
    pub(super) fn pages(self) -> Pages<I> {
        match self {
            Self::Found(found) => Pages::Found(found.into_iter()),
            Self::Matching { filter, most } => Pages::Matching { filter, after: None, left: most },
        }
    }
}

/// The pages of a selection.
pub(super) enum Pages<I: Selectable> {
    Found(std::vec::IntoIter<I::Record>),
    Matching { filter: I::Filter, after: Option<I>, left: u64 },
    Nothing,
}

impl<I: Selectable> Pages<I> {
    /// The next page; none: that was the last.
    pub(super) async fn next(&mut self, ledger: &dyn Ledger) -> Result<Option<Vec<I::Record>>, LedgerError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Found(found) => {
                let page: Vec<I::Record> = found.take(BATCH as usize).collect();
                Ok((!page.is_empty()).then_some(page))
            }
            Self::Matching { filter, after, left } => {
                let limit = u32::try_from(*left).unwrap_or(BATCH).min(BATCH);
                let page = Page { after: *after, limit, order: Order::OldestFirst };
                let records = if limit == 0 { Vec::new() } else { I::page(ledger, filter.clone(), page).await? };
                *left -= records.len() as u64;
                match next(&records, &page, I::id).filter(|_| *left > 0 && !records.is_empty()) {
                    None => *self = Self::Nothing,
                    next => *after = next,
                }
                Ok(Some(records))
            }
        }
    }
}

impl Selectable for EventId {
    type Filter = EventFilter;
    type Record = EventRecord;
    type Selected = SelectedEvent;

    const ALL: &'static str = "every event";

    fn check(filter: EventFilter, fields: &Fields) -> Result<EventFilter, Refusal> {
        complete_event_filter(filter, "filter.", fields)
    }

    fn every() -> EventFilter {
        EventFilter::default()
    }

    async fn find(self, ledger: &dyn Ledger) -> Result<Result<EventRecord, String>, LedgerError> {
        let previous = u128::from_be_bytes(*self.as_bytes()).checked_sub(1);
        let after = previous.map(|previous| Self::from_bytes(previous.to_be_bytes()));
        let found = ledger.events(Self::every(), Page { after, limit: 1, order: Order::OldestFirst }).await?;
        Ok(found.into_iter().find(|event| event.id == self).ok_or_else(|| {
            format!("unknown event: expected one that is kept, found none with the id {self}; it may have been pruned")
        }))
    }

    async fn limit(filter: EventFilter, _: &dyn Ledger, ordered_at: Moment) -> Result<EventFilter, LedgerError> {
        Ok(EventFilter { until: Some(end(filter.until, ordered_at)), ..filter })
    }

    async fn page(ledger: &dyn Ledger, filter: EventFilter, page: Page<Self>) -> Result<Vec<EventRecord>, LedgerError> {
        ledger.events(filter, page).await
    }

    fn id(record: &EventRecord) -> Self {
        record.id
    }

    fn selected(record: &EventRecord, _: u64) -> Option<SelectedEvent> {
        let is_new = matches!(record.state, EventState::Unrouted | EventState::Parked);
        Some(SelectedEvent { id: record.id, is_new, is_routable: record.parked.is_none() })
    }

    fn sample(record: EventRecord) -> OrderSample {
        let kind = record.kind_or_name().to_owned();
        OrderSample { event: record.id, delivery: None, kind, issue: record.issue, destination: None }
    }

    fn limits(filter: &EventFilter) -> (Option<Moment>, Option<Moment>) {
        (filter.until, None)
    }
}

impl Selectable for DeliveryId {
    type Filter = DeliveryFilter;
    type Record = DeliveryRecord;
    type Selected = DeliveryId;

    const ALL: &'static str = "every dead delivery";

    fn check(filter: DeliveryFilter, fields: &Fields) -> Result<DeliveryFilter, Refusal> {
        if filter.state.is_some_and(|state| state != DeliveryState::Dead) {
            return Err(fields.malformed("filter.state", "expected dead or none, found another state"));
        }
        check_text(&filter.issue, "filter.issue", fields)?;
        Ok(DeliveryFilter { state: Some(DeliveryState::Dead), ..filter })
    }

    fn every() -> DeliveryFilter {
        DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() }
    }

    async fn find(self, ledger: &dyn Ledger) -> Result<Result<DeliveryRecord, String>, LedgerError> {
        let previous = self.number.checked_sub(1);
        let after = previous.map(|number| Self { event: self.event, number });
        let filter = DeliveryFilter { event: Some(self.event), ..DeliveryFilter::default() };
        let found = ledger.deliveries(filter, Page { after, limit: 1, order: Order::OldestFirst }).await?;
        let found = found.into_iter().find(|delivery| delivery.id == self);
        Ok(match found.as_ref().map(|delivery| delivery.state) {
            Some(DeliveryState::Dead) => found.ok_or_else(String::new),
            Some(state) => Err(format!("not a dead delivery: expected one, found that {self} is {state}")),
            None => Err(format!(
                "unknown delivery: expected one that is kept, found none with the id {self}; it may have been pruned"
            )),
        })
    }

    /// By the clock of the ledger, which says when they died.
    async fn limit(filter: DeliveryFilter, ledger: &dyn Ledger, _: Moment) -> Result<DeliveryFilter, LedgerError> {
        let present = ledger.present().await?;
        Ok(DeliveryFilter { died_before: Some(end(filter.died_before, present)), ..filter })
    }

    async fn page(
        ledger: &dyn Ledger,
        filter: DeliveryFilter,
        page: Page<Self>,
    ) -> Result<Vec<DeliveryRecord>, LedgerError> {
        ledger.deliveries(filter, page).await
    }

    fn id(record: &DeliveryRecord) -> Self {
        record.id
    }

    /// What the order made and what has died meanwhile does not belong to it, and could keep it going for ever.
    fn selected(record: &DeliveryRecord, order: u64) -> Option<Self> {
        (record.order != Some(order)).then_some(record.id)
    }

    fn sample(record: DeliveryRecord) -> OrderSample {
        OrderSample {
            event: record.id.event,
            delivery: Some(record.id),
            kind: record.kind_or_name().to_owned(),
            issue: record.issue,
            destination: Some(record.destination),
        }
    }

    fn limits(filter: &DeliveryFilter) -> (Option<Moment>, Option<Moment>) {
        (None, filter.died_before)
    }
}

/// The filter's own end, or the end of the millisecond of the order.
fn end(until: Option<Moment>, ordered_at: Moment) -> Moment {
    let end = ordered_at.after(Duration::from_millis(1));
    until.map_or(end, |until| until.min(end))
}
