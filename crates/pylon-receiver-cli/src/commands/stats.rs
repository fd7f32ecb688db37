//! `stats`: how much there is of everything.

use super::client::records;
use super::fault::Fault;
use super::moment::or_none;
use super::output::{Format, Output};
use super::receiver::ReceiverArgs;
use super::table::{Column, Table};
use clap::Args;
use pylon_receiver::ledger::DestinationStats;
use serde::Deserialize;
use serde_json::Value;

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

/// Say how many events there are, and what is left to be done for each destination
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    receiver: ReceiverArgs,
}

/// The admin API's answer.
#[derive(Deserialize)]
struct Answer {
    events: u64,
    parked: u64,
    refused: u64,
    ledger_bytes: u64,
    destinations: Vec<Destination>,
}

#[derive(Deserialize)]
struct Destination {
    #[serde(flatten)]
    stats: DestinationStats,
    /// Whether it is taken to be up; none: no receiver runs.
    #[serde(default)]
    circuit: Value,
    /// Whether it is none of the receiver's, so that nobody delivers what is left for it.
    #[serde(default)]
    orphaned: bool,
}

pub(crate) async fn run(args: &StatsArgs, out: &mut Output) -> Result<(), Fault> {
    let client = args.receiver.to_ask().await?;
    let answer = client.get("/api/stats", &[]).await?;
    if out.format() == Format::Json {
        return out.json(&answer);
    }
    let Answer { events, parked, refused, ledger_bytes, destinations } = records(answer)?;
    out.line(&format!("events    {events}"))?;
    out.line(&format!("parked    {parked}"))?;
    out.line(&format!("refused   {refused}"))?;
    out.line(&format!("ledger    {:.1} MiB", ledger_bytes as f64 / f64::from(1 << 20)))?;
    if destinations.is_empty() {
        return Ok(());
    }
    out.line("")?;
    Table::new(COLUMNS).rows(&destinations.iter().map(row).collect::<Vec<_>>(), out)
}

fn row(Destination { stats, circuit, orphaned }: &Destination) -> Vec<String> {
    let circuit = match circuit {
        Value::Null if *orphaned => "not configured".into(),
        Value::Null => String::new(),
        Value::String(state) => state.clone(),
        other => other.to_string(),
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
