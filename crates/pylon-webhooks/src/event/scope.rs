//! A JSON object whose members are found but not yet decoded.

use super::scan::{self, DEEPEST, Member, ScanFault, Span};
use super::text::decode_string;
use bytestring::ByteString;
use std::collections::HashSet;

/// An object within a text that it shares with others.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) text: ByteString,
    pub(crate) members: Vec<Member>,
}

impl Scope {
    /// Finds the members of the object that stands at `object` in the text.
    pub(crate) fn new(text: ByteString, object: Span, depth_limit: usize) -> Result<Self, ScanFault> {
        let members = scan::members(&text, object, depth_limit)?;
        Ok(Self { text, members })
    }

    pub(crate) fn key<'s>(&'s self, member: &'s Member) -> &'s str {
        member.key(&self.text)
    }

    pub(crate) fn raw(&self, span: &Span) -> &str {
        &self.text[span.clone()]
    }

    /// The member of this key; the last where there are several, as JSON readers do.
    pub(crate) fn get(&self, key: &str) -> Option<&Member> {
        self.members.iter().rev().find(|member| self.key(member) == key)
    }

    /// The members in the order of the text, without those whose key comes again.
    pub(crate) fn members_that_count(&self) -> Vec<&Member> {
        that_count(&self.members, &self.text)
    }

    /// The value that stands at a dotted path, joined by `_` or nested at any of its dots.
    pub(crate) fn find(&self, path: &str) -> Option<Span> {
        find(&self.text, &self.members, path)
    }
}

/// The members in the order of the text, without those whose key comes again: the last counts, as JSON readers have it.
pub(crate) fn that_count<'m>(members: &'m [Member], text: &'m str) -> Vec<&'m Member> {
    let mut seen = HashSet::new();
    let mut last: Vec<&Member> = members.iter().rev().filter(|member| seen.insert(member.key(text))).collect();
    last.reverse();
    last
}

/// The members of the object that stands at `object` in a text that was scanned before; none of another value.
pub(crate) fn members(text: &str, object: Span) -> Vec<Member> {
    scan::members(text, object, DEEPEST).unwrap_or_default()
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
    let within = if text[member.value.clone()].starts_with('{') {
        path.rsplit('.').next().and_then(|last| inside_object(text, &member.value, last))
    } else {
        None
    };
    within.or_else(|| Some(member.value.clone()))
}

/// What the member's value holds at the rest of the path: a person may be an object, or text that is the email or name.
fn inside(text: &str, member: &Member, rest: &str) -> Option<Span> {
    let is_person = matches!(rest, "email" | "name")
        && decode_string(&text[member.value.clone()]).is_some_and(|person| person.contains('@') == (rest == "email"));
    if is_person { Some(member.value.clone()) } else { inside_object(text, &member.value, rest) }
}

fn inside_object(text: &str, value: &Span, path: &str) -> Option<Span> {
    text[value.clone()].starts_with('{').then(|| find(text, &members(text, value.clone()), path))?
}

/// Whether the key is the path with `_` for each dot; `ticket` may stand for `issue`, as help-desk templates have it.
pub(crate) fn is_joined(key: &str, path: &str) -> bool {
    // Lengths first: they tell most keys apart.
    let (key, path) = match (key.len(), path.len()) {
        (key_length, path_length) if key_length == path_length => (key, path),
        (key_length, path_length) if key_length == path_length + "ticket".len() - "issue".len() => {
            match (key.strip_prefix("ticket"), path.strip_prefix("issue")) {
                (Some(key), Some(path)) => (key, path),
                _ => return false,
            }
        }
        _ => return false,
    };
    key.bytes().zip(path.bytes()).all(|(key, path)| key == path || (path == b'.' && key == b'_'))
}
