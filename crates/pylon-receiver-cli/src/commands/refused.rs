//! `refused`: requests that were turned away, and why.

use super::body::Body;
use super::fault::Fault;
use super::filters::query;
use super::listing::{Listing, PageArgs};
use super::moment::to_the_second;
use super::output::Output;
use super::receiver::ReceiverArgs;
use super::table::{Column, Table};
use super::text::escape;
use clap::{Args, Subcommand};
use pylon_receiver::Moment;
use pylon_receiver::ledger::RefusedFilter;
use serde::Deserialize;

const COLUMNS: &[Column] = &[
    Column::number("NUMBER"),
    Column::whole("AT"),
    Column::name("ENDPOINT"),
    Column::name("CODE"),
    Column::number("STATUS"),
    Column::name("METHOD"),
    Column::name("PATH"),
    Column::whole("FROM"),
    Column::sentence("REASON"),
];

/// So many characters of a body are shown.
const BODY_SHOWN: usize = 1024;

/// List refused requests
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum RefusedCommand {
    List(ListArgs),
}

const EXAMPLES: &str = "\
Examples:
  pylon-receiver refused list
  pylon-receiver refused list --code signature_mismatch --verbose
  pylon-receiver refused list --endpoint webhook --all --json";

/// List refused requests
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListArgs {
    /// Refused at this endpoint
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    endpoint: Option<String>,

    /// Refused for this reason, such as signature_mismatch
    #[arg(long, help_heading = "Filters")]
    code: Option<String>,

    /// Show headers and the beginning of the body too
    #[arg(long)]
    verbose: bool,

    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

/// A refused request as the admin API tells it.
#[derive(Debug, Deserialize)]
struct Refused {
    number: u64,
    at: Moment,
    endpoint: Option<String>,
    code: String,
    reason: String,
    status: u16,
    method: String,
    path: String,
    remote: String,
    headers: Vec<(String, String)>,
    body: Body,
    body_length: u64,
}

pub(crate) async fn run(command: RefusedCommand, out: &mut Output) -> Result<(), Fault> {
    let RefusedCommand::List(args) = command;
    let client = args.receiver.to_ask().await?;
    let filter = RefusedFilter { endpoint: args.endpoint.clone(), code: args.code.clone() };
    let listing = Listing { path: "/api/refused", key: "refused", query: query(&filter), page: &args.page };
    let mut table = Table::new(COLUMNS);
    listing
        .print(&client, out, |refused: Vec<Refused>, out| {
            if args.verbose {
                refused.iter().try_for_each(|request| print_request(request, out))
            } else {
                table.rows(&refused.iter().map(row).collect::<Vec<_>>(), out)
            }
        })
        .await
}

fn row(request: &Refused) -> Vec<String> {
    vec![
        request.number.to_string(),
        to_the_second(request.at),
        request.endpoint.clone().unwrap_or_default(),
        request.code.clone(),
        request.status.to_string(),
        request.method.clone(),
        request.path.clone(),
        request.remote.clone(),
        request.reason.clone(),
    ]
}

fn print_request(request: &Refused, out: &mut Output) -> Result<(), Fault> {
    let Refused { number, status, body_length, .. } = request;
    out.line(&format!(
        "{number}  {}  {} {} from {}",
        to_the_second(request.at),
        escape(&request.method),
        escape(&request.path),
        escape(&request.remote)
    ))?;
    out.line(&format!("  answered {status}, {}: {}", escape(&request.code), escape(&request.reason)))?;
    for (name, value) in &request.headers {
        out.line(&format!("  {}: {}", escape(name), escape(value)))?;
    }
    out.line(&format!("  body, {body_length} bytes read"))?;
    request.body.lines(BODY_SHOWN).iter().try_for_each(|line| out.line(&format!("  {line}")))?;
    out.line("")
}
