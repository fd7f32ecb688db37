//! Which segments become one: sixteen of one level make one of the next, as long as it is not too large. So there are few, and each event
//! is written only a few times.

use super::segment::Segment;

/// So many of one level are merged.
const TOGETHER: usize = 16;

/// A segment as it stands in a list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) struct Listed {
    pub(in crate::ledger) number: i64,
    pub(in crate::ledger) level: i16,
    pub(in crate::ledger) events: usize,
}

/// The segments to merge, and the level of what they become; none: nothing is to be merged. The oldest of the lowest level come first.
pub(in crate::ledger) fn to_merge(segments: &[Listed]) -> Option<(Vec<i64>, i16)> {
    let mut sorted: Vec<&Listed> = segments.iter().collect();
    sorted.sort_unstable_by_key(|segment| (segment.level, segment.number));
    sorted.chunk_by(|one, other| one.level == other.level).find_map(|of_level| {
        let fit = |some: &&[&Listed]| some.iter().map(|segment| segment.events).sum::<usize>() <= Segment::MOST_EVENTS;
        let together = of_level.windows(TOGETHER).find(fit)?;
        Some((together.iter().map(|segment| segment.number).collect(), together[0].level.saturating_add(1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: i64, level: i16, events: usize) -> Vec<Listed> {
        (0..count).map(|number| Listed { number: 100 * i64::from(level) + number, level, events }).collect()
    }

    #[test]
    fn sixteen_of_a_level_become_one_of_the_next() {
        assert_eq!(to_merge(&[]), None);
        assert_eq!(to_merge(&some(15, 0, 1024)), None);
        assert_eq!(to_merge(&some(17, 0, 1024)), Some(((0..16).collect(), 1)));
        let both = [some(3, 0, 8), some(16, 1, 128)].concat();
        assert_eq!(to_merge(&both), Some(((100..116).collect(), 2)));
    }

    #[test]
    fn what_would_become_too_large_stays() {
        assert_eq!(to_merge(&some(40, 1, 16_384)), None);
        let mut mixed = some(20, 0, 100);
        mixed[1].events = Segment::MOST_EVENTS;
        assert_eq!(to_merge(&mixed), Some(((2..18).collect(), 1)), "those beside it are merged");
    }

    #[test]
    fn however_many_events_come_there_are_few_segments() {
        let (mut segments, mut next, mut written) = (Vec::new(), 0, 0);
        for _ in 0..1000 {
            segments.push(Listed { number: next, level: 0, events: 1024 });
            (next, written) = (next + 1, written + 1024);
            while let Some((numbers, level)) = to_merge(&segments) {
                let (gone, left): (Vec<_>, Vec<_>) =
                    segments.into_iter().partition(|one| numbers.contains(&one.number));
                let events = gone.iter().map(|segment| segment.events).sum();
                (segments, written) = (left, written + events);
                segments.push(Listed { number: next, level, events });
                next += 1;
            }
        }
        assert!(segments.len() < 80, "{}", segments.len());
        assert!(written <= 2 * 1000 * 1024, "{written}");
    }
}
