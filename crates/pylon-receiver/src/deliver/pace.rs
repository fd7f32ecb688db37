//! How many deliveries to lease ahead of free slots, by the pace of the destination and of the ledger.

use std::time::{Duration, Instant};

/// How long what has ended may wait for more to share its commit, as long as there is enough to begin.
pub(super) const LINGER: Duration = Duration::from_millis(4);
/// The most deliveries to lease ahead.
const MOST_AHEAD: usize = 512;
/// A mean gives this weight to the latest value.
const WEIGHT: f64 = 0.125;

/// How long attempts and exchanges take, as means over the latest ones, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    slots: usize,
    attempt: Option<f64>,
    exchange: f64,
    /// When the exchange that is under way began.
    began: Instant,
}

impl Pace {
    /// Nothing is known yet, so nothing is leased ahead.
    pub(super) fn new(slots: usize, now: Instant) -> Self {
        Self { slots, attempt: None, exchange: 0.0, began: now }
    }

    /// How many to lease ahead: as many as all slots could finish from one exchange to the end of the next, and the same again.
    pub(super) fn ahead(&self) -> usize {
        self.finished_in(2.0 * (self.exchange + LINGER.as_secs_f64()))
    }

    /// How many all slots could finish during an exchange: with as many leased ahead, none of them waits for it.
    pub(super) fn needed(&self) -> usize {
        self.finished_in(self.exchange)
    }

    fn finished_in(&self, seconds: f64) -> usize {
        let Some(attempt) = self.attempt else { return 0 };
        // Nothing is known of a destination that takes no time at all: it gets the most.
        let finished = self.slots as f64 * seconds / attempt;
        if finished.is_nan() { 0 } else { (finished.round() as usize).min(MOST_AHEAD) }
    }

    /// An attempt has ended.
    pub(super) fn attempt_took(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.attempt = Some(self.attempt.map_or(took, |mean| mean + WEIGHT * (took - mean)));
    }

    /// What was leased ahead has not begun for this long, so attempts take that long at least.
    pub(super) fn attempts_take(&mut self, least: Duration) {
        self.attempt = Some(self.attempt.unwrap_or_default().max(least.as_secs_f64()));
    }

    /// An exchange begins.
    pub(super) fn exchange_begins(&mut self, now: Instant) {
        self.began = now;
    }

    /// The exchange has ended.
    pub(super) fn exchange_ends(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.began).as_secs_f64();
        self.exchange += WEIGHT * (took - self.exchange);
    }
}
