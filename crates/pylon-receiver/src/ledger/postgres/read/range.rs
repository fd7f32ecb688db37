//! Which part of a list a page is: from its first key to its last.

use crate::id::EventId;
use crate::ledger::{Order, Page};
use crate::time::Moment;
use uuid::Uuid;

/// Keys in their order, both ends among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range<K> {
    pub(super) first: K,
    pub(super) last: K,
}

/// What a list is sorted by.
pub(super) trait Key: Copy + Ord {
    const FIRST: Self;
    const LAST: Self;

    /// The next higher key.
    fn next(self) -> Option<Self>;

    /// The next lower key.
    fn previous(self) -> Option<Self>;
}

impl Key for u128 {
    const FIRST: Self = Self::MIN;
    const LAST: Self = Self::MAX;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

/// An event, and the number of a delivery.
impl Key for (u128, i32) {
    const FIRST: Self = (u128::MIN, i32::MIN);
    const LAST: Self = (u128::MAX, i32::MAX);

    fn next(self) -> Option<Self> {
        match self.1.checked_add(1) {
            Some(number) => Some((self.0, number)),
            None => Some((self.0.next()?, i32::MIN)),
        }
    }

    fn previous(self) -> Option<Self> {
        match self.1.checked_sub(1) {
            Some(number) => Some((self.0, number)),
            None => Some((self.0.previous()?, i32::MAX)),
        }
    }
}

/// The number of a refused request.
impl Key for i64 {
    const FIRST: Self = Self::MIN;
    const LAST: Self = Self::MAX;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

impl<K: Key> Range<K> {
    pub(super) const ALL: Self = Self { first: K::FIRST, last: K::LAST };

    /// What is in both ranges; none: nothing.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        let both = Self { first: self.first.max(other.first), last: self.last.min(other.last) };
        (both.first <= both.last).then_some(both)
    }

    /// What comes behind the key in this order; none: nothing.
    pub(super) fn behind(self, key: K, order: Order) -> Option<Self> {
        match order {
            Order::OldestFirst => self.and(Self { first: key.next()?, last: K::LAST }),
            Order::NewestFirst => self.and(Self { first: K::FIRST, last: key.previous()? }),
        }
    }

    /// What of the range is on the page, or on later ones; none: nothing.
    pub(super) fn on(self, page: Page<K>) -> Option<Self> {
        match page.after {
            Some(after) => self.behind(after, page.order),
            None => Some(self),
        }
    }
}

/// The ids of events that arrived from one moment on and before another; none: there can be no such event.
pub(super) fn arrived(since: Option<Moment>, until: Option<Moment>) -> Option<Range<u128>> {
    let first = since.map_or(u128::FIRST, |since| key_of(EventId::first_at(since)));
    let last = match until {
        Some(until) => key_of(EventId::first_at(until)).previous()?,
        None => u128::LAST,
    };
    Range::ALL.and(Range { first, last })
}

/// The id as a number: in the same order.
pub(super) fn key_of(id: EventId) -> u128 {
    u128::from_be_bytes(*id.as_bytes())
}

pub(super) fn uuid_at(key: u128) -> Uuid {
    Uuid::from_u128(key)
}

/// `ASC` or `DESC`.
pub(super) const fn direction(order: Order) -> &'static str {
    match order {
        Order::NewestFirst => "DESC",
        Order::OldestFirst => "ASC",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range<K>(first: K, last: K) -> Option<Range<K>> {
        Some(Range { first, last })
    }

    #[test]
    fn a_page_begins_behind_its_key_in_either_order() {
        let all = Range { first: 3_u128, last: 7 };
        assert_eq!(all.behind(5, Order::OldestFirst), range(6, 7));
        assert_eq!(all.behind(5, Order::NewestFirst), range(3, 4));
        assert_eq!(all.behind(1, Order::OldestFirst), range(3, 7), "a key before the range");
        assert_eq!(all.behind(7, Order::OldestFirst), None);
        assert_eq!(all.behind(3, Order::NewestFirst), None);
        assert_eq!(Range::<u128>::ALL.behind(u128::MAX, Order::OldestFirst), None);
        assert_eq!(Range::<u128>::ALL.behind(0, Order::NewestFirst), None);
    }

    #[test]
    fn behind_the_last_number_of_an_event_comes_the_next_event() {
        let all = Range::<(u128, i32)>::ALL;
        assert_eq!(all.behind((4, 2), Order::OldestFirst), range((4, 3), (u128::MAX, i32::MAX)));
        assert_eq!(all.behind((4, i32::MAX), Order::OldestFirst), range((5, i32::MIN), (u128::MAX, i32::MAX)));
        assert_eq!(all.behind((4, i32::MIN), Order::NewestFirst), range((0, i32::MIN), (3, i32::MAX)));
        assert_eq!(all.behind((u128::MAX, i32::MAX), Order::OldestFirst), None);
        assert_eq!(all.behind((0, i32::MIN), Order::NewestFirst), None);
    }

    #[test]
    fn nothing_arrived_before_the_first_moment_or_between_two_that_are_the_wrong_way_round() {
        let at = |milliseconds| Some(Moment::from_unix_milliseconds(milliseconds));
        let first = |milliseconds| key_of(EventId::first_at(Moment::from_unix_milliseconds(milliseconds)));
        assert_eq!(arrived(None, None), Some(Range::ALL));
        assert_eq!(arrived(at(5), at(9)), range(first(5), first(9) - 1));
        assert_eq!(arrived(at(9), at(5)), None);
        assert_eq!(arrived(at(5), at(5)), None);
    }
}
