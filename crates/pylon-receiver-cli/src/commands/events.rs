//! `events`: lists, shows and redelivers events.

use crate::admin::client::{Query, read};
use crate::admin::filters::EventFilterArgs;
use crate::admin::ids::{EventName, Name, find_all};
use crate::admin::listing::{self, PageArgs};
use crate::admin::order::{OrderArgs, Selection};
use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::answer;
use crate::print::body;
use crate::print::issue;
use crate::print::moment::{or_none, to_the_second};
use crate::print::output::{Format, Output};
use crate::print::table::{Column, Table};
use crate::print::text::escape;
use clap::{Args, Subcommand};
use pylon_receiver::wire::{DeliveryDetail, EventDetail, EventList, EventOrder, EventRecord, path};
use serde_json::Value;
use std::io::IsTerminal;

const COLUMNS: &[Column] = &[
    Column::whole("ID"),
    Column::whole("RECEIVED"),
    Column::name("ENDPOINT"),
    Column::name("KIND"),
    Column::name("ISSUE"),
    Column::name("TITLE"),
    Column::name("STATE"),
    Column::number("DELIVERIES"),
];

/// How much of a body to show, in characters.
const BODY_SHOWN: usize = 4096;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver events list --since 2h
  pylon-receiver events show 019aaf3c-9f10-7aa0-8000-0123456789ab
  pylon-receiver events redeliver --since 3d --kind issue_new --dry-run

If no receiver runs, `list` and `show` read the ledger. `redeliver` then fails with exit code 4, except on PostgreSQL.";

/// List, show and redeliver events
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum EventsCommand {
    List(ListArgs),
    Show(ShowArgs),
    Redeliver(RedeliverArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  pylon-receiver events list --issue 1042
  pylon-receiver events list --term sam@example.com
  pylon-receiver events list --since 2h --kind issue_new
  pylon-receiver events list --state parked --all --json
  pylon-receiver events list --contains 'Export fails' --order oldest";

/// List events
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: EventFilterArgs,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  pylon-receiver events show 019aaf3c-9f10-7aa0-8000-0123456789ab
  pylon-receiver events show 456789ab
  pylon-receiver events show 019aaf3c-9f10-7aa0-8000-0123456789ab --body > body.json";

/// Show an event with its headers, body, deliveries and attempts
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// Id of the event; its first or last digits suffice if no other event has them
    id: EventName,

    /// Print only the body, byte for byte
    #[arg(long)]
    body: bool,

    #[command(flatten)]
    receiver: ReceiverArgs,
}

const REDELIVER_EXAMPLES: &str = "\
Examples:
  pylon-receiver events redeliver 019aaf3c-9f10-7aa0-8000-0123456789ab
  pylon-receiver events redeliver --since 3d --kind issue_new --destination app --dry-run
  pylon-receiver events redeliver --all";

/// Redeliver events: each gets a new delivery, due at once
#[derive(Debug, Args)]
#[command(after_help = REDELIVER_EXAMPLES)]
pub(crate) struct RedeliverArgs {
    /// Ids of events; first or last digits suffice
    #[arg(value_name = "ID")]
    ids: Vec<EventName>,

    /// Only to this destination [default: every destination that the event went to before; if there is none, those that would take
    /// it now]
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,

    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    filter: EventFilterArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(command: EventsCommand, out: &mut Output) -> Result<(), Fault> {
    match command {
        EventsCommand::List(args) => list(&args, out).await,
        EventsCommand::Show(args) => show(&args, out).await,
        EventsCommand::Redeliver(args) => redeliver(args, out).await,
    }
}

async fn list(args: &ListArgs, out: &mut Output) -> Result<(), Fault> {
    let client = args.receiver.to_ask().await?;
    let mut table = Table::new(COLUMNS);
    listing::print::<EventList>(&client, &args.filter.filter(), &args.page, out, |events, out| {
        table.rows(&events.iter().map(row).collect::<Vec<_>>(), out)
    })
    .await
}

fn row(event: &EventRecord) -> Vec<String> {
    vec![
        event.id.to_string(),
        to_the_second(event.received_at),
        event.endpoint.clone(),
        event.kind_or_name().to_owned(),
        issue::number(event.issue.as_ref()),
        issue::title(event.issue.as_ref()),
        event.state.to_string(),
        event.deliveries.to_string(),
    ]
}

async fn show(args: &ShowArgs, out: &mut Output) -> Result<(), Fault> {
    // The sender chose these bytes, and a terminal obeys some of them.
    if args.body && std::io::stdout().is_terminal() {
        return Err(Fault::usage(
            "expected standard output to be a file or a pipe for --body, found a terminal; redirect it (`> body.json`)",
        ));
    }
    let client = args.receiver.to_ask().await?;
    let id = args.id.find(&client).await?;
    if args.body {
        return out.bytes(&client.get_bytes(&path::event_body(id)).await?);
    }
    let answer: Value = client.get(&path::event(id), &Query::new()).await?;
    match out.format() {
        Format::Json => out.json(&answer),
        Format::Text => print_event(&read(&answer)?, out),
    }
}

fn print_event(event: &EventDetail, out: &mut Output) -> Result<(), Fault> {
    out.line(&format!("event     {}", event.id))?;
    out.line(&format!("received  {}", to_the_second(event.received_at)))?;
    out.line(&format!("endpoint  {}", escape(&event.endpoint)))?;
    out.line(&format!("name      {}", escape(&event.name)))?;
    out.line(&format!("kind      {}", event.kind.as_deref().map_or_else(|| "-".into(), escape)))?;
    if let Some(issue) = &event.issue {
        out.line(&format!("issue     {}", issue::line(issue)))?;
    }
    let query = event.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    out.line(&format!("request   {} {}", escape(&event.method), escape(&format!("{}{query}", event.path))))?;
    match &event.parked {
        Some(reason) => out.line(&format!("state     {}: {}", event.state, escape(reason)))?,
        None => out.line(&format!("state     {}", event.state))?,
    }
    out.line("\nheaders")?;
    for (name, value) in &event.headers {
        out.line(&format!("  {}: {}", escape(name), escape(value)))?;
    }
    out.line(&format!("\nbody, {} bytes", event.body_length))?;
    body::lines(&event.body, BODY_SHOWN).iter().try_for_each(|line| out.line(line))?;
    event.deliveries.iter().try_for_each(|delivery| print_delivery(delivery, out))
}

fn print_delivery(DeliveryDetail { record, log }: &DeliveryDetail, out: &mut Output) -> Result<(), Fault> {
    out.line(&format!("\ndelivery {} to {}", record.id, escape(&record.destination)))?;
    let mut state = record.state.to_string();
    for (word, moment) in [("due", record.due_at), ("since", record.finished_at)] {
        if moment.is_some() {
            state.push_str(&format!(", {word} {}", or_none(moment)));
        }
    }
    if let Some(number) = record.redelivery_of {
        state.push_str(&format!(", redelivery of {number}"));
    }
    if let Some(number) = record.order {
        state.push_str(&format!(", by order {number}"));
    }
    if let Some(key) = &record.order_key {
        state.push_str(&format!(", ordered by {}", escape(key)));
    }
    out.line(&format!("  {state}"))?;
    if let Some(reason) = &record.reason {
        out.line(&format!("  {}", escape(reason)))?;
    }
    for attempt in log {
        let started = to_the_second(attempt.started_at);
        let (number, took) = (attempt.attempt, attempt.took_milliseconds);
        let code = attempt.code.as_ref().map(|code| format!(", {}", escape(code))).unwrap_or_default();
        out.line(&format!("  attempt {number}, {started}, {took} ms{code}: {}", escape(&attempt.detail)))?;
        if let Some(answer) = &attempt.answer {
            answer::lines(answer).iter().try_for_each(|line| out.line(line))?;
        }
    }
    Ok(())
}

async fn redeliver(args: RedeliverArgs, out: &mut Output) -> Result<(), Fault> {
    let Selection { ids, filter, all } = args.order.selection(args.ids, args.filter.filter())?;
    let client = args.receiver.to_order().await?;
    let ids = find_all(ids, &client).await?;
    let OrderArgs { dry_run, limit, .. } = args.order;
    let order = EventOrder { ids, filter, all, destination: args.destination, dry_run, limit };
    args.order.give(&client, path::EVENTS_REDELIVER, &order, out).await
}
