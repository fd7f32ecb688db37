//! Which of those that are due are leased: the rules of a claim, without its SQL.

use crate::ledger::Claim;
use uuid::Uuid;

/// Interrupted deliveries that a claim passes over at most; the next claim goes on.
const MOST_PASSED_OVER: usize = 1024;

/// A delivery that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) event: Uuid,
    pub(super) number: i32,
    pub(super) seq: i64,
    pub(super) line: Option<i64>,
    pub(super) at: i64,
    pub(super) attempts: u32,
    /// Those of the attempts that do not count.
    pub(super) uncounted: u32,
    pub(super) interruptions: u32,
    pub(super) is_repeat: bool,
    /// Bytes of its body.
    pub(super) size: usize,
    pub(super) created_at: Option<i64>,
    pub(super) redelivery_of: Option<u32>,
}

impl Due {
    /// The attempts that count: those that were settled as such, and every interruption but the first.
    pub(super) fn counted(&self) -> u32 {
        self.attempts.saturating_sub(self.uncounted).saturating_add(self.interruptions.saturating_sub(1))
    }

    /// Why it is dead once its attempts are used up.
    pub(super) fn gave_up(&self) -> String {
        let plural = |count: u32| if count == 1 { "" } else { "s" };
        let Self { attempts, interruptions, .. } = *self;
        match interruptions {
            0 => format!("gave up after {attempts} attempt{}", plural(attempts)),
            _ => format!("gave up: {attempts} attempt{} ended, {interruptions} never did", plural(attempts)),
        }
    }
}

/// Some of those that are due, in the order in which the parts are leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    RepeatsFirst,
    New,
    FurtherRepeats,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::RepeatsFirst, Self::New, Self::FurtherRepeats];
}

/// What a claim leases, and what it found on the way.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    claim: &'a Claim,
    /// How many may have used up their attempts before the claim begins anew.
    most_exhausted: usize,
    /// Those to lease, in the order in which to begin them.
    pub(super) leased: Vec<Due>,
    /// Those that have used up their attempts. They end first, then the claim begins anew: one that ends may let another one go. It keeps
    /// what it has chosen by then.
    pub(super) exhausted: Vec<Due>,
    /// Whether an interrupted one was passed over.
    pub(super) suspects_wait: bool,
    repeats: usize,
    ahead_bytes: usize,
    passed_over: usize,
    /// Whether one has ended behind which another one may wait.
    has_ended_in_line: bool,
}

impl<'a> Choice<'a> {
    pub(super) fn new(claim: &'a Claim, most_exhausted: usize) -> Self {
        Self {
            claim,
            most_exhausted,
            leased: Vec::new(),
            exhausted: Vec::new(),
            suspects_wait: false,
            repeats: 0,
            ahead_bytes: 0,
            passed_over: 0,
            has_ended_in_line: false,
        }
    }

    /// Leases one that this claim has chosen before it began anew.
    pub(super) fn keep(&mut self, due: Due) {
        if self.leased.len() >= self.claim.free {
            self.ahead_bytes += due.size.max(1);
        }
        self.repeats += usize::from(due.is_repeat);
        self.leased.push(due);
    }

    /// Takes those of a part, the first ones first, as long as there is room.
    pub(super) fn go_through(&mut self, part: Part, due: Vec<Due>) {
        for due in due {
            if self.is_over() || self.room_for(part) == 0 {
                return;
            }
            if due.counted() >= self.claim.most_attempts {
                self.has_ended_in_line |= due.line.is_some();
                self.exhausted.push(due);
            } else if due.interruptions > 0 && self.leased.len() >= self.claim.free {
                self.passed_over += 1;
                self.suspects_wait = true;
            } else {
                self.keep(due);
            }
        }
    }

    /// How many more of this part may be leased.
    pub(super) fn room_for(&self, part: Part) -> usize {
        let Claim { free, ahead, repeats_first, most_repeats, .. } = *self.claim;
        let (leased, repeats) = (self.leased.len(), self.repeats);
        let room = free.saturating_add(ahead).saturating_sub(leased);
        match part {
            Part::RepeatsFirst => repeats_first.min(most_repeats).saturating_sub(repeats).min(room),
            Part::New => room,
            Part::FurtherRepeats => most_repeats.saturating_sub(repeats).min(free.saturating_sub(leased)),
        }
    }

    /// Whether as many are leased as were asked for, or their bodies have as many bytes as may be leased ahead; or so many were passed
    /// over that the next claim shall go on.
    pub(super) fn is_filled(&self) -> bool {
        let has_enough_ahead = self.ahead_bytes > 0 && self.ahead_bytes >= self.claim.ahead_bytes;
        self.room_for(Part::New) == 0 || has_enough_ahead || self.passed_over > MOST_PASSED_OVER
    }

    /// Whether there is nothing more to go through.
    pub(super) fn is_over(&self) -> bool {
        self.is_filled() || self.has_ended_in_line || self.exhausted.len() >= self.most_exhausted
    }
}
