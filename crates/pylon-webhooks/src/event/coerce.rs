//! Reads one JSON value as the shape of its field, in every form that templates produce.

use super::datetime::DateTime;
use super::field::Shape;
use super::problem::Reason;
use super::scan::{DEEPEST, elements};
use super::scope::members;
use super::text::decode_string;
use std::borrow::Cow;

/// A typed field's value.
///
/// ```
/// use pylon_webhooks::{parse_webhook_event, EventKind, FieldValue};
///
/// let event = parse_webhook_event(br##"{"event_type": "issue_new", "issue_number": "#1042"}"##)?;
/// let number = EventKind::IssueNew.field("issue_number").expect("every issue event has it");
/// assert_eq!(event.read(number), Ok(FieldValue::Number(1042)));
/// # Ok::<(), pylon_webhooks::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldValue<'a> {
    /// Of [`Shape::Id`] and [`Shape::Text`].
    Text(Cow<'a, str>),
    /// Of [`Shape::Number`].
    Number(i64),
    /// Of [`Shape::Boolean`].
    Boolean(bool),
    /// Of [`Shape::DateTime`].
    DateTime(DateTime),
    /// Of [`Shape::List`].
    List(Vec<Cow<'a, str>>),
}

/// Reads a JSON value as a shape. The error is the reason why there is no such value.
pub(crate) fn coerce(raw: &str, shape: Shape) -> Result<FieldValue<'_>, Reason> {
    if let Shape::List(member) = shape {
        return list(raw, member).map(FieldValue::List);
    }
    let text = scalar(raw)?;
    if shape == Shape::Text {
        return Ok(FieldValue::Text(text));
    }
    no_value(&text)?;
    match shape {
        Shape::Number => number(&text).map(FieldValue::Number),
        Shape::Boolean => boolean(&text).map(FieldValue::Boolean),
        Shape::DateTime => date_time(&text).map(FieldValue::DateTime),
        Shape::Id | Shape::Text | Shape::List(_) => Ok(FieldValue::Text(text)),
    }
}

/// A string's text, a number's digits or a boolean's word.
pub(crate) fn scalar(raw: &str) -> Result<Cow<'_, str>, Reason> {
    match raw.as_bytes().first() {
        Some(b'"') => decode_string(raw).ok_or(Reason::NotText),
        Some(b'n') => Err(Reason::Empty),
        Some(b'[' | b'{') | None => Err(Reason::NotText),
        Some(_) => Ok(Cow::Borrowed(raw)),
    }
}

/// Refuses the texts that a template sends for a missing value.
pub(crate) fn no_value(text: &str) -> Result<(), Reason> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("null") {
        Err(Reason::Empty)
    } else if text.starts_with("{{") && text.ends_with("}}") {
        Err(Reason::UnresolvedPlaceholder)
    } else {
        Ok(())
    }
}

fn number(text: &str) -> Result<i64, Reason> {
    let text = text.trim();
    let text = text.strip_prefix('#').unwrap_or(text);
    // 1042.0 is a whole number too.
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reason::NotANumber);
    }
    whole.parse().map_err(|_| Reason::NumberOutOfRange)
}

fn boolean(text: &str) -> Result<bool, Reason> {
    match text.trim() {
        "1" => Ok(true),
        "0" => Ok(false),
        word if word.eq_ignore_ascii_case("true") => Ok(true),
        word if word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Reason::NotABoolean),
    }
}

fn date_time(text: &str) -> Result<DateTime, Reason> {
    let time = DateTime::parse(text.trim()).ok_or(Reason::NotADateTime)?;
    if time.is_zero() { Err(Reason::ZeroDateTime) } else { Ok(time) }
}

fn list<'a>(raw: &'a str, member: &str) -> Result<Vec<Cow<'a, str>>, Reason> {
    match raw.as_bytes().first() {
        Some(b'[') => array(raw, member),
        Some(b'{') | None => Err(Reason::NotAList),
        _ => match scalar(raw)? {
            Cow::Borrowed(text) => list_in_text(text, member),
            Cow::Owned(text) => list_in_text(&text, member)
                .map(|list| list.into_iter().map(|item| Cow::Owned(item.into_owned())).collect()),
        },
    }
}

/// `a, b`, or a JSON array as text, or one value.
fn list_in_text<'a>(text: &'a str, member: &str) -> Result<Vec<Cow<'a, str>>, Reason> {
    no_value(text)?;
    let text = text.trim();
    if text.starts_with('[')
        && let Ok(list) = array(text, member)
    {
        return Ok(list);
    }
    Ok(split(text, member).into_iter().map(str::trim).filter(|item| !item.is_empty()).map(Cow::Borrowed).collect())
}

/// The parts between commas; a URL may hold commas itself, so one of several begins anew only with a scheme.
fn split<'a>(text: &'a str, member: &str) -> Vec<&'a str> {
    if member != "url" {
        return text.split(',').collect();
    }
    let begins = |rest: &str| ["http://", "https://"].iter().any(|scheme| rest.trim_start().starts_with(scheme));
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(',').filter(|&(at, _)| begins(&text[at + 1..])) {
        parts.push(&text[start..at]);
        start = at + 1;
    }
    parts.push(&text[start..]);
    parts
}

fn array<'a>(raw: &'a str, member: &str) -> Result<Vec<Cow<'a, str>>, Reason> {
    let elements = elements(raw, 0..raw.len(), DEEPEST).map_err(|_| Reason::NotAList)?;
    let texts = elements.into_iter().map(|element| element_text(&raw[element], member));
    // An empty element is no element.
    let texts = texts.map(|text| text.and_then(|text| no_value(&text).map(|()| text)));
    texts.filter(|text| !matches!(text, Err(Reason::Empty))).map(|text| text.map_err(|_| Reason::NotAList)).collect()
}

fn element_text<'a>(raw: &'a str, member: &str) -> Result<Cow<'a, str>, Reason> {
    if !raw.starts_with('{') {
        return scalar(raw);
    }
    let inner = members(raw, 0..raw.len());
    let value = inner.iter().rev().find(|inner| inner.key(raw) == member).ok_or(Reason::NotText)?;
    scalar(&raw[value.value.clone()])
}
