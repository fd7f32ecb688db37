//! Orders: by id, by a filter, or about everything, and never about everything by mistake.

use super::client::{Client, Query, read};
use crate::fault::Fault;
use crate::print::output::{Format, Output, note};
use clap::Args;
use pylon_receiver::wire::{OrderResult, Stats, path};
use serde::Serialize;
use serde_json::Value;

/// Options of every order.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// Select everything
    #[arg(long)]
    all: bool,

    /// Only count the matches
    #[arg(long)]
    pub(crate) dry_run: bool,
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
        give(client, path, order, self.dry_run, out).await.map(drop)
    }
}

/// Gives an order and prints its result.
pub(crate) async fn give(
    client: &Client,
    path: &str,
    order: &impl Serialize,
    is_dry_run: bool,
    out: &mut Output,
) -> Result<OrderResult, Fault> {
    let answer: Value = client.post(path, order).await?;
    let result = read(&answer)?;
    if out.format() == Format::Json {
        out.json(&answer)?;
        return Ok(result);
    }
    let OrderResult { matched, redelivered, moved, dropped, unrouted } = result;
    out.line(&match (redelivered, moved, dropped) {
        _ if is_dry_run => format!("{matched} match; dry run, nothing was changed"),
        (Some(redelivered), ..) => format!("{matched} matched, {redelivered} will be redelivered"),
        (None, Some(moved), _) => format!("{matched} matched, {moved} moved"),
        (None, None, Some(dropped)) => format!("{matched} matched, {dropped} dropped"),
        (None, None, None) => format!("{matched} matched"),
    })?;
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

/// Whether the receiver has a destination at all; also if it does not say.
async fn has_destinations(client: &Client) -> bool {
    let stats: Result<Stats, Fault> = client.get(path::STATS, &Query::new()).await;
    stats.map_or(true, |stats| stats.destinations.iter().any(|destination| destination.orphaned != Some(true)))
}
