//! When a failed delivery is tried again, and when it is given up.

use crate::config::RetryPolicy;
use crate::ledger::Verdict;
use crate::random::Randomness;
use crate::text::show_duration;
use std::time::Duration;

/// A delivery gets this many attempts at any age, unless the policy allows fewer in all: it may have grown old while nothing was
/// attempted, behind another one or because its destination was down.
const LEAST_ATTEMPTS: u32 = 5;

/// Exponential backoff with full jitter, so that deliveries that failed together are not retried together.
#[derive(Debug, Clone)]
pub struct Backoff(RetryPolicy);

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// How many attempts count, with this one.
    pub attempt: u32,
    /// The age of the delivery when the attempt ended.
    pub age: Duration,
    /// How long the destination asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl Backoff {
    /// Works by this policy.
    pub fn new(policy: RetryPolicy) -> Self {
        Self(policy)
    }

    /// The policy.
    pub fn policy(&self) -> &RetryPolicy {
        &self.0
    }

    /// The longest delay after this attempt. It doubles from each attempt to the next, up to the policy's longest.
    pub fn longest_delay(&self, attempt: u32) -> Duration {
        let doubled = 2u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.0.first_delay.saturating_mul(doubled).min(self.0.longest_delay)
    }

    /// What to do after a failure.
    pub fn verdict(&self, failure: Failure, randomness: &dyn Randomness) -> Verdict {
        let policy = &self.0;
        if failure.attempt >= policy.attempts {
            return Verdict::Dead(format!("gave up after {}", attempts(failure.attempt)).into());
        }
        let jittered = randomness.part_of(self.longest_delay(failure.attempt));
        let asked = failure.retry_after.unwrap_or_default().min(policy.longest_delay);
        let delay = jittered.max(asked);
        let left = policy.age.saturating_sub(failure.age);
        match left.is_zero() {
            true if failure.attempt >= LEAST_ATTEMPTS => {
                let age = show_duration(policy.age);
                Verdict::Dead(format!("gave up after {}, older than {age}", attempts(failure.attempt)).into())
            }
            true => Verdict::RetryAfter(delay),
            // A last attempt at the greatest age, rather than none because the delay is longer.
            false => Verdict::RetryAfter(delay.min(left)),
        }
    }
}

fn attempts(count: u32) -> String {
    if count == 1 { "1 attempt".to_owned() } else { format!("{count} attempts") }
}
