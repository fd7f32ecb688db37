//! `check-config`: what a configuration says, and what `serve` would refuse or warn of.

use crate::fault::{Exit, Fault};
use crate::input::configuration::load;
use crate::print::output::{Format, Output, note};
use crate::telemetry::unsupported;
use clap::Args;
use pylon_receiver::Preflight;
use pylon_receiver::config::show;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver check-config --config /etc/pylon-receiver.toml
  pylon-receiver check-config

The check connects to a ledger on PostgreSQL and says what an answer of 200 means there.

Exit codes: 0 the configuration is valid, 1 it is valid and a secret, key or certificate is missing or the ledger cannot be
opened or does not keep its promise, 5 it is wrong.";

/// Check a configuration and print it with every default; secrets are not printed
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckConfigArgs {
    /// The configuration file, TOML; without it the defaults are printed
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) async fn run(args: &CheckConfigArgs, out: &mut Output) -> Result<(), Fault> {
    let config = load(args.config.as_deref())?;
    let Preflight { mut faults, missing, ledger, durability, warnings, .. } = Preflight::examine(&config).await;
    faults.extend(unsupported(&config));
    if !faults.is_empty() {
        let file = args.config.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
        return Err(Fault::configuration(format!("{file}{}", faults.join("\n"))));
    }
    let holds = show(&config);
    match out.format() {
        Format::Text => out.bytes(holds.as_bytes())?,
        Format::Json => {
            let missing_secrets = &missing;
            out.json(&json!({
                "config": holds,
                "missing_secrets": missing_secrets,
                "ledger": ledger,
                "durability": durability,
                "warnings": warnings,
            }))?
        }
    }
    out.finish()?;
    durability.iter().for_each(|meaning| note(&format!("a 200 means: the event is {meaning}")));
    warnings.iter().chain(&missing).chain(&ledger).for_each(|text| note(&format!("warning: {text}")));
    if missing.is_empty() && ledger.is_none() { Ok(()) } else { Err(Fault::said(Exit::Failed)) }
}
