//! Orders: by id, by a filter, or about everything, and never about everything by mistake.

use super::client::{Client, Query, read};
use crate::fault::Fault;
use crate::print::output::{Format, Output, note};
use crate::print::text;
use clap::Args;
use pylon_receiver::wire::{OrderRecord, OrderResult, OrderState, OrderTerms, OrderVerb, Stats, path};
use serde::Serialize;
use serde_json::Value;
use std::io::IsTerminal;
use std::time::Duration;

/// Options of every order.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// Select everything
    #[arg(long)]
    all: bool,

    /// Only count the matches
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Take this many at most, the oldest first
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,

    #[command(flatten)]
    pub(crate) terms: TermsArgs,
}

/// Options that go with every order.
#[derive(Debug, Args)]
pub(crate) struct TermsArgs {
    /// Why, for the list of orders
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

/// What an order selects: one of the three is given.
pub(crate) struct Selection<I, F> {
    pub(crate) ids: Option<Vec<I>>,
    pub(crate) filter: Option<F>,
    pub(crate) all: bool,
}

impl OrderArgs {
    /// The selection that the command line gives.
    pub(crate) fn selection<I, F: Default + PartialEq>(
        &self,
        ids: Vec<I>,
        filter: F,
    ) -> Result<Selection<I, F>, Fault> {
        let has_filter = filter != F::default();
        match (ids.is_empty(), has_filter, self.all) {
            (false, false, false) => Ok(Selection { ids: Some(ids), filter: None, all: false }),
            (true, true, false) => Ok(Selection { ids: None, filter: Some(filter), all: false }),
            (true, false, true) => Ok(Selection { ids: None, filter: None, all: true }),
            (true, false, false) => {
                Err(Fault::usage("expected ids, a filter or --all, found none of them; --help lists the filters"))
            }
            _ => Err(Fault::usage("expected ids, a filter or --all, found more than one of them; give one")),
        }
    }

    /// Gives the order and prints its result.
    pub(crate) async fn give(
        &self,
        client: &Client,
        path: &str,
        order: &impl Serialize,
        out: &mut Output,
    ) -> Result<(), Fault> {
        give(client, path, order, &self.terms, self.dry_run, out).await.map(drop)
    }
}

/// Gives an order and prints its result.
pub(crate) async fn give(
    client: &Client,
    path: &str,
    order: &impl Serialize,
    terms: &TermsArgs,
    is_dry_run: bool,
    out: &mut Output,
) -> Result<OrderResult, Fault> {
    let is_watched = !is_dry_run && out.format() == Format::Text && std::io::stderr().is_terminal();
    let terms = OrderTerms { key: None, note: terms.note.clone(), at_once: is_watched };
    let answer: Value = client.post(path, &With { order, terms }).await?;
    let mut result: OrderResult = read(&answer)?;
    if out.format() == Format::Json {
        out.json(&answer)?;
        return Ok(result);
    }
    if let Some(number) = result.order.filter(|_| is_watched) {
        result = watch(client, number).await?;
    }
    let OrderResult { matched, redelivered, moved, dropped, unrouted, order, state, .. } = result.clone();
    out.line(&match (redelivered, moved, dropped) {
        _ if is_dry_run => format!("{matched} match; dry run, nothing was changed"),
        (Some(redelivered), ..) => format!("{matched} matched, {redelivered} will be redelivered"),
        (None, Some(moved), _) => format!("{matched} matched, {moved} moved"),
        (None, None, Some(dropped)) => format!("{matched} matched, {dropped} dropped"),
        (None, None, None) => format!("{matched} matched"),
    })?;
    if let (Some(number), Some(OrderState::Cancelled)) = (order, state) {
        out.finish()?;
        note(&format!("order {number} was cancelled before it was done"));
    }
    if let Some(unrouted) = unrouted {
        out.finish()?;
        let why = match has_destinations(client).await {
            true => "are taken by no destination; name one with --destination",
            false => "stay where they are: no destination is configured",
        };
        note(&format!("{unrouted} of them {why}"));
    }
    Ok(result)
}

/// An order with its terms, as one object.
#[derive(Serialize)]
struct With<'o, O> {
    #[serde(flatten)]
    order: &'o O,
    #[serde(flatten)]
    terms: OrderTerms,
}

/// How often somebody at a terminal is told how far the order is.
const EVERY: Duration = Duration::from_millis(500);

/// Tells somebody at a terminal how far an order is, until it ends.
async fn watch(client: &Client, number: u64) -> Result<OrderResult, Fault> {
    let (mut is_told, mut pause) = (false, EVERY / 16);
    loop {
        let order: OrderRecord = client.get(&path::order(number), &Query::new()).await?;
        if order.state != OrderState::Running {
            if is_told {
                eprintln!();
            }
            return match (order.state, &order.reason) {
                (OrderState::Failed, Some(reason)) => Err(Fault::failed(format!(
                    "order {number} failed after {} of {}: {}",
                    order.taken,
                    order.counted.unwrap_or(order.taken),
                    text::escape(reason)
                ))),
                (OrderState::BrokenOff | OrderState::Failed, _) => Err(Fault::failed(format!(
                    "order {number} broke off after {}: its receiver ended; give it again",
                    order.taken
                ))),
                _ => Ok(result_of(order)),
            };
        }
        let counted = order.counted.map_or_else(|| "some".to_owned(), |counted| counted.to_string());
        eprint!("\rorder {number}: {} of {counted}; cancel with `pylon-receiver orders cancel {number}` ", order.taken);
        is_told = true;
        // Most orders are done at once.
        tokio::time::sleep(pause).await;
        pause = EVERY.min(pause * 2);
    }
}

fn result_of(order: OrderRecord) -> OrderResult {
    let done = |verb| (order.verb == verb).then_some(order.done);
    OrderResult {
        matched: order.counted.unwrap_or(order.taken),
        redelivered: done(OrderVerb::Redeliver),
        moved: done(OrderVerb::Move),
        dropped: done(OrderVerb::Drop),
        unrouted: (order.unrouted > 0).then_some(order.unrouted),
        order: Some(order.number),
        state: Some(order.state),
        preview: None,
    }
}

/// Whether the receiver has a destination at all; also if it does not say.
async fn has_destinations(client: &Client) -> bool {
    let stats: Result<Stats, Fault> = client.get(path::STATS, &Query::new()).await;
    stats.map_or(true, |stats| stats.destinations.iter().any(|destination| destination.orphaned != Some(true)))
}
