//! Finds the values of a JSON text in one pass that checks grammar (RFC 8259) and depth and decodes nothing.
//!
//! serde_json's `RawValue` finds the same values in more time; tests and the fuzzer compare the two. The place of a
//! fault comes from serde_json.

use super::text::decode_string;
use std::ops::Range;

/// A part of a text, in bytes.
pub(crate) type Span = Range<usize>;

/// A key and its value, each as it stands in the text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Without its quotes.
    key: Span,
    /// The key where it has escapes, decoded once: it is asked for often.
    decoded_key: Option<Box<str>>,
    pub(crate) value: Span,
}

impl Member {
    /// The key, decoded.
    pub(crate) fn key<'m>(&'m self, text: &'m str) -> &'m str {
        match &self.decoded_key {
            Some(key) => key,
            None => &text[self.key.clone()],
        }
    }

    /// The key as it stands in the text, quotes included.
    pub(crate) fn raw_key<'t>(&self, text: &'t str) -> &'t str {
        &text[self.key.start - 1..self.key.end + 1]
    }
}

/// Why a text is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanFault {
    Grammar,
    TooDeep,
}

/// How deep the scanner can see: it keeps one bit for each array or object that is open.
pub(crate) const DEEPEST: usize = 127;

/// The members of the one object that the part holds, depth counted from it.
pub(crate) fn members(text: &str, part: Span, depth_limit: usize) -> Result<Vec<Member>, ScanFault> {
    let mut scanner = Scanner::new(text, part, depth_limit);
    // Our templates have up to 18 keys, and 20 members still come from the allocator's quick lists (glibc: up to 1,032 bytes).
    let mut members = Vec::with_capacity(20);
    scanner.items(b'{', |scanner| {
        let (key, key_has_escapes) = scanner.key()?;
        let value = scanner.span_of_value()?;
        let raw_key = &text[key.start - 1..key.end + 1];
        let decoded_key = key_has_escapes.then(|| decode_string(raw_key).unwrap_or_default().into());
        members.push(Member { key, decoded_key, value });
        Ok(())
    })?;
    scanner.end()?;
    Ok(members)
}

/// The elements of the one array that the part holds.
pub(crate) fn elements(text: &str, part: Span, depth_limit: usize) -> Result<Vec<Span>, ScanFault> {
    let mut scanner = Scanner::new(text, part, depth_limit);
    let mut elements = Vec::new();
    scanner.items(b'[', |scanner| {
        elements.push(scanner.span_of_value()?);
        Ok(())
    })?;
    scanner.end()?;
    Ok(elements)
}

/// Checks that the text is one JSON value.
pub(crate) fn check(text: &str, depth_limit: usize) -> Result<(), ScanFault> {
    let mut scanner = Scanner::new(text, 0..text.len(), depth_limit);
    scanner.skip_space();
    scanner.value()?;
    scanner.end()
}

/// A place in a text that moves on.
pub(super) struct Scanner<'t> {
    /// The text up to the end of the part.
    bytes: &'t [u8],
    at: usize,
    /// How many arrays and objects may be open within the present one.
    depth_left: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str, part: Span, depth_limit: usize) -> Self {
        Self { bytes: &text.as_bytes()[..part.end], at: part.start, depth_left: depth_limit.min(DEEPEST) }
    }

    /// The next byte that is not white space; the scanner stands at it.
    pub(super) fn next(&mut self) -> Option<u8> {
        let at = self.skip_space();
        self.bytes.get(at).copied()
    }

    fn skip_space(&mut self) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.at
    }

    /// Checks that nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), ScanFault> {
        if self.next().is_none() { Ok(()) } else { Err(ScanFault::Grammar) }
    }

    /// The items of the array or object that begins here with this bracket; the scanner stands behind it afterwards.
    pub(super) fn items(
        &mut self,
        opening: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), ScanFault>,
    ) -> Result<(), ScanFault> {
        if self.next() != Some(opening) {
            return Err(ScanFault::Grammar);
        }
        self.at += 1;
        self.depth_left = self.depth_left.checked_sub(1).ok_or(ScanFault::TooDeep)?;
        let closing = closing(opening);
        if self.next() == Some(closing) {
            self.at += 1;
        } else {
            loop {
                item(self)?;
                match self.next() {
                    Some(b',') => self.at += 1,
                    Some(found) if found == closing => break self.at += 1,
                    _ => return Err(ScanFault::Grammar),
                }
            }
        }
        self.depth_left += 1;
        Ok(())
    }

    /// The next value, whatever it holds.
    pub(super) fn span_of_value(&mut self) -> Result<Span, ScanFault> {
        let start = self.skip_space();
        self.value()?;
        Ok(start..self.at)
    }

    /// A key, without its quotes, and the colon behind it; says whether it has escapes.
    pub(super) fn key(&mut self) -> Result<(Span, bool), ScanFault> {
        if self.next() != Some(b'"') {
            return Err(ScanFault::Grammar);
        }
        let start = self.at + 1;
        let has_escapes = self.string()?;
        let key = start..self.at - 1;
        if self.next() != Some(b':') {
            return Err(ScanFault::Grammar);
        }
        self.at += 1;
        Ok((key, has_escapes))
    }

    /// One value, whatever it holds; the scanner stands at its first byte before and behind its last one afterwards.
    fn value(&mut self) -> Result<(), ScanFault> {
        // The arrays and objects that are open, innermost last: 1 for an object, above a leading 1.
        let mut open: u128 = 1;
        let mut depth_left = self.depth_left;
        loop {
            match self.next() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    depth_left = depth_left.checked_sub(1).ok_or(ScanFault::TooDeep)?;
                    self.at += 1;
                    if self.next() == Some(closing(bracket)) {
                        self.at += 1;
                        depth_left += 1;
                    } else {
                        let is_object = bracket == b'{';
                        open = open << 1 | u128::from(is_object);
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return Err(ScanFault::Grammar),
            }
            while open > 1 {
                let is_object = open & 1 == 1;
                match self.next() {
                    Some(b',') => {
                        self.at += 1;
                        if is_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(bracket @ (b'}' | b']')) if is_object == (bracket == b'}') => {
                        self.at += 1;
                        depth_left += 1;
                        open >>= 1;
                    }
                    _ => return Err(ScanFault::Grammar),
                }
            }
            if open == 1 {
                return Ok(());
            }
        }
    }

    /// A string from its opening quote to behind its closing one; says whether it has escapes.
    fn string(&mut self) -> Result<bool, ScanFault> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            self.at = skip_plain(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    match self.bytes.get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                        Some(b'u') if self.has_hex_digits(self.at + 2) => self.at += 6,
                        _ => return Err(ScanFault::Grammar),
                    }
                }
                _ => return Err(ScanFault::Grammar),
            }
        }
    }

    fn has_hex_digits(&self, at: usize) -> bool {
        self.bytes.get(at..at + 4).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    }

    fn number(&mut self) -> Result<(), ScanFault> {
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        let whole = self.at;
        let digits = self.digits()?;
        if digits > 1 && self.bytes[whole] == b'0' {
            return Err(ScanFault::Grammar);
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more; how many.
    fn digits(&mut self) -> Result<usize, ScanFault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        if self.at > start { Ok(self.at - start) } else { Err(ScanFault::Grammar) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ScanFault> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(ScanFault::Grammar);
        }
        self.at += word.len();
        Ok(())
    }
}

/// The closing bracket of either kind stands two places behind the opening one in ASCII.
const fn closing(opening: u8) -> u8 {
    opening + 2
}

/// The place of the first quote, backslash or control character from here on, or the end.
fn skip_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        let found = special_bytes(word);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}

/// The high bit of each byte that is a quote, a backslash or a control character. Bytes behind the first such one may be
/// marked wrongly, because a borrow runs upwards; only the first is used.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | zero_bytes(word ^ (ONES * b'"' as u64)) | zero_bytes(word ^ (ONES * b'\\' as u64))) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    /// Texts near enough to JSON that both verdicts come up.
    fn near_json() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\"\\n\"",
            "\"\\u00e9\"",
            "\"\\u12\"",
            "\"\\x\"",
            "\\",
            " ",
            "\n",
            "0",
            "01",
            "-",
            "-1",
            "1.5",
            "1.",
            ".5",
            "1e9",
            "1e",
            "1E+2",
            "true",
            "false",
            "null",
            "nul",
            "\u{1}",
            "é",
            "{}",
            "[]",
            "\"k\":1",
            "\"a long text without anything special in it\"",
            "\"a long text with \\\" in it\"",
        ]);
        prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn the_scanner_takes_what_serde_json_takes(text in near_json()) {
            let expected = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(check(&text, DEEPEST).is_ok(), expected, "{}", text);
            let is_object = text.trim_start().starts_with('{');
            prop_assert_eq!(members(&text, 0..text.len(), DEEPEST).is_ok(), expected && is_object, "{}", text);
            let is_array = text.trim_start().starts_with('[');
            prop_assert_eq!(elements(&text, 0..text.len(), DEEPEST).is_ok(), expected && is_array, "{}", text);
        }

        #[test]
        fn the_first_special_byte_is_found_wherever_it_stands(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(bytes.len());
            prop_assert_eq!(skip_plain(&bytes, 0), expected);
        }
    }

    #[test]
    fn depth_counts_from_the_outermost_bracket() {
        for (text, depth) in
            [("1", 0), ("[]", 1), ("{}", 1), ("[[]]", 2), (r#"{"a":[{}],"b":{}}"#, 3), ("[[],[[]]]", 3)]
        {
            assert_eq!(check(text, depth), Ok(()), "{text}");
            if depth > 0 {
                assert_eq!(check(text, depth - 1), Err(ScanFault::TooDeep), "{text}");
            }
        }
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(&deep(DEEPEST), usize::MAX), Ok(()));
        assert_eq!(check(&deep(DEEPEST + 1), usize::MAX), Err(ScanFault::TooDeep));
    }
}
