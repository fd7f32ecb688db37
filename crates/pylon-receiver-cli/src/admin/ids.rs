//! Ids on the command line: whole, or shortened to their beginning or end as long as one event fits.

use super::client::{Client, query};
use crate::fault::Fault;
use crate::print::issue;
use crate::print::moment::to_the_second;
use crate::print::text::cut;
use pylon_receiver::wire::{EventFilter, EventList, EventRecord, PageQuery, path};
use pylon_receiver::{DeliveryId, EventId, PartOfId};
use std::str::FromStr;

/// How many events an error names among which a shortened id does not decide.
const CANDIDATES: usize = 5;

/// An id as the command line has it.
pub(crate) trait Name {
    /// The whole id.
    type Id;

    /// The whole id. A shortened one is looked up.
    async fn find(&self, client: &Client) -> Result<Self::Id, Fault>;
}

/// The whole ids.
pub(crate) async fn find_all<N: Name>(names: Option<Vec<N>>, client: &Client) -> Result<Option<Vec<N::Id>>, Fault> {
    let Some(names) = names else { return Ok(None) };
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        ids.push(name.find(client).await?);
    }
    Ok(Some(ids))
}

/// An event's id, whole or shortened.
#[derive(Debug, Clone)]
pub(crate) enum EventName {
    Whole(EventId),
    Part(PartOfId),
}

impl FromStr for EventName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = text.parse().map(Self::Whole).ok();
        whole.or_else(|| text.parse().map(Self::Part).ok()).ok_or(
            "expected an event id such as 019aaf3c-9f10-7aa0-8000-0123456789ab, or the first or last digits of one, at least 4",
        )
    }
}

impl Name for EventName {
    type Id = EventId;

    async fn find(&self, client: &Client) -> Result<EventId, Fault> {
        let part = match self {
            Self::Whole(id) => return Ok(*id),
            Self::Part(part) => part,
        };
        let filter = EventFilter { id: Some(part.clone()), ..EventFilter::default() };
        let page = PageQuery::<EventId> { after: None, limit: Some(CANDIDATES as u32 + 1), order: None };
        let EventList { events, .. } = client.get(path::EVENTS, &[query(&filter), query(&page)].concat()).await?;
        match events.as_slice() {
            [] => Err(Fault::failed(format!(
                "no event has an id that begins or ends with {part}; it may have been pruned"
            ))),
            [event] => Ok(event.id),
            several => {
                let shown: Vec<String> = several.iter().take(CANDIDATES).map(candidate).collect();
                let more = if several.len() > CANDIDATES { "\n  ..." } else { "" };
                let shown = shown.concat();
                Err(Fault::failed(format!(
                    "several events have an id that begins or ends with {part}; give more of its digits, from the end if \
                     they are of one time:{shown}{more}"
                )))
            }
        }
    }
}

/// A delivery's id, with the event's id whole or shortened.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryName {
    event: EventName,
    number: u32,
}

impl FromStr for DeliveryName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected a delivery id such as 019aaf3c-9f10-7aa0-8000-0123456789ab.1; of the event's id, the first or \
                        last digits suffice, at least 4";
        let (event, number) = text.rsplit_once('.').ok_or(expected)?;
        let number = number.parse().map_err(|_| expected)?;
        Ok(Self { event: event.parse().map_err(|_| expected)?, number })
    }
}

impl Name for DeliveryName {
    type Id = DeliveryId;

    async fn find(&self, client: &Client) -> Result<DeliveryId, Fault> {
        Ok(DeliveryId { event: self.event.find(client).await?, number: self.number })
    }
}

fn candidate(event: &EventRecord) -> String {
    let issue = event.issue.as_ref().map(|issue| format!("  {}", cut(&issue::line(issue), 60))).unwrap_or_default();
    format!("\n  {}  {}  {}{issue}", event.id, to_the_second(event.received_at), cut(event.kind_or_name(), 32))
}
