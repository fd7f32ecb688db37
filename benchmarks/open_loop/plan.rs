//! What is to be sent and when, and what was seen of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

const MOST_REQUESTS: usize = 10_000_000;
const MOST_SECONDS: f64 = 600.0;
const MOST_A_SECOND: f64 = 1_000_000.0;
/// A server that cannot keep up is given so much longer than the schedule, and then what was not sent stays unsent.
const GRACE: Duration = Duration::from_secs(30);

/// How fast requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// As fast as answers come.
    Max,
    /// So many a second, at even intervals.
    PerSecond(f64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let rate = text.parse().ok().filter(|rate| (0.001..=MOST_A_SECOND).contains(rate));
        rate.map(Self::PerSecond)
            .ok_or_else(|| format!("expected `max` or a number up to {MOST_A_SECOND}, found {text}"))
    }
}

/// What is to be sent and when.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Not empty.
    pub(crate) to: Vec<SocketAddr>,
    pub(crate) connections: usize,
    /// Whether to remember what each acknowledged request got.
    pub(crate) keeps_ids: bool,
    rate: Rate,
    requests: usize,
    /// Nothing is sent later than this after the beginning.
    until: Duration,
}

impl Plan {
    pub(crate) fn new(
        to: Vec<SocketAddr>,
        connections: usize,
        rate: Rate,
        seconds: Option<f64>,
        requests: Option<usize>,
        keeps_ids: bool,
    ) -> Result<Self, String> {
        if to.is_empty() {
            return Err("expected an address to send to, found none".into());
        }
        if let Some(other) = to.iter().find(|to| !to.ip().is_loopback()) {
            return Err(format!("expected a loopback address, found {other}"));
        }
        if seconds.is_none() && requests.is_none() {
            return Err("expected --seconds or --requests, found neither".into());
        }
        let seconds = seconds.unwrap_or(MOST_SECONDS);
        let requests = requests.unwrap_or(MOST_REQUESTS);
        if !(0.0..=MOST_SECONDS).contains(&seconds) || requests > MOST_REQUESTS {
            return Err(format!(
                "expected up to {MOST_SECONDS} seconds and {MOST_REQUESTS} requests, found {seconds} and {requests}"
            ));
        }
        let time = Duration::from_secs_f64(seconds);
        let (requests, until) = match rate {
            Rate::Max => (requests, time),
            Rate::PerSecond(rate) => (requests.min((rate * seconds).ceil() as usize), time + GRACE),
        };
        Ok(Self { to, connections, keeps_ids, rate, requests, until })
    }

    /// Where the connection with this number leads.
    pub(crate) fn address(&self, connection: usize) -> SocketAddr {
        self.to[connection % self.to.len()]
    }

    /// When the request is due, after the beginning; none: nothing more is to be sent.
    pub(crate) fn due(&self, number: usize, elapsed: Duration) -> Option<Duration> {
        if number >= self.requests || elapsed >= self.until {
            return None;
        }
        Some(match self.rate {
            Rate::Max => elapsed,
            Rate::PerSecond(rate) => Duration::from_secs_f64(number as f64 / rate),
        })
    }

    /// How many of those that were due were never sent.
    pub(crate) fn not_sent(&self, sent: usize) -> usize {
        match self.rate {
            Rate::Max => 0,
            Rate::PerSecond(_) => self.requests - sent,
        }
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Requests sent.
    pub(crate) sent: usize,
    /// Requests that were due and never sent, because the server did not keep up.
    pub(crate) not_sent: usize,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, usize>,
    /// Requests whose connection broke before the whole answer had come.
    pub(crate) broken: usize,
    /// Connections opened anew.
    pub(crate) reconnected: usize,
    /// Requests that were sent more than a millisecond after they were due.
    pub(crate) late_starts: usize,
    /// From the beginning to the last answer.
    pub(crate) elapsed: Duration,
    /// Nanoseconds from the moment at which a request was due to the end of its answer.
    pub(crate) from_due: Vec<u64>,
    /// Nanoseconds from the sending of a request to the end of its answer.
    pub(crate) from_sending: Vec<u64>,
    /// What got 200, where that is to be remembered.
    pub(crate) acknowledged: Vec<Acknowledged>,
}

/// A request that got 200; both times are nanoseconds of the machine's monotonic clock.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    pub(crate) number: u64,
    pub(crate) event: Option<Box<str>>,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
}
