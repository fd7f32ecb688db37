//! What could not be read as typed.

use std::fmt;

/// A typed field without a typed value, or a repaired body.
///
/// ```
/// let event = pylon_webhooks::parse_webhook_event(br#"{"event_type": "issue_new", "issue_number": "soon"}"#)?;
/// let problem = &event.problems()[0];
/// assert_eq!(problem.to_string(), "issue_number: not a whole number");
/// # Ok::<(), pylon_webhooks::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Problem {
    /// The field's name, or `payload` for the body as a whole.
    pub field: &'static str,
    /// Why it has no typed value.
    pub reason: Reason,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// Why a typed field has no typed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No key for it in the body.
    Absent,
    /// `null`, blank text, or the text `null`.
    Empty,
    /// A `{{ placeholder }}` that Pylon left as it was.
    UnresolvedPlaceholder,
    /// A number field that holds something else.
    NotANumber,
    /// A whole number that does not fit 64 bits.
    NumberOutOfRange,
    /// A boolean field that holds something else.
    NotABoolean,
    /// A time field that holds no RFC 3339 text.
    NotADateTime,
    /// 0001-01-01T00:00:00Z, which Go programs send for "no time".
    ZeroDateTime,
    /// A text field that holds an array, or an object without the member due.
    NotText,
    /// A list field that holds an object or, within it, something that is not text.
    NotAList,
    /// The body's strings held raw control characters, read as if escaped.
    ControlCharacters,
    /// The body's objects held keys with nothing after the colon, read as `null`.
    MissingValues,
    /// The body's strings held halves of surrogate pairs, read as U+FFFD.
    LoneSurrogates,
    /// The body held numbers that no double can hold, which the payload shows as text.
    HugeNumbers,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "absent",
            Self::Empty => "empty",
            Self::UnresolvedPlaceholder => "an unresolved placeholder",
            Self::NotANumber => "not a whole number",
            Self::NumberOutOfRange => "a whole number beyond 64 bits",
            Self::NotABoolean => "not a boolean",
            Self::NotADateTime => "not an RFC 3339 date-time",
            Self::ZeroDateTime => "the zero date-time",
            Self::NotText => "not text",
            Self::NotAList => "not a list of texts",
            Self::ControlCharacters => "raw control characters in strings were read as if escaped",
            Self::MissingValues => "missing values were read as null",
            Self::LoneSurrogates => "lone surrogates were read as U+FFFD",
            Self::HugeNumbers => "numbers beyond a double were read as text",
        })
    }
}
