//! When a failed delivery is tried again, or no more.

use crate::config::RetryPolicy;
use crate::ledger::Verdict;
use crate::random::Randomness;
use crate::text::show_duration;
use crate::time::Moment;
use std::time::Duration;

/// Attempts that a delivery gets however old it is, unless the policy allows fewer in all: it may have grown old while nothing
/// was attempted, behind another one or because its destination was left alone.
const LEAST_ATTEMPTS: u32 = 5;

/// The policy of retries, at work: exponential backoff with full jitter, so that what failed together does not come again
/// together.
#[derive(Debug, Clone)]
pub struct Backoff(RetryPolicy);

/// What a failure is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which attempt failed, from 1.
    pub attempt: u32,
    /// When the delivery was made.
    pub created_at: Moment,
    /// When the attempt ended.
    pub now: Moment,
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

    /// The longest wait after this attempt: it doubles from one to the next, up to the policy's longest.
    pub fn longest_delay(&self, attempt: u32) -> Duration {
        let doubled = 2u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.0.first_delay.saturating_mul(doubled).min(self.0.longest_delay)
    }

    /// What is to be done after a failure.
    pub fn verdict(&self, failure: Failure, randomness: &dyn Randomness) -> Verdict {
        let policy = &self.0;
        if failure.attempt >= policy.attempts {
            return Verdict::Dead(format!("gave up after {}", attempts(failure.attempt)).into());
        }
        let jittered = randomness.part_of(self.longest_delay(failure.attempt));
        let asked = failure.retry_after.unwrap_or_default().min(policy.longest_delay);
        let end = failure.created_at.after(policy.age);
        if failure.now >= end && failure.attempt >= LEAST_ATTEMPTS {
            let age = show_duration(policy.age);
            return Verdict::Dead(format!("gave up after {}, older than {age}", attempts(failure.attempt)).into());
        }
        let retry_at = failure.now.after(jittered.max(asked));
        // A last attempt at its age, rather than none because the wait is longer.
        Verdict::RetryAt(if failure.now < end { retry_at.min(end) } else { retry_at })
    }
}

fn attempts(count: u32) -> String {
    if count == 1 { "1 attempt".to_owned() } else { format!("{count} attempts") }
}
