//! How much of a destination goes to repeats: to what has failed before, and to what an operator ordered.
//!
//! What is new goes first. Yet an unending stream of it may not keep repeats waiting for ever, and repeats that hang may not take all
//! slots from what is new.

/// One in so many leases goes to a repeat, if one waits. One in so many slots is the most that repeats have while something new waits,
/// and is kept free of them while nothing does.
const ONE_IN: usize = 8;

/// The share of repeats at one destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    slots: usize,
    /// Repeats that are leased and not ended.
    repeats: usize,
    /// New ones that were leased since the last repeat, as far as they count.
    new: usize,
}

impl Share {
    /// Nothing is leased.
    pub(super) fn new(slots: usize) -> Self {
        Self { slots, repeats: 0, new: 0 }
    }

    /// How many repeats may be leased before anything new, if they are not limited further.
    pub(super) fn first(&self) -> usize {
        (self.new / ONE_IN).min(self.part().saturating_sub(self.repeats))
    }

    /// How many repeats may be leased in all, where there may be so many at once, or none: as many as there are slots for.
    pub(super) fn most(&self, at_once: Option<usize>) -> usize {
        // The one slot of a destination with no more is for both.
        let slots = if self.slots == 1 { 1 } else { self.slots - self.part() };
        at_once.map_or(slots, |at_once| at_once.min(slots)).saturating_sub(self.repeats)
    }

    /// A delivery is leased.
    pub(super) fn leased(&mut self, is_repeat: bool) {
        if is_repeat {
            self.repeats += 1;
            self.new = self.new.saturating_sub(ONE_IN);
        } else {
            self.new = self.full().min(self.new + 1);
        }
    }

    /// It was given back before its attempt began.
    pub(super) fn given_back(&mut self, is_repeat: bool) {
        self.ended(is_repeat);
        self.new = if is_repeat { self.full().min(self.new + ONE_IN) } else { self.new.saturating_sub(1) };
    }

    /// Its attempt has ended.
    pub(super) fn ended(&mut self, is_repeat: bool) {
        self.repeats = self.repeats.saturating_sub(usize::from(is_repeat));
    }

    /// New ones beyond this number do not count.
    fn full(&self) -> usize {
        ONE_IN * self.part()
    }

    /// The part of the slots that repeats have while something new waits, or that is kept free of them.
    fn part(&self) -> usize {
        (self.slots / ONE_IN).max(1)
    }
}
