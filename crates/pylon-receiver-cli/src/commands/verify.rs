//! `verify`: checks the signature of a body, and explains a refusal.

use crate::fault::{Exit, Fault};
use crate::input::bytes::standard_input;
use crate::input::secret::SecretArgs;
use crate::print::output::{Format, Output};
use clap::Args;
use pylon_webhooks::Verifier;
use serde_json::json;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver verify --signature b6ee61d2... < body.json
  pylon-receiver verify --signature b6ee61d2... --timestamp 1700000000 --any-age < body.json

Exit codes: 0 verified, 3 refused, 5 the secret is missing.";

/// Verify a body from standard input, byte for byte, and explain a refusal
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Value of the header X-Pylon-Signature
    #[arg(long, value_name = "HEX", allow_hyphen_values = true)]
    signature: String,

    /// Value of the header X-Pylon-Timestamp; without it, the signature covers only the body
    #[arg(long, value_name = "UNIX_SECONDS", allow_hyphen_values = true)]
    timestamp: Option<String>,

    /// Accept a timestamp of any age
    #[arg(long)]
    any_age: bool,

    #[command(flatten)]
    secret: SecretArgs,
}

pub(crate) fn run(args: &VerifyArgs, out: &mut Output) -> Result<(), Fault> {
    let mut builder = Verifier::builder().secret(&*args.secret.bytes()?);
    if args.any_age {
        builder = builder.tolerance(Duration::MAX);
    }
    let verifier = builder.build().map_err(Fault::configuration)?;
    let body = standard_input()?;
    let verdict = verifier.verify(body.as_slice(), Some(&args.signature), args.timestamp.as_deref());
    match (verdict, out.format()) {
        (Ok(_), Format::Text) => out.line("verified"),
        (Ok(_), Format::Json) => out.json(&json!({"verified": true})),
        (Err(error), Format::Text) => Err(Fault::new(Exit::Refused, error)),
        (Err(error), Format::Json) => {
            out.json(&json!({"verified": false, "error": error.code(), "message": error.to_string()}))?;
            Err(Fault::said(Exit::Refused))
        }
    }
}
