//! `events`: what came in and was kept.

use super::body::Body;
use super::client::{Client, records};
use super::fault::Fault;
use super::filters::{EventFilterArgs, query};
use super::listing::{Listing, PageArgs};
use super::moment::{or_none, to_the_second};
use super::output::{Format, Output};
use super::receiver::ReceiverArgs;
use super::selection::OrderArgs;
use super::table::{Column, Table};
use super::text::escape;
use clap::{Args, Subcommand};
use pylon_receiver::EventId;
use pylon_receiver::ledger::{AttemptRecord, DeliveryRecord, EventRecord};
use serde::Deserialize;
use std::io::IsTerminal;

const COLUMNS: &[Column] = &[
    Column::whole("ID"),
    Column::whole("RECEIVED"),
    Column::name("ENDPOINT"),
    Column::name("KIND"),
    Column::name("STATE"),
    Column::number("BYTES"),
    Column::number("DELIVERIES"),
];

/// So many characters of a body are shown.
const BODY_SHOWN: usize = 4096;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver events list --since 2h
  pylon-receiver events show 019aaf3c-9f10-7aa0-8000-0123456789ab
  pylon-receiver events redeliver --since 3d --kind issue_new --dry-run

Where no receiver runs, `list` and `show` read the ledger file; `redeliver` needs a receiver (exit code 4).";

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
  pylon-receiver events show 019aaf3c-9f10-7aa0-8000-0123456789ab --body > body.json";

/// Show an event with its headers, body, deliveries and attempts
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The event
    id: EventId,

    /// Print its body alone, byte for byte
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

/// Deliver events again: each by a new delivery, due at once
#[derive(Debug, Args)]
#[command(after_help = REDELIVER_EXAMPLES)]
pub(crate) struct RedeliverArgs {
    /// These events
    #[arg(value_name = "ID")]
    ids: Vec<EventId>,

    /// To this destination alone [default: wherever each of them went before]
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
        EventsCommand::Redeliver(args) => redeliver(&args, out).await,
    }
}

async fn list(args: &ListArgs, out: &mut Output) -> Result<(), Fault> {
    let client = args.receiver.to_ask().await?;
    let query = query(&args.filter.filter());
    let mut table = Table::new(COLUMNS);
    let listing = Listing { path: "/api/events", key: "events", query, page: &args.page };
    listing.print(&client, out, |events: Vec<EventRecord>, out| table.rows(&rows(&events), out)).await
}

fn rows(events: &[EventRecord]) -> Vec<Vec<String>> {
    let row = |event: &EventRecord| {
        vec![
            event.id.to_string(),
            to_the_second(event.received_at),
            event.endpoint.clone(),
            event.kind.clone(),
            event.state.to_string(),
            event.body_length.to_string(),
            event.deliveries.to_string(),
        ]
    };
    events.iter().map(row).collect()
}

async fn show(args: &ShowArgs, out: &mut Output) -> Result<(), Fault> {
    // Its bytes are a stranger's, and a terminal obeys some of them.
    if args.body && std::io::stdout().is_terminal() {
        return Err(Fault::usage(
            "expected standard output to be a file or a pipe for --body, found a terminal; redirect it (`> body.json`)",
        ));
    }
    let client = args.receiver.to_ask().await?;
    let path = format!("/api/events/{}", args.id);
    if args.body {
        return print_body(&client, &path, out).await;
    }
    let answer = client.get(&path, &[]).await?;
    if out.format() == Format::Json {
        return out.json(&answer);
    }
    print_detail(&records(answer)?, out)
}

async fn print_body(client: &Client, path: &str, out: &mut Output) -> Result<(), Fault> {
    let body = client.get_bytes(&format!("{path}/body")).await?;
    out.bytes(&body)
}

/// An event as the admin API tells it.
#[derive(Deserialize)]
struct Detail {
    id: EventId,
    received_at: pylon_receiver::Moment,
    endpoint: String,
    kind: String,
    state: pylon_receiver::ledger::EventState,
    parked: Option<String>,
    body_length: u64,
    headers: Vec<(String, String)>,
    body: Body,
    deliveries: Vec<Logged>,
}

#[derive(Deserialize)]
struct Logged {
    #[serde(flatten)]
    record: DeliveryRecord,
    log: Vec<AttemptRecord>,
}

fn print_detail(event: &Detail, out: &mut Output) -> Result<(), Fault> {
    out.line(&format!("event     {}", event.id))?;
    out.line(&format!("received  {}", to_the_second(event.received_at)))?;
    out.line(&format!("endpoint  {}", escape(&event.endpoint)))?;
    out.line(&format!("kind      {}", escape(&event.kind)))?;
    match &event.parked {
        Some(reason) => out.line(&format!("state     {}: {}", event.state, escape(reason)))?,
        None => out.line(&format!("state     {}", event.state))?,
    }
    out.line("\nheaders")?;
    for (name, value) in &event.headers {
        out.line(&format!("  {}: {}", escape(name), escape(value)))?;
    }
    out.line(&format!("\nbody, {} bytes", event.body_length))?;
    event.body.lines(BODY_SHOWN).iter().try_for_each(|line| out.line(line))?;
    event.deliveries.iter().try_for_each(|delivery| print_delivery(delivery, out))
}

fn print_delivery(Logged { record, log }: &Logged, out: &mut Output) -> Result<(), Fault> {
    out.line(&format!("\ndelivery {} to {}", record.id, escape(&record.destination)))?;
    let mut state = record.state.to_string();
    for (word, moment) in [("due", record.due_at), ("since", record.finished_at)] {
        if moment.is_some() {
            state.push_str(&format!(", {word} {}", or_none(moment)));
        }
    }
    if let Some(number) = record.redelivery_of {
        state.push_str(&format!(", repeats delivery {number}"));
    }
    if let Some(key) = &record.order_key {
        state.push_str(&format!(", ordered by {}", escape(key)));
    }
    out.line(&format!("  {state}"))?;
    if let Some(reason) = &record.reason {
        out.line(&format!("  {}", escape(reason)))?;
    }
    for attempt in log {
        let status = attempt.status.map(|status| format!(", status {status}")).unwrap_or_default();
        let begun = to_the_second(attempt.started_at);
        let (number, took) = (attempt.attempt, attempt.took_milliseconds);
        out.line(&format!("  attempt {number}, {begun}, {took} ms{status}: {}", escape(&attempt.detail)))?;
    }
    Ok(())
}

async fn redeliver(args: &RedeliverArgs, out: &mut Output) -> Result<(), Fault> {
    let mut order = args.order.order(&args.ids, &args.filter.filter())?;
    if let Some(destination) = &args.destination {
        order.insert("destination".into(), destination.as_str().into());
    }
    let client = args.receiver.to_order()?;
    args.order.give(&client, "/api/events/redeliver", order, out).await
}
