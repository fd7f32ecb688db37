//! What an order is about: things by their names, or all that match; read, and then gone through batch by batch.

use super::answer::Refusal;
use super::fields::Fields;
use super::filters;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{DeliveryFilter, DeliveryRecord, DeliveryState, EventFilter, Ledger, LedgerError, Order, Page};
use crate::time::Moment;
use std::collections::HashSet;
use std::str::FromStr;
use std::time::Duration;

/// How many go to the ledger at once.
const BATCH: u32 = 500;

/// What can be selected: events, and dead deliveries.
pub(super) trait Selectable:
    Copy + Ord + std::hash::Hash + FromStr<Err = String> + Send + Sync + 'static
{
    /// How they are selected otherwise than by name.
    type Filter: Clone + Send + Sync + 'static;

    /// What they are called, all of them.
    const ALL: &'static str;

    /// Reads a filter; none: it has no condition.
    fn filter(fields: &mut Fields) -> Result<Option<Self::Filter>, Refusal>;

    /// The filter without a condition.
    fn every() -> Self::Filter;

    /// The filter and page that hold nothing but this one, where it is there.
    fn alone(self) -> (Self::Filter, Page<Self>);

    /// The part of the filter that was there when the order was given: without an end, what arrives meanwhile would never end it.
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
    /// Their names.
    pub(super) ids: Vec<I>,
    /// Behind which one the next batch begins; none: this was the last.
    next: Option<I>,
}

/// What an order is about.
pub(super) enum Selection<I: Selectable> {
    /// These, each once.
    Named(Vec<I>),
    /// All that match.
    Matching(I::Filter),
}

impl<I: Selectable> Selection<I> {
    /// Reads `ids`, `filter` and `all`.
    pub(super) fn of(fields: &mut Fields) -> Result<Self, Refusal> {
        let ids = fields.list("ids", str::parse::<I>)?;
        let filter = match fields.object("filter", "filter.")? {
            None => None,
            Some(mut conditions) => {
                let filter = I::filter(&mut conditions)?;
                conditions.finish()?;
                Some(filter)
            }
        };
        let all = fields.flag("all")?;
        match (ids, filter, all) {
            (Some(ids), None, false) => {
                let mut seen = HashSet::new();
                Ok(Self::Named(ids.into_iter().filter(|&id| seen.insert(id)).collect()))
            }
            (None, Some(Some(filter)), _) => Ok(Self::Matching(filter)),
            (None, _, true) => Ok(Self::Matching(I::every())),
            (None, Some(None), false) => {
                let fault = format!("expected a condition, found none; say \"all\": true for {}", I::ALL);
                Err(fields.malformed("filter", &fault))
            }
            (None, None, false) => {
                Err(Refusal::bad_request("malformed order: expected ids, filter or all, found none of them"))
            }
            (Some(_), ..) => {
                let message = "malformed order: expected either ids or filter and all, found ids beside another";
                Err(Refusal::bad_request(message))
            }
        }
    }

    /// Goes through it.
    pub(super) fn batches(self, ordered_at: Moment) -> Batches<I> {
        let rest = match self {
            Self::Named(ids) => Rest::Named(ids.into_iter()),
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
    Named(std::vec::IntoIter<I>),
    Matching { filter: I::Filter, after: Option<I> },
    Nothing,
}

impl<I: Selectable> Batches<I> {
    /// The next of those that are there; none: that was all.
    pub(super) async fn next(&mut self, ledger: &dyn Ledger) -> Result<Option<Vec<I>>, LedgerError> {
        match &mut self.rest {
            Rest::Nothing => Ok(None),
            Rest::Named(ids) => {
                let named: Vec<I> = ids.take(BATCH as usize).collect();
                if named.is_empty() {
                    return Ok(None);
                }
                let mut there = Vec::with_capacity(named.len());
                for id in named {
                    let (filter, page) = id.alone();
                    if I::page(ledger, filter, page, self.ordered_at).await?.ids.contains(&id) {
                        there.push(id);
                    }
                }
                Ok(Some(there))
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

    fn filter(fields: &mut Fields) -> Result<Option<EventFilter>, Refusal> {
        Ok(Some(filters::events(fields)?).filter(|filter| *filter != Self::every()))
    }

    fn every() -> EventFilter {
        EventFilter::default()
    }

    fn alone(self) -> (EventFilter, Page<Self>) {
        let previous = u128::from_be_bytes(*self.as_bytes()).checked_sub(1);
        let after = previous.map(|previous| Self::from_bytes(previous.to_be_bytes()));
        (Self::every(), Page { after, limit: 1, order: Order::OldestFirst })
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
        let next = filters::next(&events, &page, |event| event.id);
        Ok(Batch { ids: events.into_iter().map(|event| event.id).collect(), next })
    }
}

impl Selectable for DeliveryId {
    type Filter = DeliveryFilter;

    const ALL: &'static str = "every dead delivery";

    fn filter(fields: &mut Fields) -> Result<Option<DeliveryFilter>, Refusal> {
        let filter = filters::deliveries(fields)?;
        if filter.state.is_some_and(|state| state != DeliveryState::Dead) {
            return Err(fields.malformed("state", "expected dead or none, found another state"));
        }
        let filter = DeliveryFilter { state: Some(DeliveryState::Dead), ..filter };
        Ok(Some(filter).filter(|filter| *filter != Self::every()))
    }

    fn every() -> DeliveryFilter {
        DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() }
    }

    fn alone(self) -> (DeliveryFilter, Page<Self>) {
        let previous = self.number.checked_sub(1);
        let after = previous.map(|number| Self { event: self.event, number });
        let filter = DeliveryFilter { event: Some(self.event), ..Self::every() };
        (filter, Page { after, limit: 1, order: Order::OldestFirst })
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
        let next = filters::next(&deliveries, &page, |delivery| delivery.id);
        // One that this order made and that died meanwhile is not what was meant, and would never end it.
        let was_there =
            |delivery: &DeliveryRecord| delivery.redelivery_of.is_none() || delivery.created_at < ordered_at;
        let ids = deliveries.iter().filter(|delivery| was_there(delivery)).map(|delivery| delivery.id).collect();
        Ok(Batch { ids, next })
    }
}

/// The filter's own end, or the end of the millisecond in which the order was given.
fn end(until: Option<Moment>, ordered_at: Moment) -> Moment {
    let end = ordered_at.after(Duration::from_millis(1));
    until.map_or(end, |until| until.min(end))
}
