//! `dead`: deliveries that were given up, and what becomes of them.

use super::deliveries;
use super::fault::Fault;
use super::filters::DeliveryFilterArgs;
use super::listing::PageArgs;
use super::output::Output;
use super::receiver::ReceiverArgs;
use super::selection::OrderArgs;
use clap::{Args, Subcommand};
use pylon_receiver::DeliveryId;
use pylon_receiver::ledger::DeliveryState;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver dead list
  pylon-receiver dead redeliver --destination app --dry-run
  pylon-receiver dead drop --until 30d

Where no receiver runs, `list` reads the ledger file; `redeliver` and `drop` need a receiver (exit code 4).";

/// List, redeliver and drop dead deliveries: those given up after too many attempts or too long a time
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum DeadCommand {
    List(ListArgs),
    /// Deliver dead ones again: each by a new delivery in its place, due at once
    #[command(after_help = REDELIVER_EXAMPLES)]
    Redeliver(DeadOrderArgs),
    /// Give dead ones up for good, without asking
    #[command(after_help = DROP_EXAMPLES)]
    Drop(DeadOrderArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  pylon-receiver dead list
  pylon-receiver dead list --destination app --since 2026-11-23 --json";

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
    /// These deliveries
    #[arg(value_name = "ID")]
    ids: Vec<DeliveryId>,

    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(command: DeadCommand, out: &mut Output) -> Result<(), Fault> {
    match command {
        DeadCommand::List(args) => {
            let client = args.receiver.to_ask().await?;
            deliveries::list(&client, &args.filter.filter(Some(DeliveryState::Dead)), &args.page, out).await
        }
        DeadCommand::Redeliver(args) => give(&args, "/api/dead/redeliver", out).await,
        DeadCommand::Drop(args) => give(&args, "/api/dead/drop", out).await,
    }
}

async fn give(args: &DeadOrderArgs, path: &str, out: &mut Output) -> Result<(), Fault> {
    // Only dead deliveries are ever redelivered or dropped: the filter need not say so.
    let order = args.order.order(&args.ids, &args.filter.filter(None))?;
    let client = args.receiver.to_order()?;
    args.order.give(&client, path, order, out).await
}
