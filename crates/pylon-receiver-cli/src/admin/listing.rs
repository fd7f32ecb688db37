//! Lists: gets page after page and prints each at once.

use super::client::{Client, Query, query, read};
use crate::fault::Fault;
use crate::print::moment::to_the_second;
use crate::print::output::{Format, Output, json_text, note};
use clap::{Args, ValueEnum};
use pylon_receiver::wire::{
    DeliveryList, DeliveryRecord, EventList, EventRecord, Order, OrderList, OrderRecord, PageQuery, RefusedList,
    RefusedRequest, path,
};
use pylon_receiver::{DeliveryId, EventId, Moment};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Rows of one request.
const PAGE: u64 = 200;

/// How much of a list.
#[derive(Debug, Args)]
#[command(next_help_heading = "Page")]
pub(crate) struct PageArgs {
    /// Maximum number of rows
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,

    /// All rows
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    /// Order of the rows
    #[arg(long, value_enum, default_value_t = OrderName::Newest)]
    order: OrderName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OrderName {
    /// Newest first
    Newest,
    /// Oldest first
    Oldest,
}

/// An answer of the admin API that is a page of a list.
pub(crate) trait List: DeserializeOwned {
    /// An entry.
    type Record;
    /// The id of an entry.
    type Id: Serialize + PartialEq;
    /// The path of the list.
    const PATH: &'static str;
    /// The field of the entries.
    const FIELD: &'static str;
    /// The entries, in words.
    const ENTRIES: &'static str;

    /// Up to when a search came that took too long for one page.
    fn searched_to(&self) -> Option<Moment> {
        None
    }

    /// The entries, and where the next page starts.
    fn into_parts(self) -> (Vec<Self::Record>, Option<Self::Id>);
}

impl List for EventList {
    type Record = EventRecord;
    type Id = EventId;
    const PATH: &'static str = path::EVENTS;
    const FIELD: &'static str = "events";
    const ENTRIES: &'static str = "events";

    fn searched_to(&self) -> Option<Moment> {
        self.searched_to
    }

    fn into_parts(self) -> (Vec<EventRecord>, Option<EventId>) {
        (self.events, self.next)
    }
}

impl List for DeliveryList {
    type Record = DeliveryRecord;
    type Id = DeliveryId;
    const PATH: &'static str = path::DELIVERIES;
    const FIELD: &'static str = "deliveries";
    const ENTRIES: &'static str = "deliveries";

    fn into_parts(self) -> (Vec<DeliveryRecord>, Option<DeliveryId>) {
        (self.deliveries, self.next)
    }
}

impl List for RefusedList {
    type Record = RefusedRequest;
    type Id = u64;
    const PATH: &'static str = path::REFUSED;
    const FIELD: &'static str = "refused";
    const ENTRIES: &'static str = "refused requests";

    fn into_parts(self) -> (Vec<RefusedRequest>, Option<u64>) {
        (self.refused, self.next)
    }
}

impl List for OrderList {
    type Record = OrderRecord;
    type Id = u64;
    const PATH: &'static str = path::ORDERS;
    const FIELD: &'static str = "orders";
    const ENTRIES: &'static str = "orders";

    fn into_parts(self) -> (Vec<OrderRecord>, Option<u64>) {
        (self.orders, self.next)
    }
}

/// Prints a list: as one JSON array, or each page's rows as the function prints them for people.
pub(crate) async fn print<L: List>(
    client: &Client,
    filter: &impl Serialize,
    page: &PageArgs,
    out: &mut Output,
    mut print_rows: impl FnMut(&[L::Record], &mut Output) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let filter = query(filter);
    let mut left = if page.all { u64::MAX } else { page.limit };
    let mut after: Option<L::Id> = None;
    let mut printed: u64 = 0;
    loop {
        let limit = left.min(PAGE);
        let answer: Value = client.get(L::PATH, &query_of_page(&filter, &after, limit, page.order)).await?;
        let list = read::<L>(&answer)?;
        let searched_to = list.searched_to();
        let (mut found, next) = list.into_parts();
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let count = found.len() as u64;
        match out.format() {
            Format::Json => {
                let items = answer[L::FIELD].as_array().into_iter().flatten().take(found.len());
                print_items(items, printed == 0, out)?;
            }
            Format::Text if count > 0 => print_rows(&found, out)?,
            Format::Text => {}
        }
        out.finish()?;
        (printed, left) = (printed + count, left - count);
        let more = next.is_some();
        // A list that continues at the same entry would never end.
        let is_over = count == 0 && searched_to.is_none();
        if next.is_none() || next == after || is_over || left == 0 {
            return end::<L>(printed, more, out);
        }
        if let Some(moment) = searched_to {
            note(&format!("searched to {}, going on", to_the_second(moment)));
        }
        after = next;
    }
}

fn query_of_page<I: Serialize>(filter: &Query, after: &Option<I>, limit: u64, order: OrderName) -> Query {
    let order = match order {
        OrderName::Newest => Order::NewestFirst,
        OrderName::Oldest => Order::OldestFirst,
    };
    let page = PageQuery { after: after.as_ref(), limit: u32::try_from(limit).ok(), order: Some(order) };
    [filter.clone(), query(&page)].concat()
}

fn end<L: List>(printed: u64, more: bool, out: &mut Output) -> Result<(), Fault> {
    match (out.format(), printed) {
        (Format::Json, 0) => out.line("[]")?,
        (Format::Json, _) => out.line("\n]")?,
        (Format::Text, 0) => out.line(&format!("no {} match", L::ENTRIES))?,
        (Format::Text, _) => {}
    }
    out.finish()?;
    if more {
        note("there may be more: --all shows all rows, --limit a number of them");
    }
    Ok(())
}

/// The part of a JSON array that holds these items.
fn print_items<'v>(items: impl Iterator<Item = &'v Value>, is_first: bool, out: &mut Output) -> Result<(), Fault> {
    for (number, item) in items.enumerate() {
        out.bytes(if is_first && number == 0 { b"[\n" } else { b",\n" })?;
        let item = json_text(item)?.replace('\n', "\n  ");
        out.bytes(format!("  {item}").as_bytes())?;
    }
    Ok(())
}
