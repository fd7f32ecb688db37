//! Events that may have a term, in the order of a list, from segments that overlap.

use crate::id::EventId;
use crate::ledger::{Order, Page};
use std::collections::BTreeSet;

/// A segment that is not looked into yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) struct SegmentRange {
    pub(in crate::ledger) number: i64,
    pub(in crate::ledger) first: EventId,
    pub(in crate::ledger) last: EventId,
}

/// Gives out candidates once no segment that is left can have one that comes before them. So a search for something that is frequent
/// looks only into the segments at the beginning of the list.
pub(in crate::ledger) struct Candidates {
    order: Order,
    /// Between these, both among them, are the events that the list may have.
    within: (EventId, EventId),
    /// The next one at the end.
    left: Vec<SegmentRange>,
    known: BTreeSet<EventId>,
}

impl Candidates {
    /// Those of the page and the pages behind it, from the first of these events to the last.
    pub(in crate::ledger) fn new(
        page: Page<EventId>,
        (first, last): (EventId, EventId),
        segments: impl IntoIterator<Item = SegmentRange>,
    ) -> Self {
        let within = match (page.after, page.order) {
            (None, _) => (first, last),
            (Some(after), Order::OldestFirst) => (first.max(after), last),
            (Some(after), Order::NewestFirst) => (first, last.min(after)),
        };
        let overlaps = |segment: &SegmentRange| segment.last >= within.0 && segment.first <= within.1;
        let mut left: Vec<_> = segments.into_iter().filter(overlaps).collect();
        match page.order {
            Order::NewestFirst => left.sort_unstable_by_key(|segment| segment.last),
            Order::OldestFirst => left.sort_unstable_by_key(|segment| std::cmp::Reverse(segment.first)),
        }
        let mut candidates = Self { order: page.order, within, left, known: BTreeSet::new() };
        if let Some(after) = page.after {
            candidates.pass(after);
        }
        candidates
    }

    /// The segments to look into next, this many at most; none: candidates can be [taken](Self::take), or there are no more.
    pub(in crate::ledger) fn next_segments(&mut self, most: usize, wanted: usize) -> Vec<SegmentRange> {
        if self.ready().take(wanted).count() >= wanted {
            return Vec::new();
        }
        self.left.split_off(self.left.len().saturating_sub(most))
    }

    /// Adds what a segment has, or what is in none.
    pub(in crate::ledger) fn add(&mut self, ids: impl IntoIterator<Item = EventId>) {
        let (first, last) = self.within;
        self.known.extend(ids.into_iter().filter(|id| (first..=last).contains(id)));
    }

    /// The next ones, this many at most; none: that was the last, unless there are [segments left](Self::next_segments).
    pub(in crate::ledger) fn take(&mut self, most: usize) -> Vec<EventId> {
        let taken: Vec<EventId> = self.ready().take(most).collect();
        if let Some(&last) = taken.last() {
            self.pass(last);
        }
        taken
    }

    /// Those before which no segment has another.
    fn ready(&self) -> Box<dyn Iterator<Item = EventId> + '_> {
        let next = self.left.last();
        match self.order {
            Order::NewestFirst => {
                let bound = next.map(|segment| segment.last);
                Box::new(self.known.iter().rev().copied().take_while(move |&id| bound.is_none_or(|bound| id > bound)))
            }
            Order::OldestFirst => {
                let bound = next.map(|segment| segment.first);
                Box::new(self.known.iter().copied().take_while(move |&id| bound.is_none_or(|bound| id < bound)))
            }
        }
    }

    /// Leaves out everything up to this one.
    fn pass(&mut self, id: EventId) {
        let number = u128::from_be_bytes(*id.as_bytes());
        let id_at = |number: u128| EventId::from_bytes(number.to_be_bytes());
        match self.order {
            Order::NewestFirst => {
                drop(self.known.split_off(&id));
                match number.checked_sub(1) {
                    Some(before) => self.within.1 = self.within.1.min(id_at(before)),
                    None => self.end(),
                }
            }
            Order::OldestFirst => match number.checked_add(1) {
                Some(behind) => {
                    self.known = self.known.split_off(&id_at(behind));
                    self.within.0 = self.within.0.max(id_at(behind));
                }
                None => self.end(),
            },
        }
    }

    fn end(&mut self) {
        self.known.clear();
        self.left.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use proptest::sample::select;

    fn id(number: u8) -> EventId {
        EventId::from_bytes(u128::from(number).to_be_bytes())
    }

    proptest! {
        #[test]
        fn candidates_come_in_the_order_of_the_list_whatever_segment_has_them(
            segments in vec(btree_set(1..250_u8, 1..12), 0..8),
            in_none in btree_set(1..250_u8, 0..12),
            after in prop::option::of(0..=255_u8),
            order in select(&[Order::NewestFirst, Order::OldestFirst][..]),
            (most, wanted) in (1..4_usize, 1..9_usize),
            (first, last) in (0..100_u8, 100..=255_u8),
        ) {
            let ranges = segments.iter().zip(0..).map(|(ids, number)| SegmentRange {
                number,
                first: id(*ids.first().unwrap()),
                last: id(*ids.last().unwrap()),
            });
            let page = Page { after: after.map(id), limit: 1, order };
            let mut candidates = Candidates::new(page, (id(first), id(last)), ranges);
            candidates.add(in_none.iter().copied().map(id));
            let mut found = Vec::new();
            for _ in 0..600 {
                let next = candidates.next_segments(most, wanted);
                for segment in &next {
                    candidates.add(segments[usize::try_from(segment.number).unwrap()].iter().copied().map(id));
                }
                let taken = if next.is_empty() { candidates.take(wanted) } else { Vec::new() };
                if next.is_empty() && taken.is_empty() {
                    break;
                }
                found.extend(taken);
            }
            let mut expected: Vec<u8> = segments.iter().flatten().chain(&in_none).copied().collect();
            expected.sort_unstable();
            expected.dedup();
            expected.retain(|number| (first..=last).contains(number));
            match order {
                Order::OldestFirst => expected.retain(|&number| after.is_none_or(|after| number > after)),
                Order::NewestFirst => {
                    expected.retain(|&number| after.is_none_or(|after| number < after));
                    expected.reverse();
                }
            }
            prop_assert_eq!(found, expected.into_iter().map(id).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_frequent_is_found_without_looking_into_every_segment() {
        let range =
            |number: u8| SegmentRange { number: number.into(), first: id(10 * number), last: id(10 * number + 9) };
        let page = Page { after: None, limit: 2, order: Order::NewestFirst };
        let mut candidates = Candidates::new(page, (id(0), id(255)), (0..20).map(range));
        assert_eq!(candidates.next_segments(1, 2), [range(19)]);
        candidates.add([id(190), id(193), id(195)]);
        assert_eq!(candidates.next_segments(1, 2), []);
        assert_eq!(candidates.take(2), [id(195), id(193)]);
    }
}
