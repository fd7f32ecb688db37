//! `sign`: prints the headers for a body.

use crate::fault::Fault;
use crate::input::bytes::standard_input;
use crate::input::secret::SecretArgs;
use crate::input::timestamp::TimestampArgs;
use crate::print::output::{Format, Output};
use clap::Args;
use pylon_webhooks::testing::signed_headers;
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  pylon-receiver sign < body.json
  pylon-receiver sign --timestamp < body.json
  pylon-receiver sign < body.json | curl -H @- --data-binary @body.json http://127.0.0.1:8080/webhook";

/// Sign a body from standard input, byte for byte, and print the headers to send with it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    secret: SecretArgs,

    #[command(flatten)]
    timestamp: TimestampArgs,
}

pub(crate) fn run(args: &SignArgs, out: &mut Output) -> Result<(), Fault> {
    let secret = args.secret.secret()?;
    let headers = signed_headers(&secret, &standard_input()?, args.timestamp.value());
    match out.format() {
        Format::Text => headers.iter().try_for_each(|(name, value)| out.line(&format!("{name}: {value}"))),
        Format::Json => {
            out.json(&headers.into_iter().map(|(name, value)| (name, value.into())).collect::<Map<_, Value>>())
        }
    }
}
