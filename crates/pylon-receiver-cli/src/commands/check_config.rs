//! `check-config`: what a configuration says, or what is wrong with it.

use crate::fault::{Exit, Fault};
use crate::input::configuration::load;
use crate::print::output::{Format, Output, note};
use clap::Args;
use pylon_receiver::config::{Config, SecretSource, Signing, TransportConfig, show};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver check-config --config /etc/pylon-receiver.toml
  pylon-receiver check-config

Exit codes: 0 it holds and every secret is there, 1 it holds and a secret is not there, 5 it is wrong.";

/// Check a configuration and print what holds, defaults included; no secret is printed
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckConfigArgs {
    /// The configuration, TOML; without it the defaults are printed
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: &CheckConfigArgs, out: &mut Output) -> Result<(), Fault> {
    let config = load(args.config.as_deref())?;
    let missing = missing_secrets(&config);
    let holds = show(&config);
    match out.format() {
        Format::Text => out.bytes(holds.as_bytes())?,
        Format::Json => out.json(&json!({"config": holds, "missing_secrets": missing}))?,
    }
    out.finish()?;
    missing.iter().for_each(|fault| note(&format!("warning: {fault}")));
    if missing.is_empty() { Ok(()) } else { Err(Fault::said(Exit::Failed)) }
}

/// Of each secret that is not there, whose it is and why.
fn missing_secrets(config: &Config) -> Vec<String> {
    let admin = config.admin_token.iter().map(|source| ("admin token".to_owned(), source));
    let endpoints = config.endpoints.iter().flat_map(|endpoint| {
        let whose = format!("endpoint {}", endpoint.name);
        let signature = endpoint.authentication.signature.iter().flat_map(|rule| &rule.secrets);
        let header = endpoint.authentication.header.iter().map(|header| &header.value);
        signature.chain(header).map(move |source| (whose.clone(), source))
    });
    let destinations = config.destinations.iter().flat_map(|destination| {
        let whose = format!("destination {}", destination.name);
        secrets_of(&destination.transport).into_iter().map(move |source| (whose.clone(), source))
    });
    let all = admin.chain(endpoints).chain(destinations);
    all.filter_map(|(whose, source)| Some(format!("{whose}: {}", source.read().err()?))).collect()
}

fn secrets_of(transport: &TransportConfig) -> Vec<&SecretSource> {
    let TransportConfig::Http { headers, signing, .. } = transport else { return Vec::new() };
    let signing = match signing {
        Signing::AsReceived => None,
        Signing::Pylon(source) | Signing::StandardWebhooks(source) => Some(source),
    };
    headers.iter().map(|(_, source)| source).chain(signing).collect()
}
