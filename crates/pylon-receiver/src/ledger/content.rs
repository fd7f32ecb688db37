//! What lists show of a body, and what searches find in it.

use pylon_webhooks::{EventKind, WebhookEvent};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// Longer ids and numbers (over 100 bytes) are nobody's.
const LONGEST_ID: usize = 100;
/// How much of a title a list shows, in characters.
const LONGEST_TITLE: usize = 200;

/// The issue that an event is about, as far as its body says. Customers write the title: escape it before you show it.
///
/// ```
/// use pylon_receiver::ledger::IssueSummary;
///
/// let body = br#"{"event_type": "issue_new", "issue_number": 1042, "issue_title": "Export fails"}"#;
/// let issue = IssueSummary::of(body, "issue_new", Some("issue_new")).expect("the body names one");
/// assert_eq!((issue.number.as_deref(), issue.title.as_deref()), (Some("1042"), Some("Export fails")));
/// assert!(issue.is_called("#1042"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct IssueSummary {
    /// Its id in Pylon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its number, as people see it, without a `#`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The beginning of its title: at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl IssueSummary {
    /// Reads the body of an event of this name and kind; none when it is no JSON or names no issue.
    pub fn of(body: &[u8], name: &str, kind: Option<&str>) -> Option<Self> {
        // Cheap to tell: only an object has fields.
        let start = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
        if !start.starts_with(b"{") {
            return None;
        }
        let event = WebhookEvent::from_stored(body, name, kind.and_then(EventKind::from_name)).ok()?;
        let text = |field| Some(event.text(field)).filter(|text| !text.trim().is_empty() && !text.contains("{{"));
        let id_in = |text: &str| (text.len() <= LONGEST_ID).then(|| text.trim().to_owned());
        let id = text("issue_id").and_then(|id| id_in(&id));
        let number = text("issue_number").and_then(|number| id_in(without_sign(&number)));
        let title = text("issue_title").map(|title| title.chars().take(LONGEST_TITLE).collect());
        Some(Self { id, number, title }).filter(|found| *found != Self::default())
    }

    /// Whether this is its number, with or without a `#`, or its id in any case.
    pub fn is_called(&self, text: &str) -> bool {
        let is_number = self.number.as_deref() == Some(without_sign(text));
        is_number || self.id.as_ref().is_some_and(|id| id.eq_ignore_ascii_case(text.trim()))
    }
}

fn without_sign(number: &str) -> &str {
    let number = number.trim();
    number.strip_prefix('#').unwrap_or(number).trim_start()
}

/// Whether a body has a text in it. How JSON writes the body does not matter: neither its white space nor its escapes. Case does not
/// count. A text that the body has byte for byte is always found.
///
/// ```
/// use pylon_receiver::ledger::body_contains;
///
/// let body = br#"{"issue_number": "1042", "issue_title": "CAF\u00c9 closed"}"#;
/// assert!(body_contains(body, r#""issue_number":"1042""#));
/// assert!(body_contains(body, "Café closed"));
/// assert!(!body_contains(body, "Caféclosed"));
/// ```
pub fn body_contains(body: &[u8], text: &str) -> bool {
    BodyText::new(text).is_in(body)
}

/// A text to look for in many bodies.
pub(crate) struct BodyText {
    plain: String,
    /// As JSON may have it: what people type may be copied from a body, or may be the text itself, with backslashes of its own.
    spaced: [String; 2],
}

impl BodyText {
    pub(crate) fn new(text: &str) -> Self {
        let spaced = [Cow::Borrowed(text.as_bytes()), unescaped(text.as_bytes())].map(|text| lower(&respaced(&text)));
        Self { plain: lower(text.as_bytes()), spaced }
    }

    /// Whether the body has it.
    pub(crate) fn is_in(&self, body: &[u8]) -> bool {
        if lower(body).contains(&self.plain) {
            return true;
        }
        let body = lower(&respaced(&unescaped(body)));
        self.spaced.iter().any(|text| body.contains(text))
    }
}

/// The text in lower case, one character for each as far as there is one: what a text is a part of does not change it.
fn lower(text: &[u8]) -> String {
    if text.is_ascii() {
        return String::from_utf8_lossy(text).to_ascii_lowercase();
    }
    String::from_utf8_lossy(text).chars().flat_map(char::to_lowercase).collect()
}

/// The text with its JSON escapes read; borrowed when it has none.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let (read, length) = match (byte, after.first()) {
            (b'\\', Some(b'n' | b'r' | b't' | b'b' | b'f')) => (Some(' '), 2),
            (b'\\', Some(&escaped @ (b'"' | b'\\' | b'/'))) => (Some(char::from(escaped)), 2),
            (b'\\', Some(b'u')) => match (code_unit(rest), rest.get(6..).and_then(code_unit)) {
                (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
                    (char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12)
                }
                (Some(unit), _) => (char::from_u32(unit), 6),
                (None, _) => (None, 1),
            },
            _ => (None, 1),
        };
        match read {
            Some(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None => out.extend_from_slice(&rest[..length]),
        }
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

/// The code unit of an escape `\uXXXX` that the text begins with.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.get(..6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

/// The text with one space for all white space between words, and none beside the punctuation of JSON.
fn respaced(text: &[u8]) -> Vec<u8> {
    let is_punctuation = |byte: u8| b"{}[]:,".contains(&byte);
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut is_after_space = false;
    for &byte in text {
        if byte.is_ascii_whitespace() {
            is_after_space = true;
            continue;
        }
        let is_between_words = !is_punctuation(byte) && out.last().is_some_and(|&last| !is_punctuation(last));
        if is_after_space && is_between_words {
            out.push(b' ');
        }
        is_after_space = false;
        out.push(byte);
    }
    out
}
