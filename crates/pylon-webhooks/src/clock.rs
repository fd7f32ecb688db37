//! The current time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the current time in whole Unix seconds. Any `Fn() -> u64` is a clock.
///
/// ```
/// use pylon_webhooks::Clock;
///
/// let fixed = || 1_700_000_000;
/// assert_eq!(fixed.unix_seconds(), 1_700_000_000);
/// ```
pub trait Clock: Send + Sync {
    /// Seconds since 1970-01-01T00:00:00Z.
    fn unix_seconds(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync> Clock for F {
    fn unix_seconds(&self) -> u64 {
        self()
    }
}

/// The operating system's clock: the default.
///
/// ```
/// use pylon_webhooks::{Clock, SystemClock};
///
/// assert!(SystemClock.unix_seconds() > 1_700_000_000);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_seconds(&self) -> u64 {
        // A clock before 1970 reads as 1970. Every timestamp is then in the future, and the error says so.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
