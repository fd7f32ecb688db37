//! How much is told of what strangers cause.

use crate::rate::Rate;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// So many a second are told; the others are counted, and the next one that is told says how many they were.
pub(super) struct Allowance(Mutex<State>);

struct State {
    rate: Rate,
    not_told: u64,
}

impl Allowance {
    /// So many a second.
    pub(super) fn new(per_second: f64, now: Instant) -> Self {
        Self(Mutex::new(State { rate: Rate::new(per_second, now), not_told: 0 }))
    }

    /// Whether one may be told now, and then how many before it were not.
    pub(super) fn take(&self, now: Instant) -> Option<u64> {
        // What is counted stays whole whatever panics.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.rate.available(now) == 0 {
            state.not_told += 1;
            return None;
        }
        state.rate.take(1);
        Some(std::mem::take(&mut state.not_told))
    }
}
