//! Leaves a destination alone while it is down, or as long as it asks to be.

use crate::config::CircuitPolicy;
use crate::id::EventId;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Whether a destination takes deliveries.
///
/// It is down after a number of *different* events failed without an answer in between, so one event that always fails does not
/// hold up the others. It counts by the clock that never jumps. Each receiver has its own.
///
/// One delivery after the other finds out whether it is up again, after pauses that double. What is new, in the ledger's
/// [words](crate::ledger::Ledger), has pauses of its own: a repeat may fail because of itself, which says little about the
/// destination, so its failures delay repeats only. Nor does a destination that asks to be left alone in answer to a repeat hold up
/// what is new: it may limit one sender alone.
#[derive(Debug, Clone)]
pub struct Circuit {
    policy: CircuitPolicy,
    failed: HashSet<EventId>,
    /// No repeat begins before: the destination asked for that in answer to one. After it, one at a time until one is answered.
    repeats_from: Option<Instant>,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Closed,
    Open(Open),
}

#[derive(Debug, Clone)]
struct Open {
    /// The latest pause; the next one is twice as long.
    pause: Duration,
    /// Whether the destination asked for the pause. Then an answer to what was under way before does not end it.
    is_asked: bool,
    new: Probes,
    repeats: Probes,
}

/// The probes of what is new, or of repeats.
#[derive(Debug, Clone, Copy)]
struct Probes {
    /// When the next one may begin.
    next: Instant,
    is_under_way: bool,
}

impl Probes {
    fn may_begin(self, now: Instant) -> bool {
        !self.is_under_way && now >= self.next
    }
}

/// What may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Everything new, and repeats.
    All {
        /// How many repeats may be under way; none: as many as there are slots for.
        most_repeats: Option<usize>,
    },
    /// One delivery as a probe: something new, or a repeat only where that is allowed.
    Probe {
        /// Whether it may be a repeat, if nothing is new.
        may_repeat: bool,
    },
    /// Nothing.
    Nothing,
}

/// What an attempt is to the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One of many: it began when the destination was up, as far as was known.
    Usual {
        /// Whether its delivery is a repeat.
        is_repeat: bool,
    },
    /// It finds out whether the destination is up.
    Probe {
        /// Whether its delivery is a repeat.
        is_repeat: bool,
    },
}

/// The state of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// It is up, as far as is known.
    Closed,
    /// It is left alone for this time.
    Open(Duration),
    /// It was left alone, and a delivery is under way to find out whether it is up.
    Probing,
}

impl Circuit {
    /// The circuit of a destination that is up.
    pub fn new(policy: CircuitPolicy) -> Self {
        Self { policy, failed: HashSet::new(), repeats_from: None, state: State::Closed }
    }

    /// What may begin now.
    pub fn admit(&self, now: Instant) -> Admitted {
        match &self.state {
            State::Closed => {
                Admitted::All { most_repeats: self.repeats_from.map(|repeats_from| usize::from(now >= repeats_from)) }
            }
            State::Open(open) if open.new.may_begin(now) => {
                Admitted::Probe { may_repeat: self.repeats(open).may_begin(now) }
            }
            State::Open(_) => Admitted::Nothing,
        }
    }

    /// When more is admitted than now without an attempt's end; none: never.
    pub fn admits_more_at(&self, now: Instant) -> Option<Instant> {
        let State::Open(open) = &self.state else {
            return self.repeats_from.filter(|&repeats_from| repeats_from > now);
        };
        match open.new {
            Probes { is_under_way: true, .. } => None,
            Probes { next, .. } if next > now => Some(next),
            Probes { .. } => {
                let repeats = self.repeats(open);
                (!repeats.is_under_way && repeats.next > now).then_some(repeats.next)
            }
        }
    }

    /// A probe begins.
    pub fn probe_begins(&mut self, is_repeat: bool) {
        if let Some(probes) = self.probes(Role::Probe { is_repeat }) {
            probes.is_under_way = true;
        }
    }

    /// An attempt ended, and nothing was learned from it.
    pub fn learned_nothing(&mut self, role: Role) {
        if let Some(probes) = self.probes(role) {
            probes.is_under_way = false;
        }
    }

    /// The destination answered, so it is up. Returns whether it was left alone, and no longer is.
    pub fn answered(&mut self, role: Role, now: Instant) -> bool {
        self.learned_nothing(role);
        self.failed.clear();
        if role.is_repeat() && self.repeats_from.is_some_and(|repeats_from| now >= repeats_from) {
            self.repeats_from = None;
        }
        match &self.state {
            State::Closed => false,
            State::Open(open) if open.is_asked && (!role.is_probe() || now < open.new.next) => false,
            State::Open(_) => {
                self.state = State::Closed;
                true
            }
        }
    }

    /// The destination did not answer, and may have asked to be left alone for a time. Returns the pause that begins.
    pub fn failed(&mut self, event: EventId, role: Role, asked: Option<Duration>, now: Instant) -> Option<Duration> {
        self.learned_nothing(role);
        let asked = asked.filter(|asked| !asked.is_zero());
        if matches!(self.state, State::Closed) {
            self.failed.insert(event);
            if self.failed.len() < self.policy.failures as usize {
                return if asked.is_some() { self.busy(role, asked, now) } else { None };
            }
        }
        if asked.is_some() && role.is_repeat() {
            self.put_off_repeats(asked, now);
            return self.pause(role, None, false, now);
        }
        self.pause(role, asked, asked.is_some(), now)
    }

    /// The destination asks for fewer events, and may have said for how long. Returns the pause that begins: at least its own. In
    /// answer to a repeat it is one of repeats alone.
    pub fn busy(&mut self, role: Role, asked: Option<Duration>, now: Instant) -> Option<Duration> {
        self.learned_nothing(role);
        if !role.is_repeat() {
            return self.pause(role, asked, true, now);
        }
        let begins = self.put_off_repeats(asked, now);
        match self.state {
            State::Closed => begins,
            State::Open(_) => self.pause(role, None, false, now).map(|pause| pause.max(begins.unwrap_or_default())),
        }
    }

    /// Whether something has failed since the last answer, although the destination is up as far as is known.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.state, State::Closed) && !self.failed.is_empty()
    }

    /// The state now.
    pub fn state(&self, now: Instant) -> CircuitState {
        match &self.state {
            State::Closed => CircuitState::Closed,
            State::Open(open) if open.new.is_under_way || open.repeats.is_under_way => CircuitState::Probing,
            State::Open(open) => CircuitState::Open(self.repeats(open).next.saturating_duration_since(now)),
        }
    }

    /// No repeat begins for a time. Returns it, unless repeats were put off already.
    fn put_off_repeats(&mut self, asked: Option<Duration>, now: Instant) -> Option<Duration> {
        let lasts = self.policy.first_pause.max(asked.unwrap_or_default());
        let before = self.repeats_from;
        self.repeats_from = before.max(Some(now + lasts));
        before.is_none_or(|before| now >= before).then_some(lasts)
    }

    /// The probes of repeats, with what was asked for in answer to one.
    fn repeats(&self, open: &Open) -> Probes {
        let next = self.repeats_from.map_or(open.repeats.next, |repeats_from| open.repeats.next.max(repeats_from));
        Probes { next, ..open.repeats }
    }

    fn pause(&mut self, role: Role, asked: Option<Duration>, is_asked: bool, now: Instant) -> Option<Duration> {
        let longest = self.policy.longest_pause;
        match &mut self.state {
            State::Closed => {
                let pause = self.policy.first_pause;
                let lasts = pause.max(asked.unwrap_or_default());
                let probes = Probes { next: now + lasts, is_under_way: false };
                self.state = State::Open(Open { pause, is_asked, new: probes, repeats: probes });
                Some(lasts)
            }
            // Attempts that were under way when the pause began change nothing, unless they ask for a longer one.
            State::Open(open) if !role.is_probe() => {
                let next = now + asked?;
                open.is_asked = true;
                open.put_off(next);
                None
            }
            State::Open(open) => {
                open.pause = open.pause.saturating_mul(2).min(longest);
                open.is_asked = is_asked || open.is_asked && now < open.new.next;
                let lasts = open.pause.max(asked.unwrap_or_default());
                open.repeats.next = open.repeats.next.max(now + lasts);
                if !role.is_repeat() {
                    open.put_off(now + lasts);
                }
                Some(lasts)
            }
        }
    }

    fn probes(&mut self, role: Role) -> Option<&mut Probes> {
        match (&mut self.state, role) {
            (State::Open(open), Role::Probe { is_repeat: true }) => Some(&mut open.repeats),
            (State::Open(open), Role::Probe { is_repeat: false }) => Some(&mut open.new),
            _ => None,
        }
    }
}

impl Role {
    fn is_probe(self) -> bool {
        matches!(self, Self::Probe { .. })
    }

    fn is_repeat(self) -> bool {
        let (Self::Usual { is_repeat } | Self::Probe { is_repeat }) = self;
        is_repeat
    }
}

impl Open {
    /// No probe begins before.
    fn put_off(&mut self, next: Instant) {
        self.new.next = self.new.next.max(next);
        self.repeats.next = self.repeats.next.max(next);
    }
}
