//! The tables of the configuration file, and the keys that each of them has.

use super::nearest::nearest;
use std::fmt;

/// A table of the file; repeated ones are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Top,
    Tls,
    Limits,
    Retention,
    Endpoint(usize),
    Header(usize),
    Deduplication(usize),
    Destination(usize),
    Retry(usize),
    Circuit(usize),
}

impl Place {
    /// The keys that are known here.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Top => &[
                "listen",
                "admin",
                "admin_token",
                "ledger",
                "log",
                "traces",
                "tls",
                "limits",
                "retention",
                "endpoint",
                "destination",
            ],
            Self::Tls => &["certificate", "key"],
            Self::Limits => {
                &["connections", "header_timeout", "body_timeout", "keep_alive_requests", "queue", "shutdown_timeout"]
            }
            Self::Retention => &["delivered", "refused"],
            Self::Endpoint(_) => &[
                "name",
                "path",
                "secrets",
                "signature",
                "timestamp",
                "tolerance",
                "header",
                "body_limit",
                "kind",
                "kind_pointer",
                "deduplication",
                "rate",
            ],
            Self::Header(_) => &["name", "env", "file"],
            Self::Deduplication(_) => &["pointer", "window", "body_window"],
            Self::Destination(_) => &[
                "name",
                "url",
                "command",
                "jsonl",
                "kinds",
                "endpoints",
                "timeout",
                "concurrency",
                "rate",
                "order_by",
                "sign",
                "secret",
                "headers",
                "environment",
                "retry",
                "circuit",
            ],
            Self::Retry(_) => &["attempts", "age", "first_delay", "longest_delay"],
            Self::Circuit(_) => &["failures", "first_pause", "longest_pause"],
        }
    }

    /// The entry of a list that this is a part of; else itself.
    pub(super) fn owner(self) -> Self {
        match self {
            Self::Header(index) | Self::Deduplication(index) => Self::Endpoint(index),
            Self::Retry(index) | Self::Circuit(index) => Self::Destination(index),
            other => other,
        }
    }

    /// What is to be said of a key that is not known here.
    pub(super) fn hint(self, key: &str) -> String {
        if let Some(near) = nearest(key, self.keys().iter().copied()) {
            return format!("did you mean `{near}`?");
        }
        match self.relatives().iter().find(|relative| relative.keys().contains(&key)) {
            Some(Self::Top) => "it belongs before the first table".to_owned(),
            Some(relative) => format!("it belongs in {}", relative.header()),
            None => format!("expected {}", one_of(self.keys())),
        }
    }

    /// Where a key may have been meant to stand.
    fn relatives(self) -> &'static [Self] {
        match self {
            Self::Top => &[Self::Limits, Self::Retention, Self::Tls],
            Self::Tls | Self::Limits | Self::Retention | Self::Endpoint(_) => &[Self::Top],
            Self::Destination(_) => &[Self::Retry(0), Self::Circuit(0), Self::Top],
            Self::Retry(_) | Self::Circuit(_) => &[Self::Destination(0), Self::Retry(0), Self::Circuit(0)],
            Self::Header(_) | Self::Deduplication(_) => &[],
        }
    }

    fn header(self) -> &'static str {
        match self {
            Self::Top => "the file",
            Self::Tls => "[tls]",
            Self::Limits => "[limits]",
            Self::Retention => "[retention]",
            Self::Endpoint(_) => "[[endpoint]]",
            Self::Header(_) => "`header`",
            Self::Deduplication(_) => "`deduplication`",
            Self::Destination(_) => "[[destination]]",
            Self::Retry(_) => "[destination.retry]",
            Self::Circuit(_) => "[destination.circuit]",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.header())?;
        match *self {
            Self::Endpoint(index) | Self::Destination(index) => write!(f, " {}", index + 1),
            Self::Header(_) | Self::Deduplication(_) | Self::Retry(_) | Self::Circuit(_) => {
                write!(f, " of {}", self.owner())
            }
            Self::Top | Self::Tls | Self::Limits | Self::Retention => Ok(()),
        }
    }
}

/// The names as a choice, for instance "`a`, `b` or `c`".
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
    }
}
