//! How many attempts ended well and badly in each minute of the last hour.

use crate::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MINUTES: usize = 60;
const MINUTE: i64 = 60_000;

/// The attempts that ended in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MinuteCount {
    /// When the minute began.
    pub at: Moment,
    /// Attempts that delivered.
    pub delivered: u32,
    /// Attempts that failed.
    pub failed: u32,
}

/// Sixty counts that are used again and again, so that neither time nor traffic makes it grow.
#[derive(Debug)]
pub(super) struct Minutes([Count; MINUTES]);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    /// The minutes since 1970: another one in the same place is over.
    minute: i64,
    delivered: u32,
    failed: u32,
}

impl Default for Minutes {
    fn default() -> Self {
        Self([Count::default(); MINUTES])
    }
}

impl Minutes {
    pub(super) fn count(&mut self, at: Moment, is_delivered: bool) {
        let minute = minute_of(at);
        let count = &mut self.0[place_of(minute)];
        if count.minute != minute {
            *count = Count { minute, ..Count::default() };
        }
        let counted = if is_delivered { &mut count.delivered } else { &mut count.failed };
        *counted = counted.saturating_add(1);
    }

    /// The last sixty minutes, this one included, the oldest first; those in which nothing ended are left out.
    pub(super) fn until(&self, now: Moment) -> Vec<MinuteCount> {
        let last = minute_of(now);
        let counts = (last - (MINUTES as i64 - 1)..=last).filter_map(|minute| {
            let Count { minute: found, delivered, failed } = self.0[place_of(minute)];
            let at = Moment::from_unix_milliseconds(minute * MINUTE);
            (found == minute && delivered + failed > 0).then_some(MinuteCount { at, delivered, failed })
        });
        counts.collect()
    }
}

fn minute_of(at: Moment) -> i64 {
    at.unix_milliseconds().div_euclid(MINUTE)
}

fn place_of(minute: i64) -> usize {
    // A remainder of a positive number is smaller, and not negative.
    usize::try_from(minute.rem_euclid(MINUTES as i64)).unwrap_or_default()
}
