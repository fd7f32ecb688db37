//! `orders`: lists what operators ordered, shows one order, cancels one.

use crate::admin::client::{Client, Query, read};
use crate::admin::listing::{self, PageArgs};
use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::moment::to_the_second;
use crate::print::output::{Format, Output};
use crate::print::table::{Column, Table};
use crate::print::text::escape;
use clap::{Args, Subcommand};
use pylon_receiver::wire::{OrderList, OrderRecord, path};
use serde_json::{Value, json};

const COLUMNS: &[Column] = &[
    Column::number("ORDER"),
    Column::whole("BEGAN"),
    Column::name("WHO"),
    Column::name("FROM"),
    Column::name("VERB"),
    Column::name("STATE"),
    Column::number("COUNTED"),
    Column::number("TAKEN"),
    Column::number("DONE"),
    Column::sentence("NOTE"),
];

const EXAMPLES: &str = "\
Examples:
  pylon-receiver orders list
  pylon-receiver orders show 17
  pylon-receiver orders cancel 17

If no receiver runs, `list` and `show` read the ledger.";

/// List what operators redelivered, moved and dropped; show or cancel an order
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum OrdersCommand {
    List(ListArgs),
    Show(ShowArgs),
    Cancel(CancelArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  pylon-receiver orders list
  pylon-receiver orders list --all --json";

const SHOW_EXAMPLES: &str = "\
Examples:
  pylon-receiver orders show 17";

const CANCEL_EXAMPLES: &str = "\
Examples:
  pylon-receiver orders cancel 17

What the order has done by then stays done.";

/// List orders
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

/// Show an order and how far it is
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// Number of the order
    number: u64,

    #[command(flatten)]
    receiver: ReceiverArgs,
}

/// Cancel an order that is running
#[derive(Debug, Args)]
#[command(after_help = CANCEL_EXAMPLES)]
pub(crate) struct CancelArgs {
    /// Number of the order
    number: u64,

    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(command: OrdersCommand, out: &mut Output) -> Result<(), Fault> {
    match command {
        OrdersCommand::List(args) => {
            let client = args.receiver.to_ask().await?;
            let mut table = Table::new(COLUMNS);
            let every = json!({});
            listing::print::<OrderList>(&client, &every, &args.page, out, |orders, out| {
                table.rows(&orders.iter().map(row).collect::<Vec<_>>(), out)
            })
            .await
        }
        OrdersCommand::Show(args) => {
            let client = args.receiver.to_ask().await?;
            let answer = client.get(&path::order(args.number), &Query::new()).await?;
            print(&answer, out)
        }
        OrdersCommand::Cancel(args) => {
            let client: Client = args.receiver.to_order().await?;
            let answer = client.post(&path::order_cancel(args.number), &json!({})).await?;
            print(&answer, out)
        }
    }
}

fn row(order: &OrderRecord) -> Vec<String> {
    vec![
        order.number.to_string(),
        to_the_second(order.began_at),
        order.who.clone(),
        order.source.to_string(),
        order.verb.to_string(),
        order.state.to_string(),
        order.counted.map(|counted| counted.to_string()).unwrap_or_default(),
        order.taken.to_string(),
        order.done.to_string(),
        order.note.clone().unwrap_or_default(),
    ]
}

fn print(answer: &Value, out: &mut Output) -> Result<(), Fault> {
    if out.format() == Format::Json {
        return out.json(answer);
    }
    let order: OrderRecord = read(answer)?;
    out.line(&format!("order     {}", order.number))?;
    out.line(&format!("state     {}", order.state))?;
    if let Some(reason) = &order.reason {
        out.line(&format!("reason    {}", escape(reason)))?;
    }
    out.line(&format!("verb      {}", order.verb))?;
    out.line(&format!("what      {}", escape(&order.what.to_string())))?;
    out.line(&format!("given by  {}, {}", escape(&order.who), order.source))?;
    if let Some(note) = &order.note {
        out.line(&format!("note      {}", escape(note)))?;
    }
    out.line(&format!("began     {}", to_the_second(order.began_at)))?;
    if let Some(ended_at) = order.ended_at {
        out.line(&format!("ended     {}", to_the_second(ended_at)))?;
    }
    let counted = order.counted.map_or_else(|| "-".to_owned(), |counted| counted.to_string());
    out.line(&format!("counted   {counted}"))?;
    out.line(&format!("taken up  {}", order.taken))?;
    out.line(&format!("done      {}", order.done))?;
    if order.unrouted > 0 {
        out.line(&format!("unrouted  {}", order.unrouted))?;
    }
    Ok(())
}
