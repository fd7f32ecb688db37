//! `deliveries`: lists deliveries.

use crate::admin::client::Client;
use crate::admin::filters::{DeliveryFilterArgs, delivery_states};
use crate::admin::listing::{self, PageArgs};
use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::issue;
use crate::print::moment::{or_none, to_the_second};
use crate::print::output::Output;
use crate::print::table::{Column, Table};
use clap::{Args, Subcommand};
use pylon_receiver::wire::{DeliveryFilter, DeliveryList, DeliveryRecord, DeliveryState};

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

/// List deliveries
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum DeliveriesCommand {
    List(ListArgs),
}

const EXAMPLES: &str = "\
Examples:
  pylon-receiver deliveries list --state waiting
  pylon-receiver deliveries list --event 019aaf3c-9f10-7aa0-8000-0123456789ab
  pylon-receiver deliveries list --destination app --since 2h --all --json";

/// List deliveries
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
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
    let DeliveriesCommand::List(args) = command;
    let client = args.receiver.to_ask().await?;
    let filter = args.filter.filter(&client, args.state).await?;
    list(&client, &filter, &args.page, out).await
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
