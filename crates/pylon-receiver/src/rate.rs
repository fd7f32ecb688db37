//! A rate limit.

use std::time::{Duration, Instant};

/// A token bucket: a number of tokens per second, and as many at once after a quiet second.
///
/// It uses the monotonic clock, which never jumps.
#[derive(Debug, Clone)]
pub struct Rate {
    per_second: f64,
    tokens: f64,
    counted_at: Instant,
}

impl Rate {
    /// A full bucket.
    pub fn new(per_second: f64, now: Instant) -> Self {
        Self { per_second, tokens: Self::room(per_second), counted_at: now }
    }

    /// How many tokens there are now; this takes none.
    pub fn available(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(Self::room(self.per_second));
        self.counted_at = now;
        self.tokens as usize
    }

    /// Takes this many tokens, also such as are not there yet: as many as come in a second, at most.
    pub fn take(&mut self, count: usize) {
        self.tokens = (self.tokens - count as f64).max(-Self::room(self.per_second));
    }

    /// How long until there is a token; zero if there is one now.
    pub fn wait(&mut self, now: Instant) -> Duration {
        if self.available(now) > 0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(((1.0 - self.tokens) / self.per_second).clamp(0.001, 3600.0))
    }

    /// The size of the bucket: at least one token, also for less than one a second.
    fn room(per_second: f64) -> f64 {
        per_second.max(1.0)
    }
}
