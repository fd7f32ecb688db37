//! Why a body cannot be read as JSON.

use super::mend::mend;
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::error::Category;
use std::fmt;

/// A body that is not JSON. The error keeps the body, so that nothing authentic is lost.
///
/// ```
/// let error = pylon_webhooks::parse_webhook_event(b"event=issue_new").unwrap_err();
/// assert_eq!(error.payload(), b"event=issue_new".as_slice());
/// assert_eq!(error.to_string(), "unreadable payload: expected JSON, found a form body");
/// ```
#[derive(Clone)]
pub struct PayloadError {
    pub(super) fault: PayloadFault,
    pub(super) payload: Bytes,
}

impl PayloadError {
    /// What is wrong with the body.
    pub fn fault(&self) -> PayloadFault {
        self.fault
    }

    /// The body, byte for byte.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }
}

impl fmt::Debug for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body is a customer's text: a log shows only its length.
        f.debug_struct("PayloadError").field("fault", &self.fault).field("payload_bytes", &self.payload.len()).finish()
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unreadable payload: {}", self.fault)
    }
}

impl std::error::Error for PayloadError {}

/// What is wrong with a body: the kind and the place, never the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadFault {
    /// Empty, or whitespace alone.
    Empty,
    /// Not UTF-8; valid up to this offset in bytes.
    NotUtf8 {
        /// Offset of the first bad byte.
        offset: usize,
    },
    /// Compressed, by this encoding.
    Compressed(&'static str),
    /// A form body (`name=value&...`).
    Form,
    /// JSON that ends too early.
    Truncated {
        /// Line of its end, from 1.
        line: usize,
        /// Column of its end in bytes, from 1.
        column: usize,
    },
    /// Not JSON.
    Syntax {
        /// Line of the first fault, from 1.
        line: usize,
        /// Column of the first fault in bytes, from 1.
        column: usize,
    },
    /// Arrays and objects nest deeper than the limit.
    TooDeep {
        /// How deep they may nest.
        limit: usize,
    },
    /// A value of this type, neither bytes nor text. Only a caller in a dynamic language can pass one.
    #[doc(hidden)]
    Type(&'static str),
}

impl PayloadFault {
    /// The first fault that cannot be repaired.
    pub(super) fn beyond_mending(text: &str) -> Self {
        let is_wrong = |end: usize| matches!(Self::of(&mend(&text[..end]).0), Self::Syntax { .. });
        let whole = Self::of(&mend(text).0);
        if matches!(whole, Self::Empty | Self::Form) {
            return whole;
        }
        if !is_wrong(text.len()) {
            let (line, column) = end_of(text);
            return Self::Truncated { line, column };
        }
        // A faulty beginning stays faulty, so bisection finds the shortest one.
        let (mut right, mut wrong) = (0usize, text.len());
        loop {
            let mut middle = right.midpoint(wrong);
            while !text.is_char_boundary(middle) {
                middle -= 1;
            }
            if middle == right {
                // Within one long character: the one behind it, if there is one before the end of what is wrong.
                middle = (right + 1..wrong).find(|&end| text.is_char_boundary(end)).unwrap_or(wrong);
            }
            if middle == wrong {
                break;
            }
            if is_wrong(middle) { wrong = middle } else { right = middle }
        }
        let (line, column) = end_of(&text[..wrong]);
        Self::Syntax { line, column }
    }

    /// What is wrong with a text that is not JSON.
    pub(super) fn of(text: &str) -> Self {
        let error = serde_json::from_str::<IgnoredAny>(text).err();
        let (line, column) = error.as_ref().map_or((1, 1), |error| (error.line(), error.column()));
        if text.trim().is_empty() {
            Self::Empty
        } else if looks_like_form(text) {
            Self::Form
        } else if error.is_some_and(|error| error.classify() == Category::Eof) || is_cut_number(text, line, column) {
            Self::Truncated { line, column }
        } else {
            Self::Syntax { line, column }
        }
    }
}

/// The line and the column of a text's end, from 1 and in bytes.
fn end_of(text: &str) -> (usize, usize) {
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    (text.split('\n').count(), last_line.len())
}

/// Whether the text ends within a number, which serde_json reports as an invalid number.
fn is_cut_number(text: &str, line: usize, column: usize) -> bool {
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    let before = last_line.trim_end_matches(|c: char| c.is_ascii_digit() || "+-.eE".contains(c));
    let number = &last_line[before.len()..];
    end_of(text) == (line, column)
        && number.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && number.ends_with(['-', '+', '.', 'e', 'E'])
        && matches!(before.trim_end().as_bytes().last(), None | Some(b':' | b',' | b'['))
}

/// `name=` at the very start.
fn looks_like_form(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.%+[]".contains(&byte))
    })
}

impl fmt::Display for PayloadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("expected JSON, found an empty body"),
            Self::NotUtf8 { offset } => write!(f, "expected JSON in UTF-8, found other bytes at offset {offset}"),
            Self::Compressed(name) => {
                write!(f, "expected JSON, found a compressed body ({name}); let nothing on the way compress it")
            }
            Self::Form => f.write_str("expected JSON, found a form body"),
            Self::Truncated { line, column } => {
                write!(f, "expected JSON, found the end of the body too early, at line {line} column {column}")
            }
            Self::Syntax { line, column } => write!(
                f,
                "expected JSON, found a syntax error at line {line} column {column}; usually a value has a quote or \
                 a backslash that is not escaped: remove that variable from the trigger's template"
            ),
            Self::TooDeep { limit } => write!(f, "expected at most {limit} levels of nesting, found more"),
            Self::Type(name) => write!(
                f,
                "expected the raw bytes of the request body, found {name}: the signature covers the raw bytes"
            ),
        }
    }
}
