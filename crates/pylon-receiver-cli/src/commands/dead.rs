//! `dead`: lists, redelivers and drops dead deliveries.

use super::deliveries;
use crate::admin::client::{Query, read};
use crate::admin::filters::DeliveryFilterArgs;
use crate::admin::ids::{DeliveryName, find_all};
use crate::admin::listing::PageArgs;
use crate::admin::order::{OrderArgs, Selection};
use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::moment::to_the_second;
use crate::print::output::{Format, Output};
use crate::print::table::{Column, Table};
use clap::{Args, Subcommand};
use pylon_receiver::wire::{DeadGroup, DeadGroups, DeadOrder, DeliveryState, path};
use serde_json::Value;

const GROUP_COLUMNS: &[Column] = &[
    Column::name("DESTINATION"),
    Column::name("CODE"),
    Column::number("DEAD"),
    Column::whole("FIRST"),
    Column::whole("LAST"),
    Column::whole("SAMPLE"),
    Column::sentence("REASON"),
];

const EXAMPLES: &str = "\
Examples:
  pylon-receiver dead groups
  pylon-receiver dead list
  pylon-receiver dead redeliver --destination app --code http_500 --dry-run
  pylon-receiver dead drop --until 30d

If no receiver runs, `groups` and `list` read the ledger. `redeliver` and `drop` then fail with exit code 4, except on PostgreSQL.";

/// List, redeliver and drop dead deliveries: those that ran out of attempts or time
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum DeadCommand {
    Groups(GroupsArgs),
    List(ListArgs),
    /// Redeliver dead deliveries: each gets a new delivery in its place, due at once
    #[command(after_help = REDELIVER_EXAMPLES)]
    Redeliver(DeadOrderArgs),
    /// Discard dead deliveries (no confirmation)
    #[command(after_help = DROP_EXAMPLES)]
    Drop(DeadOrderArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  pylon-receiver dead list
  pylon-receiver dead list --destination app --code http_500
  pylon-receiver dead list --destination app --since 2026-11-23 --json";

const GROUPS_EXAMPLES: &str = "\
Examples:
  pylon-receiver dead groups
  pylon-receiver dead groups --json";

const REDELIVER_EXAMPLES: &str = "\
Examples:
  pylon-receiver dead redeliver 019aaf3c-9f10-7aa0-8000-0123456789ab.1
  pylon-receiver dead redeliver --destination app --dry-run
  pylon-receiver dead redeliver --all";

const DROP_EXAMPLES: &str = "\
Examples:
  pylon-receiver dead drop 019aaf3c-9f10-7aa0-8000-0123456789ab.1
  pylon-receiver dead drop --until 30d --dry-run
  pylon-receiver dead drop --all";

/// Count dead deliveries by destination and code, with when the first and the last of them died
#[derive(Debug, Args)]
#[command(after_help = GROUPS_EXAMPLES)]
pub(crate) struct GroupsArgs {
    #[command(flatten)]
    receiver: ReceiverArgs,
}

/// List dead deliveries
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeadOrderArgs {
    /// Ids of deliveries; of the event's id, first or last digits suffice
    #[arg(value_name = "ID")]
    ids: Vec<DeliveryName>,

    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(command: DeadCommand, out: &mut Output) -> Result<(), Fault> {
    match command {
        DeadCommand::Groups(args) => groups(&args, out).await,
        DeadCommand::List(args) => {
            let client = args.receiver.to_ask().await?;
            let filter = args.filter.filter(&client, Some(DeliveryState::Dead)).await?;
            deliveries::list(&client, &filter, &args.page, out).await
        }
        DeadCommand::Redeliver(args) => give(args, path::DEAD_REDELIVER, out).await,
        DeadCommand::Drop(args) => give(args, path::DEAD_DROP, out).await,
    }
}

async fn groups(args: &GroupsArgs, out: &mut Output) -> Result<(), Fault> {
    let client = args.receiver.to_ask().await?;
    let answer: Value = client.get(path::DEAD_GROUPS, &Query::new()).await?;
    if out.format() == Format::Json {
        return out.json(&answer);
    }
    let DeadGroups { groups } = read(&answer)?;
    if groups.is_empty() {
        return out.line("no deliveries are dead");
    }
    Table::new(GROUP_COLUMNS).rows(&groups.iter().map(row).collect::<Vec<_>>(), out)
}

fn row(group: &DeadGroup) -> Vec<String> {
    vec![
        group.destination.clone(),
        group.code.clone().unwrap_or_default(),
        group.dead.to_string(),
        to_the_second(group.first_at),
        to_the_second(group.last_at),
        group.sample.to_string(),
        group.reason.clone().unwrap_or_default(),
    ]
}

async fn give(args: DeadOrderArgs, path: &str, out: &mut Output) -> Result<(), Fault> {
    let client = args.receiver.to_order().await?;
    // These orders are about dead deliveries only: the filter need not say so.
    let filter = args.filter.filter(&client, None).await?;
    let Selection { ids, filter, all } = args.order.selection(args.ids, filter)?;
    let ids = find_all(ids, &client).await?;
    let order = DeadOrder { ids, filter, all, dry_run: args.order.dry_run, limit: args.order.limit };
    args.order.give(&client, path, &order, out).await
}
