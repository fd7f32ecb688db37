//! `sign`: the headers that go with a body.

use super::body::standard_input;
use super::fault::Fault;
use super::output::{Format, Output};
use super::secret::SecretArgs;
use clap::Args;
use pylon_receiver::{SystemWallClock, WallClock};
use pylon_webhooks::testing::signed_headers;
use serde_json::{Map, Value};
use std::str::FromStr;

const EXAMPLES: &str = "\
Examples:
  pylon-receiver sign < body.json
  pylon-receiver sign --timestamp < body.json
  pylon-receiver sign < body.json | curl -H @- --data-binary @body.json http://127.0.0.1:8080/webhook";

/// Sign a body on standard input, byte for byte, and print the headers to send with it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    secret: SecretArgs,

    #[command(flatten)]
    timestamp: TimestampArgs,
}

/// The timestamp to sign, where one is wanted.
#[derive(Debug, Args)]
pub(crate) struct TimestampArgs {
    /// Sign a timestamp too: the present time, or these Unix seconds
    #[arg(long, value_name = "UNIX_SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "now")]
    timestamp: Option<TimestampToSign>,
}

impl TimestampArgs {
    /// In Unix seconds.
    pub(crate) fn value(&self) -> Option<u64> {
        self.timestamp.map(|timestamp| match timestamp {
            TimestampToSign::Now => SystemWallClock.now().unix_seconds(),
            TimestampToSign::At(seconds) => seconds,
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum TimestampToSign {
    Now,
    At(u64),
}

impl FromStr for TimestampToSign {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "now" {
            return Ok(Self::Now);
        }
        let seconds = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        seconds.map(Self::At).ok_or("expected whole Unix seconds such as 1700000000")
    }
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
