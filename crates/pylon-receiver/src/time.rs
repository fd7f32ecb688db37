//! Moments in time, and the clock of the receiver.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment in whole milliseconds since 1970-01-01T00:00:00Z. It is printed and parsed as RFC 3339.
///
/// ```
/// use pylon_receiver::Moment;
///
/// let moment: Moment = "2026-11-23T08:00:00.250Z".parse()?;
/// assert_eq!(moment.unix_milliseconds() % 1000, 250);
/// assert_eq!(moment.to_string(), "2026-11-23T08:00:00.25Z");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// The moment this many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_milliseconds(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as in the timestamps of webhooks; zero for earlier moments.
    pub const fn unix_seconds(self) -> u64 {
        if self.0 < 0 { 0 } else { (self.0 / 1000) as u64 }
    }

    /// The moment this much later, at most the last one that the type holds.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(duration)))
    }

    /// The moment this much earlier, at least the first one that the type holds.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(milliseconds(duration)))
    }

    /// How long after the earlier moment this one is; zero if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            // RFC 3339 has no such year.
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let timestamp: Timestamp = text
            .parse()
            .map_err(|_| "expected a time such as 2026-11-23T08:00:00Z, found something else".to_owned())?;
        Ok(Self(timestamp.as_millisecond()))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A clock that tells the date and time. Any `Fn() -> Moment` is one.
///
/// It may jump when somebody sets the clock of the machine. Not to be confused with
/// [`pylon_webhooks::Clock`], which tells Unix seconds to a verifier.
pub trait WallClock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Moment;
}

impl<F: Fn() -> Moment + Send + Sync + 'static> WallClock for F {
    fn now(&self) -> Moment {
        self()
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemWallClock;

impl WallClock for SystemWallClock {
    fn now(&self) -> Moment {
        Moment(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, milliseconds))
    }
}
