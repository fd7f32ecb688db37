//! How many new events an endpoint takes a second.

use super::refusal::WebhookRefusal;
use crate::rate::Rate;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The rate of an endpoint's new events.
///
/// Only the ledger knows whether an event is new, so an event is counted when it is stored. Until then nobody else waits for it: what
/// arrives at once may exceed the rate by as much as is being stored. The time after that makes up for it, but no more than a second:
/// a burst keeps nobody out for long.
pub(super) struct EventRate {
    per_second: f64,
    rate: Mutex<Rate>,
}

impl EventRate {
    pub(super) fn new(per_second: f64, now: Instant) -> Self {
        Self { per_second, rate: Mutex::new(Rate::new(per_second, now)) }
    }

    /// Refuses the next event while the rate is used up.
    pub(super) fn check(&self, now: Instant) -> Result<(), WebhookRefusal> {
        let mut rate = self.rate();
        if rate.available(now) == 0 {
            return Err(WebhookRefusal::rate_limited(self.per_second, rate.wait(now)));
        }
        Ok(())
    }

    /// Counts an event that was stored.
    pub(super) fn count(&self) {
        self.rate().take(1);
    }

    // A panic while the lock is held cannot leave the count half changed.
    fn rate(&self) -> MutexGuard<'_, Rate> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
