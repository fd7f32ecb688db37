//! `deliveries`: lists deliveries; moves or drops those of a destination that is gone.

use crate::admin::client::Client;
use crate::admin::filters::{DeliveryFilterArgs, delivery_states};
use crate::admin::listing::{self, PageArgs};
use crate::admin::order::{TermsArgs, give};
use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::issue;
use crate::print::moment::{or_none, to_the_second};
use crate::print::output::{Output, note};
use crate::print::table::{Column, Table};
use clap::{Args, Subcommand};
use pylon_receiver::wire::{
    DeliveryFilter, DeliveryList, DeliveryRecord, DeliveryState, DropOrder, MoveOrder, OrderResult, path,
};
use serde::Serialize;

const COLUMNS: &[Column] = &[
    Column::whole("ID"),
    Column::name("DESTINATION"),
    Column::name("KIND"),
    Column::name("ISSUE"),
    Column::name("TITLE"),
    Column::name("STATE"),
    Column::number("ATTEMPTS"),
    Column::whole("CREATED"),
    Column::whole("DUE"),
    Column::whole("FINISHED"),
    Column::sentence("REASON"),
];

/// List deliveries; move or drop those of a destination that is not configured any more
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum DeliveriesCommand {
    List(ListArgs),
    Move(MoveArgs),
    Drop(DropArgs),
}

const EXAMPLES: &str = "\
Examples:
  pylon-receiver deliveries list --state waiting
  pylon-receiver deliveries move --from old-name --to new-name --dry-run
  pylon-receiver deliveries drop --destination old-name";

const LIST_EXAMPLES: &str = "\
Examples:
  pylon-receiver deliveries list --state waiting
  pylon-receiver deliveries list --event 019aaf3c-9f10-7aa0-8000-0123456789ab
  pylon-receiver deliveries list --destination app --since 2h --all --json";

const MOVE_EXAMPLES: &str = "\
Examples:
  pylon-receiver deliveries move --from old-name --to new-name --dry-run
  pylon-receiver deliveries move --from old-name --to new-name

Waiting, held and dead deliveries are moved; waiting ones are due at once, and lines keep their order. What is being attempted stays,
with its line: give the order again when it is over. If no receiver runs, the ledger is changed.";

const DROP_EXAMPLES: &str = "\
Examples:
  pylon-receiver deliveries drop --destination old-name --dry-run
  pylon-receiver deliveries drop --destination old-name

Waiting, held and dead deliveries are dropped; their events stay until their retention ends. If no receiver runs, the ledger is
changed.";

/// Give what is left of a destination that is not configured any more to another one
#[derive(Debug, Args)]
#[command(after_help = MOVE_EXAMPLES)]
pub(crate) struct MoveArgs {
    /// The destination that was renamed or removed
    #[arg(long, value_name = "NAME")]
    from: String,

    /// The destination that gets its deliveries
    #[arg(long, value_name = "NAME")]
    to: String,

    /// Only count the matches
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

/// Discard what is left of a destination that is not configured any more (no confirmation)
#[derive(Debug, Args)]
#[command(after_help = DROP_EXAMPLES)]
pub(crate) struct DropArgs {
    /// The destination that was renamed or removed
    #[arg(long, value_name = "NAME")]
    destination: String,

    /// Only count the matches
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

/// List deliveries
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: DeliveryFilterArgs,

    /// Current state
    #[arg(long, value_parser = delivery_states(), help_heading = "Filters")]
    state: Option<DeliveryState>,

    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(command: DeliveriesCommand, out: &mut Output) -> Result<(), Fault> {
    match command {
        DeliveriesCommand::List(args) => {
            let client = args.receiver.to_ask().await?;
            let filter = args.filter.filter(&client, args.state).await?;
            list(&client, &filter, &args.page, out).await
        }
        DeliveriesCommand::Move(MoveArgs { from, to, dry_run, terms, receiver }) => {
            let order = MoveOrder { from, to, dry_run };
            reassign(&receiver, path::DELIVERIES_MOVE, &order, (&terms, dry_run), out).await
        }
        DeliveriesCommand::Drop(DropArgs { destination, dry_run, terms, receiver }) => {
            let order = DropOrder { destination, dry_run };
            reassign(&receiver, path::DELIVERIES_DROP, &order, (&terms, dry_run), out).await
        }
    }
}

async fn reassign(
    receiver: &ReceiverArgs,
    path: &str,
    order: &impl Serialize,
    (terms, is_dry_run): (&TermsArgs, bool),
    out: &mut Output,
) -> Result<(), Fault> {
    let client = if is_dry_run { receiver.to_ask().await? } else { receiver.to_change().await? };
    let given = give(&client, path, order, terms, is_dry_run, out).await;
    client.close().await?;
    let OrderResult { matched, moved, dropped, .. } = given?;
    if !is_dry_run && moved.or(dropped).is_some_and(|done| done < matched) {
        out.finish()?;
        note("the rest is being attempted, or waits behind an attempt: give the order again when it is over");
    }
    Ok(())
}

/// Prints the deliveries that match.
pub(super) async fn list(
    client: &Client,
    filter: &DeliveryFilter,
    page: &PageArgs,
    out: &mut Output,
) -> Result<(), Fault> {
    let mut table = Table::new(COLUMNS);
    listing::print::<DeliveryList>(client, filter, page, out, |deliveries, out| {
        table.rows(&deliveries.iter().map(row).collect::<Vec<_>>(), out)
    })
    .await
}

fn row(delivery: &DeliveryRecord) -> Vec<String> {
    vec![
        delivery.id.to_string(),
        delivery.destination.clone(),
        delivery.kind_or_name().to_owned(),
        issue::number(delivery.issue.as_ref()),
        issue::title(delivery.issue.as_ref()),
        delivery.state.to_string(),
        delivery.attempts.to_string(),
        to_the_second(delivery.created_at),
        or_none(delivery.due_at),
        or_none(delivery.finished_at),
        delivery.reason.clone().unwrap_or_default(),
    ]
}
