//! `check-config`: what a configuration says, and what `serve` would refuse or warn of.

use super::fault::{Exit, Fault};
use super::output::{Format, Output, note};
use super::telemetry::unsupported;
use clap::Args;
use pylon_receiver::Preflight;
use pylon_receiver::config::{Config, parse, show};
use serde_json::json;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  pylon-receiver check-config --config /etc/pylon-receiver.toml
  pylon-receiver check-config

Exit codes: 0 the configuration is valid, 1 it is valid and a secret, key or certificate is missing, 5 it is wrong.";

/// Check a configuration and print it with every default; secrets are not printed
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckConfigArgs {
    /// The configuration file, TOML; without it the defaults are printed
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: &CheckConfigArgs, out: &mut Output) -> Result<(), Fault> {
    let config = match &args.config {
        Some(path) => load(path)?,
        None => parse("").map_err(Fault::configuration)?,
    };
    let Preflight { mut faults, missing, warnings, .. } = Preflight::of(&config);
    faults.extend(unsupported(&config));
    if !faults.is_empty() {
        let file = args.config.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
        return Err(Fault::configuration(format!("{file}{}", faults.join("\n"))));
    }
    let holds = show(&config);
    match out.format() {
        Format::Text => out.bytes(holds.as_bytes())?,
        Format::Json => out.json(&json!({"config": holds, "missing_secrets": missing, "warnings": warnings}))?,
    }
    out.finish()?;
    warnings.iter().chain(&missing).for_each(|text| note(&format!("warning: {text}")));
    if missing.is_empty() { Ok(()) } else { Err(Fault::said(Exit::Failed)) }
}

/// Reads a configuration file.
pub(crate) fn load(path: &Path) -> Result<Config, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::configuration(format!("the configuration {} cannot be read: {error}", path.display()))
    })?;
    parse(&text).map_err(|fault| Fault::configuration(format!("{}: {fault}", path.display())))
}
