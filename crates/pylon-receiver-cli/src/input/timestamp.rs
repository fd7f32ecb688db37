//! The timestamp that a command signs.

use clap::Args;
use pylon_receiver::{SystemWallClock, WallClock};
use std::str::FromStr;

/// Whether to sign a timestamp, and which.
#[derive(Debug, Args)]
pub(crate) struct TimestampArgs {
    /// Also sign a timestamp: the current time, or these Unix seconds
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
