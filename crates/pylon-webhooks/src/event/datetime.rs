//! Points in time, read from RFC 3339 text.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: Unix seconds and nanoseconds.
///
/// ```
/// use pylon_webhooks::DateTime;
///
/// let time = DateTime::parse("2025-03-04T06:06:07.25+01:00").expect("RFC 3339");
/// assert_eq!((time.unix_seconds(), time.nanoseconds()), (1_741_064_767, 250_000_000));
/// assert_eq!(time.to_string(), "2025-03-04T05:06:07.25Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateTime(jiff::Timestamp);

impl DateTime {
    /// Reads RFC 3339 text of the years 1 to 9999: a date, a time with up to nine fractional digits, and a zone.
    pub fn parse(text: &str) -> Option<Self> {
        let timestamp: jiff::Timestamp = is_rfc3339(text).then(|| text.parse().ok())??;
        // Year 0 and what an offset moves before year 1 have no place in a calendar that begins with 1.
        (timestamp >= FIRST).then_some(Self(timestamp))
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, negative before it.
    pub fn unix_seconds(self) -> i64 {
        self.0.as_nanosecond().div_euclid(1_000_000_000) as i64
    }

    /// Nanoseconds after [`unix_seconds`](Self::unix_seconds), 0 to 999,999,999.
    pub fn nanoseconds(self) -> u32 {
        self.0.as_nanosecond().rem_euclid(1_000_000_000) as u32
    }

    /// Year, month, day, hour, minute and second in UTC.
    pub fn utc_parts(self) -> (i16, i8, i8, i8, i8, i8) {
        let utc = jiff::tz::Offset::UTC.to_datetime(self.0);
        (utc.year(), utc.month(), utc.day(), utc.hour(), utc.minute(), utc.second())
    }

    /// Whether this is 0001-01-01T00:00:00Z, which Go programs send for "no time".
    pub(crate) fn is_zero(self) -> bool {
        self.0 == FIRST
    }
}

/// 0001-01-01T00:00:00Z.
const FIRST: jiff::Timestamp = jiff::Timestamp::constant(-62_135_596_800, 0);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<DateTime> for SystemTime {
    fn from(time: DateTime) -> Self {
        let nanoseconds = Duration::from_nanos(time.nanoseconds().into());
        let seconds = Duration::from_secs(time.unix_seconds().unsigned_abs());
        if time.unix_seconds() < 0 { UNIX_EPOCH - seconds + nanoseconds } else { UNIX_EPOCH + seconds + nanoseconds }
    }
}

/// The form of RFC 3339. The parser that is used next accepts more of ISO 8601: week dates, short forms, annotations.
fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let outline = b"dddd-dd-ddTdd:dd:dd";
    let fits = bytes.len() > outline.len()
        && outline.iter().zip(bytes).all(|(due, byte)| match due {
            b'd' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't' | b' '),
            _ => byte == due,
        });
    fits && is_zone(without_fraction(&bytes[outline.len()..]))
}

fn without_fraction(rest: &[u8]) -> &[u8] {
    match rest {
        [b'.', digits @ ..] => {
            let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if (1..=9).contains(&length) { &digits[length..] } else { &[] }
        }
        _ => rest,
    }
}

fn is_zone(zone: &[u8]) -> bool {
    match zone {
        [b'Z' | b'z'] => true,
        // Hours up to 23: the parser that is used next accepts more.
        [b'+' | b'-', b'0'..=b'1', h, b':', m, n] | [b'+' | b'-', b'2', h @ b'0'..=b'3', b':', m, n] => {
            [h, m, n].into_iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}
