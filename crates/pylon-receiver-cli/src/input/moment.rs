//! Times on the command line.

use pylon_receiver::text::parse_duration;
use pylon_receiver::{Moment, SystemWallClock, WallClock};

/// Reads `2026-11-23T08:00:00Z`, `2026-11-23` (midnight UTC), or how long ago: `2h`, `3d`.
pub(crate) fn parse_moment(text: &str) -> Result<Moment, String> {
    parse_moment_at(text, SystemWallClock.now())
}

fn parse_moment_at(text: &str, now: Moment) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    if text.parse::<jiff::civil::Date>().is_ok()
        && let Ok(moment) = format!("{text}T00:00:00Z").parse()
    {
        return Ok(moment);
    }
    let ago = text.strip_suffix("ago").unwrap_or(text).trim();
    parse_duration(ago)
        .map(|duration| now.before(duration))
        .map_err(|_| "expected a time such as 2026-11-23T08:00:00Z, a date, or how long ago such as 2h or 3d".into())
}
