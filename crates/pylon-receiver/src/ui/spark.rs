//! The last hour of a destination as a small picture, and as a sentence for those who do not see it.

use crate::time::Moment;
use crate::wire::MinuteCount;
use std::time::Duration;

/// Minutes in the picture.
const MINUTES: u64 = 60;
/// The height of the picture, in its own units.
const HEIGHT: u64 = 24;

/// Attempts in each minute of the last hour.
pub(super) struct Spark {
    pub(super) bars: Vec<Bar>,
    pub(super) sentence: String,
}

/// What ended in a minute: what failed stands on top of what was delivered. In units of the picture.
pub(super) struct Bar {
    pub(super) left: u64,
    pub(super) delivered: Part,
    pub(super) failed: Part,
}

/// A part of a bar.
pub(super) struct Part {
    pub(super) top: u64,
    pub(super) height: u64,
}

impl Spark {
    pub(super) fn of(minutes: &[MinuteCount], now: Moment) -> Self {
        let most = minutes.iter().map(|minute| u64::from(minute.delivered) + u64::from(minute.failed)).max();
        let most = most.unwrap_or_default().max(1);
        let bar = |minute: &MinuteCount| {
            let delivered = height(minute.delivered, most);
            let failed = height(minute.failed, most).min(HEIGHT - delivered.min(HEIGHT - 1));
            // Both are seen, also where one is rare.
            let delivered = delivered.min(HEIGHT - failed);
            let ago = now.since(minute.at).as_secs() / 60;
            let left = (MINUTES - 1).saturating_sub(ago) * 2;
            Bar {
                left,
                delivered: Part { top: HEIGHT - delivered, height: delivered },
                failed: Part { top: HEIGHT - delivered - failed, height: failed },
            }
        };
        Self { bars: minutes.iter().map(bar).collect(), sentence: sentence(minutes) }
    }
}

/// Rounded up: what happened is seen.
fn height(count: u32, most: u64) -> u64 {
    (u64::from(count) * HEIGHT).div_ceil(most)
}

fn sentence(minutes: &[MinuteCount]) -> String {
    let sum = |count: fn(&MinuteCount) -> u32| minutes.iter().map(|minute| u64::from(count(minute))).sum::<u64>();
    let (delivered, failed) = (sum(|minute| minute.delivered), sum(|minute| minute.failed));
    match delivered + failed {
        0 => "no attempt in the last hour".to_owned(),
        _ => format!("in the last hour {delivered} attempts delivered and {failed} failed"),
    }
}

/// Attempts that ended in the last five minutes: delivered, failed.
pub(super) fn lately(minutes: &[MinuteCount], now: Moment) -> (u64, u64) {
    let since = now.before(Duration::from_secs(5 * 60));
    let lately = minutes.iter().filter(|minute| minute.at > since);
    lately.fold((0, 0), |(delivered, failed), minute| {
        (delivered + u64::from(minute.delivered), failed + u64::from(minute.failed))
    })
}
