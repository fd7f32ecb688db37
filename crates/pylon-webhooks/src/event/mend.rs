//! Repairs JSON that a text template broke, when there is only one way to read it.
//!
//! Pylon fills values into a template. It is not documented whether Pylon escapes them, so a title with a line feed may
//! leave a raw control character in a string, and an empty variable outside quotes may leave a key without a value.
//! Both are repaired. An unescaped quote or a trailing comma can be read in two ways and is not.

use super::problem::Reason;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// What was repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mended {
    control_characters: bool,
    missing_values: bool,
    lone_surrogates: bool,
    huge_numbers: bool,
}

impl Mended {
    pub(crate) fn reasons(self) -> impl Iterator<Item = Reason> {
        [
            (self.control_characters, Reason::ControlCharacters),
            (self.missing_values, Reason::MissingValues),
            (self.lone_surrogates, Reason::LoneSurrogates),
            (self.huge_numbers, Reason::HugeNumbers),
        ]
        .into_iter()
        .filter_map(|(mended, reason)| mended.then_some(reason))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            control_characters: self.control_characters | other.control_characters,
            missing_values: self.missing_values | other.missing_values,
            lone_surrogates: self.lone_surrogates | other.lone_surrogates,
            huge_numbers: self.huge_numbers | other.huge_numbers,
        }
    }
}

/// The text such that every JSON reader takes it, where only the four things above stood in the way; borrowed when nothing
/// did.
pub(crate) fn mend(text: &str) -> (Cow<'_, str>, Mended) {
    let mut mender = Mender { text, copied: 0, out: String::new(), mended: Mended::default() };
    mender.values();
    let Mender { copied, mut out, mended, .. } = mender;
    if copied == 0 {
        return (Cow::Borrowed(text), mended);
    }
    out.push_str(&text[copied..]);
    (Cow::Owned(out), mended)
}

struct Mender<'a> {
    text: &'a str,
    /// How much of the text is in `out`, bytes; zero as long as nothing was mended.
    copied: usize,
    out: String,
    mended: Mended,
}

impl Mender<'_> {
    fn values(&mut self) {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at = match byte {
                b'"' => self.string(at + 1),
                b':' => self.after_colon(at + 1),
                b'-' | b'0'..=b'9' => self.number(at),
                _ => at + 1,
            };
        }
    }

    /// Reads a string from behind its opening quote; says where it ends.
    fn string(&mut self, mut at: usize) -> usize {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(at) {
            at = match byte {
                b'"' => return at + 1,
                b'\\' if bytes.get(at + 1) == Some(&b'u') => self.unicode_escape(at),
                b'\\' => at + 2,
                0..=0x1F => {
                    self.replace(at..at + 1, &format!("\\u{byte:04x}"));
                    self.mended.control_characters = true;
                    at + 1
                }
                _ => at + 1,
            };
        }
        at
    }

    /// Reads `\uXXXX`, and its second half where it is the first of a pair.
    fn unicode_escape(&mut self, at: usize) -> usize {
        match self.code_unit(at) {
            Some(0xD800..=0xDBFF) if matches!(self.code_unit(at + 6), Some(0xDC00..=0xDFFF)) => at + 12,
            Some(0xD800..=0xDFFF) => {
                self.replace(at..at + 6, "\\ufffd");
                self.mended.lone_surrogates = true;
                at + 6
            }
            _ => at + 2,
        }
    }

    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
        // `from_str_radix` takes a sign, JSON does not.
        digits
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then(|| std::str::from_utf8(digits).ok())?
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
    }

    fn after_colon(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let next = at + bytes[at..].iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        if matches!(bytes.get(next), Some(b',' | b'}')) {
            self.replace(at..at, "null");
            self.mended.missing_values = true;
        }
        next
    }

    fn number(&mut self, at: usize) -> usize {
        let length = self.text.as_bytes()[at..]
            .iter()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            .count();
        let digits = &self.text[at..at + length];
        if is_huge(digits) {
            self.replace(at..at + length, &format!("\"{digits}\""));
            self.mended.huge_numbers = true;
        }
        at + length
    }

    fn replace(&mut self, range: std::ops::Range<usize>, by: &str) {
        self.out.push_str(&self.text[self.copied..range.start]);
        self.out.push_str(by);
        self.copied = range.end;
    }
}

/// Whether this is a JSON number that the JSON reader behind us refuses for its size: that reader's own arithmetic is the
/// judge, for it refuses some numbers just short of the largest double.
fn is_huge(digits: &str) -> bool {
    const FEWEST_DIGITS: usize = 300;
    (digits.len() > FEWEST_DIGITS || digits.contains(['e', 'E']))
        && serde_json::from_str::<IgnoredAny>(digits).is_ok()
        && serde_json::from_str::<f64>(digits).is_err()
}
