//! Leaves a destination alone while it is down.

use crate::config::CircuitPolicy;
use crate::id::EventId;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Whether a destination is taken to be up.
///
/// It is down after a number of *different* events failed with no success in between, so that one event that always fails
/// does not hold up the others. It counts by the clock that never jumps.
#[derive(Debug, Clone)]
pub struct Circuit {
    policy: CircuitPolicy,
    failed: HashSet<EventId>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant, pause: Duration },
    Probing { pause: Duration },
}

/// What a circuit says of its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// It is up, as far as is known.
    Closed,
    /// It is down, and left alone for so long.
    Open(Duration),
    /// It was down, and one delivery is under way to find out whether it still is.
    Probing,
}

impl Circuit {
    /// Of a destination that is up.
    pub fn new(policy: CircuitPolicy) -> Self {
        Self { policy, failed: HashSet::new(), state: State::Closed }
    }

    /// How many attempts may begin now, of so many that could.
    pub fn admit(&mut self, wanted: usize, now: Instant) -> usize {
        match self.state {
            State::Closed => wanted,
            State::Open { until, pause } if now >= until => {
                self.state = State::Probing { pause };
                wanted.min(1)
            }
            State::Open { .. } | State::Probing { .. } => 0,
        }
    }

    /// Nothing was there to be the probe; the next call of [`admit`](Self::admit) may send it.
    pub fn no_probe(&mut self, now: Instant) {
        if let State::Probing { pause } = self.state {
            self.state = State::Open { until: now, pause };
        }
    }

    /// An event arrived: the destination is up. Says whether it was down.
    pub fn succeeded(&mut self) -> bool {
        self.failed.clear();
        std::mem::replace(&mut self.state, State::Closed) != State::Closed
    }

    /// An event failed. Says for how long the destination is now left alone, where that was decided by this failure.
    pub fn failed(&mut self, event: EventId, now: Instant) -> Option<Duration> {
        let pause = match self.state {
            State::Probing { pause } => pause.saturating_mul(2).min(self.policy.longest_pause),
            // Those that were under way when it was decided change nothing.
            State::Open { .. } => return None,
            State::Closed => {
                self.failed.insert(event);
                if self.failed.len() < self.policy.failures as usize {
                    return None;
                }
                self.policy.first_pause
            }
        };
        self.state = State::Open { until: now + pause, pause };
        Some(pause)
    }

    /// Where it stands.
    pub fn state(&self, now: Instant) -> CircuitState {
        match self.state {
            State::Closed => CircuitState::Closed,
            State::Open { until, .. } => CircuitState::Open(until.saturating_duration_since(now)),
            State::Probing { .. } => CircuitState::Probing,
        }
    }
}
