//! A JSON object whose members are found but not yet decoded.

use super::mend::mend;
use bytestring::ByteString;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// A part of a text, in bytes.
pub(crate) type Span = Range<usize>;

/// An object within a text that it shares with others.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) text: ByteString,
    pub(crate) members: Vec<Member>,
}

/// A key and where its value stands in the text.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    key: Key,
    pub(crate) value: Span,
}

#[derive(Debug, Clone)]
enum Key {
    Plain(Span),
    /// A key with escapes, decoded.
    Escaped(Box<str>),
}

impl Scope {
    /// Finds the members of the object that stands at `object` in the text.
    pub(crate) fn new(text: ByteString, object: Span) -> Result<Self, serde_json::Error> {
        let members = members(&text, object)?;
        Ok(Self { text, members })
    }

    pub(crate) fn key<'a>(&'a self, member: &'a Member) -> &'a str {
        member.key(&self.text)
    }

    pub(crate) fn raw(&self, span: &Span) -> &str {
        &self.text[span.clone()]
    }

    /// The member of this key; the last where there are several, as JSON readers do.
    pub(crate) fn get(&self, key: &str) -> Option<&Member> {
        self.members.iter().rev().find(|member| self.key(member) == key)
    }

    /// The members without those whose key comes again, in no order to rely on.
    pub(crate) fn members_that_count(&self) -> impl Iterator<Item = &Member> {
        let mut seen = HashSet::new();
        self.members.iter().rev().filter(move |member| seen.insert(self.key(member)))
    }

    /// The value that stands at a dotted path, joined by `_` or nested at any of its dots.
    pub(crate) fn find(&self, path: &str) -> Option<Span> {
        find(&self.text, &self.members, path)
    }
}

impl Member {
    pub(crate) fn key<'a>(&'a self, text: &'a str) -> &'a str {
        match &self.key {
            Key::Plain(span) => &text[span.clone()],
            Key::Escaped(key) => key,
        }
    }
}

/// Finds the members of the object that stands at `object` in the text.
pub(crate) fn members(text: &str, object: Span) -> Result<Vec<Member>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(&text[object]);
    let members = deserializer.deserialize_map(MembersVisitor(text))?;
    deserializer.end()?;
    Ok(members)
}

fn find(text: &str, members: &[Member], path: &str) -> Option<Span> {
    let mut end = path.len();
    loop {
        let key = &path[..end];
        if let Some(member) = members.iter().rev().find(|member| is_joined(member.key(text), key)) {
            let found =
                if end == path.len() { whole(text, member, path) } else { inside(text, member, &path[end + 1..]) };
            if found.is_some() {
                return found;
            }
        }
        end = path[..end].rfind('.')?;
    }
}

/// The member's value, or what it holds of the path's last word where it is an object: `issue_account_name` may be
/// `{"id": ..., "name": ...}`.
fn whole(text: &str, member: &Member, path: &str) -> Option<Span> {
    let last = path.rsplit('.').next()?;
    inside_object(text, &member.value, last).or_else(|| Some(member.value.clone()))
}

/// What the member's value holds at the rest of the path: a person may be an object, or text that is the email or name.
fn inside(text: &str, member: &Member, rest: &str) -> Option<Span> {
    let raw = &text[member.value.clone()];
    let is_person = raw.starts_with('"')
        && match rest {
            "email" => raw.contains('@'),
            "name" => !raw.contains('@'),
            _ => false,
        };
    if is_person { Some(member.value.clone()) } else { inside_object(text, &member.value, rest) }
}

fn inside_object(text: &str, value: &Span, path: &str) -> Option<Span> {
    text[value.clone()]
        .starts_with('{')
        .then(|| members(text, value.clone()).ok())?
        .and_then(|inner| find(text, &inner, path))
}

/// Whether the key is the path with `_` for each dot; `ticket` may stand for `issue`, as help-desk templates have it.
fn is_joined(key: &str, path: &str) -> bool {
    let (key, path) = match (key.strip_prefix("ticket"), path.strip_prefix("issue")) {
        (Some(key), Some(path)) => (key, path),
        _ => (key, path),
    };
    key.len() == path.len()
        && key.bytes().zip(path.bytes()).all(|(key, path)| key == path || (path == b'.' && key == b'_'))
}

struct MembersVisitor<'t>(&'t str);

impl<'t> Visitor<'t> for MembersVisitor<'t> {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let span = |part: &[u8]| {
            // Both point into the same text: it was borrowed, not copied, on the way.
            let start = part.as_ptr() as usize - self.0.as_ptr() as usize;
            start..start + part.len()
        };
        // Our templates have 20 keys.
        let mut members = Vec::with_capacity(24);
        while let Some((FoundKey(key), value)) = map.next_entry::<FoundKey<'t>, &'t RawValue>()? {
            let key = match key {
                Cow::Borrowed(key) => Key::Plain(span(key)),
                Cow::Owned(key) => Key::Escaped(without_lone_surrogates(&key)),
            };
            members.push(Member { key, value: span(value.get().as_bytes()) });
        }
        Ok(members)
    }
}

/// A key as the reader behind us gives it: part of the text, or decoded. Bytes, for as text it would refuse a lone
/// surrogate, and one key must not cost the whole object.
struct FoundKey<'t>(Cow<'t, [u8]>);

impl<'t> Deserialize<'t> for FoundKey<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'t> Visitor<'t> for KeyVisitor {
    type Value = FoundKey<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_bytes<E>(self, key: &'t [u8]) -> Result<Self::Value, E> {
        Ok(FoundKey(Cow::Borrowed(key)))
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(FoundKey(Cow::Owned(key.to_vec())))
    }
}

/// A decoded key, with U+FFFD for each lone surrogate, which stands there in three bytes as UTF-8 would have it.
fn without_lone_surrogates(key: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(key.len());
    for chunk in key.utf8_chunks() {
        text.push_str(chunk.valid());
        // The first byte of the three says it; the two that follow are no text of their own.
        if chunk.invalid().starts_with(b"\xED") {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text.into()
}

/// The text of a JSON string, borrowed where it has no escapes; none for other values.
pub(crate) fn decode_string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).or_else(|_| serde_json::from_str(&mend(raw).0)).ok().map(Cow::Owned)
}

/// Whether arrays and objects nest deeper than the limit, the outermost counting as one.
pub(crate) fn is_deeper_than(json: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in json.bytes() {
        if in_string {
            (in_string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
