//! `stats`: counts of everything in the ledger, and the state of each destination.

use crate::admin::client::{Query, read};
use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::moment::{or_none, to_the_second};
use crate::print::output::{Format, Output};
use crate::print::table::{Column, Table};
use clap::Args;
use pylon_receiver::text::show_duration;
use pylon_receiver::wire::{CircuitStatus, Destination, Spool, Stats, path};
use serde_json::Value;
use std::time::Duration;

const COLUMNS: &[Column] = &[
    Column::name("DESTINATION"),
    Column::number("WAITING"),
    Column::number("HELD"),
    Column::number("DELIVERING"),
    Column::number("DEAD"),
    Column::whole("OLDEST DUE"),
    Column::name("CIRCUIT"),
];

const EXAMPLES: &str = "\
Examples:
  pylon-receiver stats
  pylon-receiver stats --json
  pylon-receiver stats --admin-url http://10.0.0.5:8081 --token-env PYLON_ADMIN_TOKEN";

/// Show how many events there are, and the unfinished and dead deliveries of each destination
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(args: &StatsArgs, out: &mut Output) -> Result<(), Fault> {
    let client = args.receiver.to_ask().await?;
    let answer: Value = client.get(path::STATS, &Query::new()).await?;
    if out.format() == Format::Json {
        return out.json(&answer);
    }
    let Stats { events, parked, refused, ledger_bytes, destinations, spool } = read(&answer)?;
    out.line(&format!("events    {events}"))?;
    out.line(&format!("parked    {parked}"))?;
    out.line(&format!("refused   {refused}"))?;
    out.line(&format!("ledger    {}", mebibytes(ledger_bytes)))?;
    if let Some(spool) = spool {
        out.line(&format!("spool     {}", of_spool(&spool)))?;
    }
    if destinations.is_empty() {
        return Ok(());
    }
    out.line("")?;
    Table::new(COLUMNS).rows(&destinations.iter().map(row).collect::<Vec<_>>(), out)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn of_spool(Spool { since, events, bytes, refused, .. }: &Spool) -> String {
    let refused = if *refused > 0 { format!(", {refused} refused by the ledger") } else { String::new() };
    let since = since.map(|since| format!(", since {}", to_the_second(since))).unwrap_or_default();
    format!("{}, {events} events wait{refused}{since}", mebibytes(*bytes))
}

fn row(Destination { stats, circuit, open_for_seconds, orphaned, failing }: &Destination) -> Vec<String> {
    let circuit = match (orphaned, circuit, open_for_seconds) {
        (Some(true), ..) => "not configured".to_owned(),
        (_, Some(CircuitStatus::Open), Some(seconds)) => format!("open, {}", whole_seconds(*seconds)),
        // Its answers say that it is up, so that deliveries go out, and it takes none of them.
        (_, Some(CircuitStatus::Closed), _) if *failing == Some(true) => "closed, failing".to_owned(),
        _ => circuit.map(CircuitStatus::name).unwrap_or_default().to_owned(),
    };
    vec![
        stats.destination.clone(),
        stats.waiting.to_string(),
        stats.held.to_string(),
        stats.delivering.to_string(),
        stats.dead.to_string(),
        or_none(stats.oldest_due_at),
        circuit,
    ]
}

/// How long something lasts, to the next second.
fn whole_seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds.ceil()).map(show_duration).unwrap_or_default()
}
