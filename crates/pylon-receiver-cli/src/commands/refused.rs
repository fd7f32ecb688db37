//! `refused`: lists refused requests and the reasons.

use crate::admin::listing::{self, PageArgs};
use crate::admin::receiver::ReceiverArgs;
use crate::fault::Fault;
use crate::print::body;
use crate::print::moment::to_the_second;
use crate::print::output::Output;
use crate::print::table::{Column, Table};
use crate::print::text::escape;
use clap::{Args, Subcommand};
use pylon_receiver::wire::{RefusedFilter, RefusedList, RefusedRequest};

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

/// How much of a body to show, in characters.
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

    /// Also show the headers and the start of the body
    #[arg(long)]
    verbose: bool,

    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    receiver: ReceiverArgs,
}

pub(crate) async fn run(command: RefusedCommand, out: &mut Output) -> Result<(), Fault> {
    let RefusedCommand::List(args) = command;
    let client = args.receiver.to_ask().await?;
    let filter = RefusedFilter { endpoint: args.endpoint, code: args.code };
    let mut table = Table::new(COLUMNS);
    listing::print::<RefusedList>(&client, &filter, &args.page, out, |refused, out| {
        if args.verbose {
            refused.iter().try_for_each(|request| print_request(request, out))
        } else {
            table.rows(&refused.iter().map(row).collect::<Vec<_>>(), out)
        }
    })
    .await
}

fn row(request: &RefusedRequest) -> Vec<String> {
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

fn print_request(request: &RefusedRequest, out: &mut Output) -> Result<(), Fault> {
    let RefusedRequest { number, status, body_length, .. } = request;
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
    body::lines(&request.body, BODY_SHOWN).iter().try_for_each(|line| out.line(&format!("  {line}")))?;
    out.line("")
}
