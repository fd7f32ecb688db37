//! A part of the index of terms: some thousand events, and which of them has which term.
//!
//! An entry in an index for each term of each event would write to a page of its own for each: terms come in no order. So events are
//! recorded without an index, a chore takes many of them together, sorts their terms, and writes them one behind the other. A search looks
//! once into each segment, and reads the bodies of the latest events, which are in none yet.

use crate::id::EventId;
use std::collections::HashSet;
use std::fmt;

/// Once a block has this many bytes, the next hash begins another one. A row of SQLite with such a block fits on a quarter of a page, as
/// rows of its indexes must, or they take a page of their own.
const BLOCK: usize = 940;
/// A hash and the number of its events.
const HEAD: usize = 10;

/// An event, and the hashes of its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ledger) struct Indexed {
    pub(in crate::ledger) id: EventId,
    pub(in crate::ledger) hashes: Vec<i64>,
}

/// Events in the order of their ids, and the hashes of their terms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::ledger) struct Segment {
    ids: Vec<EventId>,
    /// Sorted: a hash, and the place of an event that has it.
    entries: Vec<(i64, u16)>,
}

/// Entries that stand together: all of each hash, from this one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ledger) struct Block {
    pub(in crate::ledger) first_hash: i64,
    pub(in crate::ledger) entries: Vec<u8>,
}

/// What is stored is no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) struct SegmentFault;

impl fmt::Display for SegmentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a part of the index of terms, found other bytes")
    }
}

impl std::error::Error for SegmentFault {}

impl Segment {
    /// Events of one segment at most: a place among them has two bytes.
    pub(in crate::ledger) const MOST_EVENTS: usize = 0xFFFF;

    /// The segment of these events: the first [`MOST_EVENTS`](Self::MOST_EVENTS) of them.
    pub(in crate::ledger) fn of(mut events: Vec<Indexed>) -> Self {
        events.sort_unstable_by_key(|event| event.id);
        events.dedup_by_key(|event| event.id);
        events.truncate(Self::MOST_EVENTS);
        let ids = events.iter().map(|event| event.id).collect();
        let entry =
            |(place, event): (u16, &Indexed)| event.hashes.iter().map(move |&hash| (hash, place)).collect::<Vec<_>>();
        let mut entries: Vec<(i64, u16)> = (0..).zip(&events).flat_map(entry).collect();
        entries.sort_unstable();
        entries.dedup();
        Self { ids, entries }
    }

    /// One segment of several, without the events that are gone.
    pub(in crate::ledger) fn merged(parts: Vec<Self>, mut is_kept: impl FnMut(EventId) -> bool) -> Self {
        let mut events: Vec<Indexed> = Vec::new();
        for Self { ids, entries } in parts {
            let first = events.len();
            events.extend(ids.into_iter().map(|id| Indexed { id, hashes: Vec::new() }));
            for (hash, place) in entries {
                if let Some(event) = events.get_mut(first + usize::from(place)) {
                    event.hashes.push(hash);
                }
            }
        }
        let mut seen = HashSet::new();
        events.retain(|event| is_kept(event.id) && seen.insert(event.id));
        Self::of(events)
    }

    /// The segment that is stored like this.
    pub(in crate::ledger) fn from_stored<'b>(
        ids: &[u8],
        blocks: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<Self, SegmentFault> {
        let ids = ids_of(ids)?;
        let mut entries = Vec::new();
        for block in blocks {
            for entry in entries_of(block) {
                let (hash, places) = entry?;
                entries.extend(places.map(|place| (hash, place)));
            }
        }
        Ok(Self { ids, entries })
    }

    /// The number of events.
    pub(in crate::ledger) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The first and the last event; none: there is none.
    pub(in crate::ledger) fn ends(&self) -> Option<(EventId, EventId)> {
        Some((*self.ids.first()?, *self.ids.last()?))
    }

    /// The ids one behind the other.
    pub(in crate::ledger) fn ids(&self) -> Vec<u8> {
        self.ids.iter().flat_map(|id| *id.as_bytes()).collect()
    }

    /// The entries, in blocks that are sorted by their first hash.
    pub(in crate::ledger) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for entries in self.entries.chunk_by(|one, other| one.0 == other.0) {
            let Some(&(hash, _)) = entries.first() else { continue };
            let length = HEAD + 2 * entries.len();
            let block = match blocks.pop_if(|last| last.entries.len() + length <= BLOCK) {
                Some(block) => block,
                None => Block { first_hash: hash, entries: Vec::with_capacity(BLOCK) },
            };
            blocks.push(block);
            let Some(Block { entries: bytes, .. }) = blocks.last_mut() else { continue };
            bytes.extend(hash.to_be_bytes());
            // There are no more places than this counts.
            bytes.extend((entries.len() as u16).to_be_bytes());
            bytes.extend(entries.iter().flat_map(|(_, place)| place.to_be_bytes()));
        }
        blocks
    }
}

/// The events of a hash, by the block that would have it: their places among the ids.
pub(in crate::ledger) fn places_of(block: &[u8], hash: i64) -> Result<Vec<u16>, SegmentFault> {
    for entry in entries_of(block) {
        let (found, places) = entry?;
        if found == hash {
            return Ok(places.collect());
        }
    }
    Ok(Vec::new())
}

/// The events at these places among the ids of a segment.
pub(in crate::ledger) fn ids_at(ids: &[u8], places: &[u16]) -> Result<Vec<EventId>, SegmentFault> {
    let (ids, _) = ids.as_chunks::<16>();
    let id_at = |&place: &u16| ids.get(usize::from(place)).copied().map(EventId::from_bytes).ok_or(SegmentFault);
    places.iter().map(id_at).collect()
}

fn ids_of(bytes: &[u8]) -> Result<Vec<EventId>, SegmentFault> {
    let (ids, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() || ids.len() > Segment::MOST_EVENTS {
        return Err(SegmentFault);
    }
    Ok(ids.iter().copied().map(EventId::from_bytes).collect())
}

type Entry<'b, P> = Result<(i64, P), SegmentFault>;

fn entries_of(mut block: &[u8]) -> impl Iterator<Item = Entry<'_, impl Iterator<Item = u16> + '_>> {
    std::iter::from_fn(move || {
        if block.is_empty() {
            return None;
        }
        let read = split(block);
        block = read.map_or(&[][..], |(_, _, rest)| rest);
        Some(
            read.ok_or(SegmentFault)
                .map(|(hash, places, _)| (hash, places.iter().map(|&place| u16::from_be_bytes(place)))),
        )
    })
}

/// The first hash of a block, its places, and what comes behind them.
type Parts<'b> = (i64, &'b [[u8; 2]], &'b [u8]);

fn split(block: &[u8]) -> Option<Parts<'_>> {
    let (hash, rest) = block.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let (places, rest) = rest.split_at_checked(2 * usize::from(u16::from_be_bytes(*count)))?;
    Some((i64::from_be_bytes(*hash), places.as_chunks::<2>().0, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Moment;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn id(number: u16) -> EventId {
        EventId::new(Moment::from_unix_milliseconds(i64::from(number)), [0; 10])
    }

    fn stored(segment: &Segment) -> Segment {
        let blocks = segment.blocks();
        assert!(blocks.is_sorted_by(|one, other| one.first_hash < other.first_hash));
        Segment::from_stored(&segment.ids(), blocks.iter().map(|block| &*block.entries)).unwrap()
    }

    /// The events of a hash, looked up as a search does.
    fn found(segment: &Segment, hash: i64) -> Vec<EventId> {
        let blocks = segment.blocks();
        let Some(block) = blocks.iter().rev().find(|block| block.first_hash <= hash) else { return Vec::new() };
        ids_at(&segment.ids(), &places_of(&block.entries, hash).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn each_event_is_found_by_each_of_its_terms_and_by_no_other(
            events in vec((any::<u16>(), vec(-40..40_i64, 0..6)), 0..300),
            cut in 0..4_usize,
        ) {
            let mut seen = HashSet::new();
            let events: Vec<_> = events.into_iter().filter(|(number, _)| seen.insert(*number)).collect();
            let indexed = |&(number, ref hashes): &(u16, Vec<i64>)| Indexed { id: id(number), hashes: hashes.clone() };
            let parts = events.chunks(1 + events.len() / (cut + 1)).map(|part| Segment::of(part.iter().map(indexed).collect()));
            let segment = stored(&Segment::merged(parts.collect(), |_| true));
            prop_assert_eq!(&segment, &Segment::of(events.iter().map(indexed).collect()));
            for hash in -41..41 {
                let mut expected: Vec<_> =
                    events.iter().filter(|(_, hashes)| hashes.contains(&hash)).map(|&(number, _)| id(number)).collect();
                expected.sort_unstable();
                prop_assert_eq!(found(&segment, hash), expected);
            }
        }

        #[test]
        fn other_bytes_are_no_segment_and_harm_nobody(bytes in vec(any::<u8>(), 0..64), hash in any::<i64>()) {
            let _ = Segment::from_stored(&bytes, [&*bytes]);
            let _ = places_of(&bytes, hash);
            let _ = ids_at(&bytes, &[0, 9]);
        }
    }

    #[test]
    fn a_hash_that_most_events_have_stays_in_one_block() {
        let events =
            (0..5000).map(|number| Indexed { id: id(number), hashes: vec![7, i64::from(number) + 100] }).collect();
        let segment = Segment::of(events);
        assert_eq!(found(&segment, 7).len(), 5000);
        assert_eq!(found(&segment, 100 + 4321), [id(4321)]);
        let longest = segment.blocks().iter().skip(1).map(|block| block.entries.len()).max();
        assert!(longest <= Some(BLOCK), "{longest:?}");
    }

    #[test]
    fn what_is_gone_is_left_out_of_a_merged_segment() {
        let part = |number| Segment::of(vec![Indexed { id: id(number), hashes: vec![1] }]);
        let merged = Segment::merged(vec![part(1), part(2), part(2), part(3)], |event| event != id(3));
        assert_eq!(found(&merged, 1), [id(1), id(2)]);
        assert_eq!(merged.ends(), Some((id(1), id(2))));
    }
}
