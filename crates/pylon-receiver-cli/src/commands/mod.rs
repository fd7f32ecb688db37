//! The commands of `pylon-receiver`, one file each.
//!
//! Commands for operators use the admin API of a running receiver, as any other tool can.

mod backup;
mod check_config;
mod completions;
mod dead;
mod deliveries;
mod demo;
mod events;
mod migrate_ledger;
mod open;
mod refused;
mod send;
mod serve;
mod sign;
mod stats;
mod template;
mod verify;

use crate::fault::{Exit, Fault};
use crate::print::output::{Format, Output, note};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command that the arguments name, and returns the exit code. The first argument is the name of the program.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // If this cannot be printed either, nobody can read an error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    let mut out = Output::new(if cli.json { Format::Json } else { Format::Text });
    match cli.command.run(&mut out).and_then(|()| out.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Keep what was printed before the fault; a closed pipe is no second fault.
            let _ = out.finish();
            if let Some(message) = fault.message() {
                note(&format!("error: {message}"));
            }
            ExitCode::from(fault.exit() as u8)
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  pylon-receiver demo
  pylon-receiver serve --forward http://127.0.0.1:8000/webhook
  pylon-receiver send issue_new --to http://127.0.0.1:8080/webhook
  pylon-receiver events list --since 2h --state dead
  pylon-receiver dead redeliver --destination forward --dry-run
  pylon-receiver open

Exit codes:
  0  done
  1  failed: the receiver refused the request, an answer was not as expected, a file cannot be read;
     for check-config: a secret is missing, or the ledger cannot be opened
  2  the command line is wrong
  3  not verified: the signature or the timestamp was refused
  4  no receiver answers at that address
  5  the configuration is wrong, or a required secret is missing";

/// Stand in front of your app and lose no Pylon (usepylon.com) webhook.
///
/// The receiver verifies each webhook, stores it on disk, answers 200, and then delivers it with retries until your app has it.
#[derive(Debug, Parser)]
#[command(name = "pylon-receiver", version, after_help = EXAMPLES)]
struct Cli {
    /// Print one JSON document instead of text for people
    #[arg(long, global = true, display_order = 900)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Send(send::SendArgs),
    Sign(sign::SignArgs),
    Verify(verify::VerifyArgs),
    Template(template::TemplateArgs),
    #[command(subcommand)]
    Events(events::EventsCommand),
    #[command(subcommand)]
    Deliveries(deliveries::DeliveriesCommand),
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    #[command(subcommand)]
    Refused(refused::RefusedCommand),
    Stats(stats::StatsArgs),
    Open(open::OpenArgs),
    Backup(backup::BackupArgs),
    MigrateLedger(migrate_ledger::MigrateLedgerArgs),
    CheckConfig(check_config::CheckConfigArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    fn run(self, out: &mut Output) -> Result<(), Fault> {
        match self {
            Self::Serve(args) => serve::run(&args),
            Self::Demo(args) => wait_for(demo::run(args, out)),
            Self::Send(args) => wait_for(send::run(args, out)),
            Self::Sign(args) => sign::run(&args, out),
            Self::Verify(args) => verify::run(&args, out),
            Self::Template(args) => template::run(&args, out),
            Self::Events(command) => wait_for(events::run(command, out)),
            Self::Deliveries(command) => wait_for(deliveries::run(command, out)),
            Self::Dead(command) => wait_for(dead::run(command, out)),
            Self::Refused(command) => wait_for(refused::run(command, out)),
            Self::Stats(args) => wait_for(stats::run(&args, out)),
            Self::Open(args) => wait_for(open::run(&args, out)),
            Self::Backup(args) => wait_for(backup::run(&args, out)),
            Self::CheckConfig(args) => wait_for(check_config::run(&args, out)),
            Self::MigrateLedger(args) => wait_for(migrate_ledger::run(&args, out)),
            Self::Completions(args) => completions::run::<Cli>(&args, out),
        }
    }
}

/// One thread is enough: these commands wait for another process.
fn wait_for(work: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::failed(format!("the operating system gives no event loop: {error}")))?;
    runtime.block_on(work)
}
