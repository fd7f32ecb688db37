//! Leaves a destination alone while it is down.

use crate::config::CircuitPolicy;
use crate::id::EventId;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Whether a destination is up.
///
/// It is down after a number of *different* events failed without a success in between, so one event that always fails does not
/// hold up the others. It counts by the clock that never jumps. Each receiver has its own.
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

/// The state of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// It is up, as far as is known.
    Closed,
    /// It is down, and left alone for this time.
    Open(Duration),
    /// It was down, and one delivery is under way to find out whether it is up again.
    Probing,
}

impl Circuit {
    /// The circuit of a destination that is up.
    pub fn new(policy: CircuitPolicy) -> Self {
        Self { policy, failed: HashSet::new(), state: State::Closed }
    }

    /// How many of the wanted attempts may begin now.
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

    /// There was nothing to send as the probe; the next call of [`admit`](Self::admit) may send it.
    pub fn no_probe(&mut self, now: Instant) {
        if let State::Probing { pause } = self.state {
            self.state = State::Open { until: now, pause };
        }
    }

    /// An event arrived, so the destination is up. Returns whether it was down.
    pub fn succeeded(&mut self) -> bool {
        self.failed.clear();
        std::mem::replace(&mut self.state, State::Closed) != State::Closed
    }

    /// An event failed. Returns the pause, if this failure began one.
    pub fn failed(&mut self, event: EventId, now: Instant) -> Option<Duration> {
        let pause = match self.state {
            State::Probing { pause } => pause.saturating_mul(2).min(self.policy.longest_pause),
            // Attempts that were under way when the pause began change nothing.
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

    /// The state now.
    pub fn state(&self, now: Instant) -> CircuitState {
        match self.state {
            State::Closed => CircuitState::Closed,
            State::Open { until, .. } => CircuitState::Open(until.saturating_duration_since(now)),
            State::Probing { .. } => CircuitState::Probing,
        }
    }
}
