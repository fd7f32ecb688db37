//! A limit on log lines that strangers cause.

use crate::rate::Rate;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// An [`Allowance`] for each reason at each endpoint: a flood of one kind hides no other.
pub(super) struct Allowances {
    per_second: f64,
    by_reason: Mutex<HashMap<(Arc<str>, &'static str), Allowance>>,
}

impl Allowances {
    /// Allowances of this many events a second.
    pub(super) fn new(per_second: f64) -> Self {
        Self { per_second, by_reason: Mutex::default() }
    }

    /// As [`Allowance::take`], of an endpoint and a reason. Endpoints and reasons are those of the configuration, so they are few.
    pub(super) fn take(&self, endpoint: &Arc<str>, reason: &'static str, now: Instant) -> Option<u64> {
        let mut by_reason = self.by_reason.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = by_reason.entry((endpoint.clone(), reason));
        allowance.or_insert_with(|| Allowance::new(self.per_second, now)).take(now)
    }
}

/// Lets this many events a second into the log and counts the others. The next logged event says how many were left out.
pub(super) struct Allowance(Mutex<State>);

struct State {
    rate: Rate,
    not_logged: u64,
}

impl Allowance {
    /// An allowance of this many events a second.
    pub(super) fn new(per_second: f64, now: Instant) -> Self {
        Self(Mutex::new(State { rate: Rate::new(per_second, now), not_logged: 0 }))
    }

    /// Whether an event may be logged now, and if so, how many before it were left out.
    pub(super) fn take(&self, now: Instant) -> Option<u64> {
        // A panic while the lock is held cannot leave the count half changed.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.rate.available(now) == 0 {
            state.not_logged += 1;
            return None;
        }
        state.rate.take(1);
        Some(std::mem::take(&mut state.not_logged))
    }
}
