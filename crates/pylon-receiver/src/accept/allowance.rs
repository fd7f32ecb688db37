//! A limit on log lines that strangers cause.

use crate::rate::Rate;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

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
