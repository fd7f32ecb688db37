//! When a failed delivery is tried again, and when it is given up.

use crate::config::RetryPolicy;
use crate::ledger::Verdict;
use crate::random::Randomness;
use crate::text::show_duration;
use std::time::Duration;

/// A delivery gets this many attempts at any age, unless the policy allows fewer in all: it may have grown old while nothing was
/// attempted, behind another one or because its destination was down.
const LEAST_ATTEMPTS: u32 = 5;
/// The longest time for which a destination may ask to be left alone, whatever the policy allows.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Exponential backoff with full jitter, so that deliveries that failed together are not retried together.
#[derive(Debug, Clone)]
pub struct Backoff(RetryPolicy);

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The attempt's number, from 1.
    pub number: u32,
    /// How many attempts count, with this one if it counts.
    pub counted: u32,
    /// Whether it counts. A destination that is up and asks for fewer events costs no delivery an attempt; only its age ends it.
    pub counts: bool,
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

    /// How long to leave a destination alone that asks for this time.
    pub fn asked(&self, retry_after: Option<Duration>) -> Option<Duration> {
        retry_after.map(|asked| asked.min(self.0.longest_delay).min(LONGEST_ASKED))
    }

    /// What to do after a failure.
    pub fn verdict(&self, failure: Failure, randomness: &dyn Randomness) -> Verdict {
        let policy = &self.0;
        let Failure { number, counted, counts, age, retry_after } = failure;
        if counts && counted >= policy.attempts {
            return Verdict::Dead(format!("gave up after {}", attempts(counted)).into());
        }
        let jittered = randomness.part_of(self.longest_delay(number));
        let delay = jittered.max(self.asked(retry_after).unwrap_or_default());
        let left = policy.age.saturating_sub(age);
        if left.is_zero() && number >= LEAST_ATTEMPTS {
            let age = show_duration(policy.age);
            return Verdict::Dead(format!("gave up after {}, older than {age}", attempts(number)).into());
        }
        // A last attempt at the greatest age, rather than none because the delay is longer.
        let after = if left.is_zero() { delay } else { delay.min(left) };
        Verdict::Retry { after, counts }
    }
}

fn attempts(count: u32) -> String {
    if count == 1 { "1 attempt".to_owned() } else { format!("{count} attempts") }
}
