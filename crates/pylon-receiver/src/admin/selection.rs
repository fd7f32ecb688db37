//! The selection of an order: by id, by a filter, or all; processed batch by batch.

use super::answer::Refusal;
use super::fields::Fields;
use super::lists::{check_event_filter, next};
use crate::id::{DeliveryId, EventId};
use crate::ledger::{DeliveryFilter, DeliveryRecord, DeliveryState, EventFilter, Ledger, LedgerError, Order, Page};
use crate::time::Moment;
use std::collections::HashSet;
use std::time::Duration;

/// How many go to the ledger at once.
const BATCH: u32 = 500;

/// What an order can select: events, and dead deliveries.
pub(super) trait Selectable: Copy + Ord + std::hash::Hash + Send + Sync + 'static {
    /// The conditions of a selection.
    type Filter: Clone + PartialEq + Send + Sync + 'static;

    /// All of them, in words.
    const ALL: &'static str;

    /// Refuses a filter that an order cannot have, and completes one that it can.
    fn check(filter: Self::Filter, fields: &Fields) -> Result<Self::Filter, Refusal>;

    /// The filter without a condition.
    fn every() -> Self::Filter;

    /// Whether it exists, and an order can select it.
    fn exists(self, ledger: &dyn Ledger) -> impl Future<Output = Result<bool, LedgerError>> + Send;

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
pub(super) struct Batch<I> {
    /// Their ids.
    pub(super) ids: Vec<I>,
    /// The next batch starts after this one; none: this was the last.
    next: Option<I>,
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

    /// Goes through the selection.
    pub(super) fn batches(self, ordered_at: Moment) -> Batches<I> {
        let rest = match self {
            Self::Ids(ids) => Rest::Ids(ids.into_iter()),
            Self::Matching(filter) => Rest::Matching { filter: I::until(filter, ordered_at), after: None },
        };
        Batches { rest, ordered_at }
    }
}

/// Goes through a selection.
pub(super) struct Batches<I: Selectable> {
    rest: Rest<I>,
    ordered_at: Moment,
}

enum Rest<I: Selectable> {
    Ids(std::vec::IntoIter<I>),
    Matching { filter: I::Filter, after: Option<I> },
    Nothing,
}

impl<I: Selectable> Batches<I> {
    /// The next batch of those that exist; none: that was the last.
    pub(super) async fn next(&mut self, ledger: &dyn Ledger) -> Result<Option<Vec<I>>, LedgerError> {
        match &mut self.rest {
            Rest::Nothing => Ok(None),
            Rest::Ids(ids) => {
                let batch: Vec<I> = ids.take(BATCH as usize).collect();
                if batch.is_empty() {
                    return Ok(None);
                }
                let mut existing = Vec::with_capacity(batch.len());
                for id in batch {
                    if id.exists(ledger).await? {
                        existing.push(id);
                    }
                }
                Ok(Some(existing))
            }
            Rest::Matching { filter, after } => {
                let page = Page { after: *after, limit: BATCH, order: Order::OldestFirst };
                let batch = I::page(ledger, filter.clone(), page, self.ordered_at).await?;
                match batch.next {
                    None => self.rest = Rest::Nothing,
                    next => *after = next,
                }
                Ok(Some(batch.ids))
            }
        }
    }
}

impl Selectable for EventId {
    type Filter = EventFilter;

    const ALL: &'static str = "every event";

    fn check(filter: EventFilter, fields: &Fields) -> Result<EventFilter, Refusal> {
        check_event_filter(&filter, "filter.", fields)?;
        Ok(filter)
    }

    fn every() -> EventFilter {
        EventFilter::default()
    }

    async fn exists(self, ledger: &dyn Ledger) -> Result<bool, LedgerError> {
        let previous = u128::from_be_bytes(*self.as_bytes()).checked_sub(1);
        let after = previous.map(|previous| Self::from_bytes(previous.to_be_bytes()));
        let found = ledger.events(Self::every(), Page { after, limit: 1, order: Order::OldestFirst }).await?;
        Ok(found.iter().any(|event| event.id == self))
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
        Ok(Batch { ids: events.into_iter().map(|event| event.id).collect(), next })
    }
}

impl Selectable for DeliveryId {
    type Filter = DeliveryFilter;

    const ALL: &'static str = "every dead delivery";

    fn check(filter: DeliveryFilter, fields: &Fields) -> Result<DeliveryFilter, Refusal> {
        if filter.state.is_some_and(|state| state != DeliveryState::Dead) {
            return Err(fields.malformed("filter.state", "expected dead or none, found another state"));
        }
        Ok(DeliveryFilter { state: Some(DeliveryState::Dead), ..filter })
    }

    fn every() -> DeliveryFilter {
        DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() }
    }

    async fn exists(self, ledger: &dyn Ledger) -> Result<bool, LedgerError> {
        let previous = self.number.checked_sub(1);
        let after = previous.map(|number| Self { event: self.event, number });
        let filter = DeliveryFilter { event: Some(self.event), ..Self::every() };
        let found = ledger.deliveries(filter, Page { after, limit: 1, order: Order::OldestFirst }).await?;
        Ok(found.iter().any(|delivery| delivery.id == self))
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
        let ids = deliveries.iter().filter(|delivery| was_there(delivery)).map(|delivery| delivery.id).collect();
        Ok(Batch { ids, next })
    }
}

/// The filter's own end, or the end of the millisecond of the order.
fn end(until: Option<Moment>, ordered_at: Moment) -> Moment {
    let end = ordered_at.after(Duration::from_millis(1));
    until.map_or(end, |until| until.min(end))
}
