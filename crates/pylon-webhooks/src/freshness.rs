//! The delivery's timestamp and the rule that says when it is fresh.

use std::fmt;

/// The most digits a timestamp may have: 19 nines still fit a `u64`.
pub(crate) const MOST_DIGITS: usize = 19;

/// A delivery's timestamp: the digits that were signed, and the Unix seconds that they mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timestamp {
    digits: [u8; MOST_DIGITS],
    length: u8,
    pub(crate) unix_seconds: u64,
}

/// A timestamp that is too far from now, by how much; in seconds.
pub(crate) enum NotFresh {
    Stale { age_seconds: u64 },
    Future { ahead_seconds: u64 },
}

impl Timestamp {
    /// Reads 1 to 19 ASCII digits, and nothing else around them.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, TimestampFault> {
        if text.is_empty() {
            return Err(TimestampFault::Empty);
        }
        if !text.is_ascii() {
            return Err(TimestampFault::NotAscii);
        }
        if !text.iter().all(u8::is_ascii_digit) {
            return Err(TimestampFault::NotDigits);
        }
        if text.len() > MOST_DIGITS {
            return Err(TimestampFault::Length(text.len()));
        }
        let unix_seconds = text.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        let mut digits = [0; MOST_DIGITS];
        digits[..text.len()].copy_from_slice(text);
        Ok(Self { digits, length: text.len() as u8, unix_seconds })
    }

    /// The digits as they came, leading zeros included.
    pub(crate) fn text(&self) -> &[u8] {
        &self.digits[..usize::from(self.length)]
    }

    /// Accepts a timestamp at most `tolerance` seconds before or after `now`; both are Unix seconds.
    pub(crate) fn check(&self, now: u64, tolerance: u64) -> Result<(), NotFresh> {
        if now.abs_diff(self.unix_seconds) <= tolerance {
            Ok(())
        } else if self.unix_seconds < now {
            Err(NotFresh::Stale { age_seconds: now - self.unix_seconds })
        } else {
            Err(NotFresh::Future { ahead_seconds: self.unix_seconds - now })
        }
    }
}

/// The kind of value that was found in place of 1 to 19 ASCII digits; never the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampFault {
    /// No characters.
    Empty,
    /// A byte outside ASCII, digits of other scripts included.
    NotAscii,
    /// Something other than digits: a sign, a space, a point, a date.
    NotDigits,
    /// This number of digits.
    Length(usize),
    /// The header occurs more than once.
    Repeated,
    /// A value of this type, not text. Only a caller in a dynamic language can pass one.
    #[doc(hidden)]
    Type(&'static str),
}

impl fmt::Display for TimestampFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty value"),
            Self::NotAscii => f.write_str("characters outside ASCII"),
            Self::NotDigits => f.write_str("characters that are not digits"),
            Self::Length(length) => write!(f, "{length} digits"),
            Self::Repeated => f.write_str("the header more than once"),
            Self::Type(name) => write!(f, "a value of type {name}"),
        }
    }
}
