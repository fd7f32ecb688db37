//! Durations and sizes as people write them.

use super::name::quoted;
use std::time::Duration;

/// The longest duration that [`parse_duration`] reads, 36,500 days: added to the present, it overflows no clock.
pub const LONGEST_DURATION: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// Units of durations in milliseconds, the longest first.
const DURATIONS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of sizes in bytes, the largest first.
const SIZES: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Reads a duration: whole numbers with the units `d`, `h`, `m`, `s` and `ms`, each at most once, the longest first.
///
/// ```
/// use pylon_receiver::text::parse_duration;
/// use std::time::Duration;
///
/// assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
/// ```
///
/// # Errors
/// A sentence with what was expected and what was found.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let malformed =
        || format!("expected a duration such as `30s` or `1h30m`, found {}; units are d, h, m, s and ms", quoted(text));
    let too_long = || format!("expected a duration of at most 36500d, found {}", quoted(text));
    if text.is_empty() {
        return Err(malformed());
    }
    let (mut rest, mut units, mut total) = (text, DURATIONS.as_slice(), Duration::ZERO);
    while !rest.is_empty() {
        let (digits, after) = split_where(rest, |byte| !byte.is_ascii_digit());
        let (unit, after) = split_where(after, |byte| byte.is_ascii_digit());
        let place = units.iter().position(|&(name, _)| name == unit).ok_or_else(malformed)?;
        if digits.is_empty() {
            return Err(malformed());
        }
        // Digits that do not fit into 64 bits can only mean too long.
        let count: u64 = digits.parse().map_err(|_| too_long())?;
        let part = count.checked_mul(units[place].1).ok_or_else(too_long)?;
        total = total.saturating_add(Duration::from_millis(part));
        units = &units[place + 1..];
        rest = after;
    }
    if total > LONGEST_DURATION { Err(too_long()) } else { Ok(total) }
}

/// Writes a duration, to the millisecond, so that [`parse_duration`] reads it.
///
/// ```
/// use pylon_receiver::text::show_duration;
/// use std::time::Duration;
///
/// assert_eq!(show_duration(Duration::from_millis(90_250)), "1m30s250ms");
/// ```
pub fn show_duration(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit, milliseconds) in DURATIONS {
        let count = rest / u128::from(milliseconds);
        rest %= u128::from(milliseconds);
        if count > 0 {
            text += &format!("{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads a size: a whole number of bytes, or of `KiB`, `MiB` or `GiB`; digits may be grouped by `_`.
///
/// ```
/// use pylon_receiver::text::parse_bytes;
///
/// assert_eq!(parse_bytes("200KiB"), Ok(204_800));
/// assert_eq!(parse_bytes("200_000"), Ok(200_000));
/// ```
///
/// # Errors
/// A sentence with what was expected and what was found.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let malformed =
        || format!("expected a size such as `1MiB` or `200_000`, found {}; units are KiB, MiB and GiB", quoted(text));
    let too_large = || format!("expected a size that fits into memory, found {}", quoted(text));
    let (number, unit) = split_where(text, |byte| !byte.is_ascii_digit() && byte != b'_');
    let factor = match unit {
        "" => 1,
        _ => SIZES.iter().find(|&&(name, _)| name == unit).ok_or_else(malformed)?.1,
    };
    if number.split('_').any(str::is_empty) {
        return Err(malformed());
    }
    let count: usize = number.replace('_', "").parse().map_err(|_| too_large())?;
    count.checked_mul(factor).ok_or_else(too_large)
}

/// Writes a size in the largest unit that fits exactly, so that [`parse_bytes`] reads it.
///
/// ```
/// use pylon_receiver::text::show_bytes;
///
/// assert_eq!(show_bytes(1 << 20), "1MiB");
/// assert_eq!(show_bytes(200_000), "200000");
/// ```
pub fn show_bytes(bytes: usize) -> String {
    match SIZES.iter().find(|&&(_, factor)| bytes > 0 && bytes.is_multiple_of(factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

fn split_where(text: &str, is_end: impl Fn(u8) -> bool) -> (&str, &str) {
    // The end is beside an ASCII character, so it is a character's border.
    text.split_at(text.bytes().position(is_end).unwrap_or(text.len()))
}
