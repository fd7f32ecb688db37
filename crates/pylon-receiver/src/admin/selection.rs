//! The selection of an order: by id, by a filter, or all; processed batch by batch.

use super::answer::Refusal;
use super::fields::Fields;
use super::lists::{check_text, complete_event_filter, next};
use crate::id::{DeliveryId, EventId};
use crate::ledger::{
    DeliveryFilter, DeliveryRecord, DeliveryState, EventFilter, EventRecord, EventState, Ledger, LedgerError, Order,
    Page,
};
use crate::time::Moment;
use std::collections::HashSet;
use std::time::Duration;

/// How many go to the ledger at once.
const BATCH: u32 = 500;

/// What an order can select: events, and dead deliveries.
pub(super) trait Selectable: Copy + Ord + std::hash::Hash + Send + Sync + 'static {
    /// The conditions of a selection.
    type Filter: Clone + PartialEq + Send + Sync + 'static;
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
    ) -> impl Future<Output = Result<Result<Self::Selected, String>, LedgerError>> + Send;

    /// Limits the filter to what exists when the order is given: otherwise new arrivals could keep the order going for ever.
    fn until(filter: Self::Filter, ordered_at: Moment) -> Self::Filter;

    /// A page of those that match.
    fn page(
        ledger: &dyn Ledger,
        filter: Self::Filter,
        page: Page<Self>,
        ordered_at: Moment,
    ) -> impl Future<Output = Result<Batch<Self>, LedgerError>> + Send;
}

/// Some of those that match.
pub(super) struct Batch<I: Selectable> {
    selected: Vec<I::Selected>,
    /// The next batch starts after this one; none: this was the last.
    next: Option<I>,
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

impl From<&EventRecord> for SelectedEvent {
    fn from(event: &EventRecord) -> Self {
        let is_new = matches!(event.state, EventState::Unrouted | EventState::Parked);
        Self { id: event.id, is_new, is_routable: event.parked.is_none() }
    }
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

    /// Goes through the selection. Every id of it is looked up first.
    pub(super) async fn batches(self, ledger: &dyn Ledger, ordered_at: Moment) -> Result<Batches<I>, Unselectable> {
        let rest = match self {
            Self::Ids(ids) => {
                let mut found = Vec::with_capacity(ids.len());
                for id in ids {
                    found.push(id.find(ledger).await?.map_err(Unselectable::Id)?);
                }
                Rest::Found(found.into_iter())
            }
            Self::Matching(filter) => Rest::Matching { filter: I::until(filter, ordered_at), after: None },
        };
        Ok(Batches { rest, ordered_at })
    }
}

/// Goes through a selection.
pub(super) struct Batches<I: Selectable> {
    rest: Rest<I>,
    ordered_at: Moment,
}

enum Rest<I: Selectable> {
    Found(std::vec::IntoIter<I::Selected>),
    Matching { filter: I::Filter, after: Option<I> },
    Nothing,
}

impl<I: Selectable> Batches<I> {
    /// The next batch; none: that was the last.
    pub(super) async fn next(&mut self, ledger: &dyn Ledger) -> Result<Option<Vec<I::Selected>>, LedgerError> {
        match &mut self.rest {
            Rest::Nothing => Ok(None),
            Rest::Found(found) => {
                let batch: Vec<I::Selected> = found.take(BATCH as usize).collect();
                Ok((!batch.is_empty()).then_some(batch))
            }
            Rest::Matching { filter, after } => {
                let page = Page { after: *after, limit: BATCH, order: Order::OldestFirst };
                let batch = I::page(ledger, filter.clone(), page, self.ordered_at).await?;
                match batch.next {
                    None => self.rest = Rest::Nothing,
                    next => *after = next,
                }
                Ok(Some(batch.selected))
            }
        }
    }
}

impl Selectable for EventId {
    type Filter = EventFilter;
    type Selected = SelectedEvent;

    const ALL: &'static str = "every event";

    fn check(filter: EventFilter, fields: &Fields) -> Result<EventFilter, Refusal> {
        complete_event_filter(filter, "filter.", fields)
    }

    fn every() -> EventFilter {
        EventFilter::default()
    }

    async fn find(self, ledger: &dyn Ledger) -> Result<Result<SelectedEvent, String>, LedgerError> {
        let previous = u128::from_be_bytes(*self.as_bytes()).checked_sub(1);
        let after = previous.map(|previous| Self::from_bytes(previous.to_be_bytes()));
        let found = ledger.events(Self::every(), Page { after, limit: 1, order: Order::OldestFirst }).await?;
        let found = found.iter().find(|event| event.id == self).map(SelectedEvent::from);
        Ok(found.ok_or_else(|| {
            format!("unknown event: expected one that is kept, found none with the id {self}; it may have been pruned")
        }))
    }

    fn until(filter: EventFilter, ordered_at: Moment) -> EventFilter {
        EventFilter { until: Some(end(filter.until, ordered_at)), ..filter }
    }

    async fn page(
        ledger: &dyn Ledger,
        filter: EventFilter,
        page: Page<Self>,
        _: Moment,
    ) -> Result<Batch<Self>, LedgerError> {
        let events = ledger.events(filter, page).await?;
        let next = next(&events, &page, |event| event.id);
        Ok(Batch { selected: events.iter().map(SelectedEvent::from).collect(), next })
    }
}

impl Selectable for DeliveryId {
    type Filter = DeliveryFilter;
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

    async fn find(self, ledger: &dyn Ledger) -> Result<Result<Self, String>, LedgerError> {
        let previous = self.number.checked_sub(1);
        let after = previous.map(|number| Self { event: self.event, number });
        let filter = DeliveryFilter { event: Some(self.event), ..DeliveryFilter::default() };
        let found = ledger.deliveries(filter, Page { after, limit: 1, order: Order::OldestFirst }).await?;
        Ok(match found.iter().find(|delivery| delivery.id == self).map(|delivery| delivery.state) {
            Some(DeliveryState::Dead) => Ok(self),
            Some(state) => Err(format!("not a dead delivery: expected one, found that {self} is {state}")),
            None => Err(format!(
                "unknown delivery: expected one that is kept, found none with the id {self}; it may have been pruned"
            )),
        })
    }

    fn until(filter: DeliveryFilter, ordered_at: Moment) -> DeliveryFilter {
        DeliveryFilter { until: Some(end(filter.until, ordered_at)), ..filter }
    }

    async fn page(
        ledger: &dyn Ledger,
        filter: DeliveryFilter,
        page: Page<Self>,
        ordered_at: Moment,
    ) -> Result<Batch<Self>, LedgerError> {
        let deliveries = ledger.deliveries(filter, page).await?;
        let next = next(&deliveries, &page, |delivery| delivery.id);
        // A delivery that this order created and that has died meanwhile does not belong to it, and could keep it going for ever.
        let was_there =
            |delivery: &DeliveryRecord| delivery.redelivery_of.is_none() || delivery.created_at < ordered_at;
        let selected = deliveries.iter().filter(|delivery| was_there(delivery)).map(|delivery| delivery.id).collect();
        Ok(Batch { selected, next })
    }
}

/// The filter's own end, or the end of the millisecond of the order.
fn end(until: Option<Moment>, ordered_at: Moment) -> Moment {
    let end = ordered_at.after(Duration::from_millis(1));
    until.map_or(end, |until| until.min(end))
}
