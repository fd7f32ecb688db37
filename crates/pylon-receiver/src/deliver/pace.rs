//! How many deliveries to lease ahead of free slots, by the pace at which attempts end.

use std::time::{Duration, Instant};

/// The most deliveries to lease ahead.
const MOST_AHEAD: usize = 256;

/// The pace of a destination, from one exchange with the ledger to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// When the last exchange began.
    began: Instant,
    /// Attempts that have ended since.
    ended: usize,
    /// Attempts that ended a second before it began.
    per_second: f64,
    ahead: usize,
}

impl Pace {
    /// Nothing is known yet, so nothing is leased ahead.
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, ended: 0, per_second: 0.0, ahead: 0 }
    }

    /// How many to lease ahead: as many as end during two exchanges, one that is under way and the next.
    pub(super) fn ahead(&self) -> usize {
        self.ahead
    }

    /// An attempt has ended.
    pub(super) fn attempt_ended(&mut self) {
        self.ended += 1;
    }

    /// An exchange begins.
    pub(super) fn exchange_begins(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began).max(Duration::from_micros(1));
        self.per_second = self.ended as f64 / passed.as_secs_f64();
        (self.began, self.ended) = (now, 0);
    }

    /// The exchange has ended.
    pub(super) fn exchange_ends(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.began).as_secs_f64();
        self.ahead = ((2.0 * self.per_second * took).round() as usize).min(MOST_AHEAD);
    }

    /// What was leased ahead did not begin in time.
    pub(super) fn is_slow(&mut self) {
        self.ahead = 0;
    }
}
