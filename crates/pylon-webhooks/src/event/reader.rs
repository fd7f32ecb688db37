//! Makes an event of a body: finds its members, its name and its kind.

use super::coerce::{no_value, scalar};
use super::kind::{EventKind, names_match};
use super::mend::{Mended, mend};
use super::scope::{Member, Scope, Span, decode_string, is_deeper_than, members};
use super::{Inner, PayloadFault, Place, WebhookEvent};
use crate::error::{ConfigError, PayloadError};
use crate::payload::Payload;
use bytes::Bytes;
use bytestring::ByteString;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// The keys that may hold the event's name, first choice first.
const KIND_KEYS: [&str; 4] = ["event_type", "event", "type", "trigger"];
/// The keys whose object is read as if its members stood outside.
const WRAPPERS: [&str; 3] = ["data", "client_payload", "webhook_payload"];
/// How many wrappers may stand in one another.
const MOST_WRAPPERS: usize = 3;
/// How deep arrays and objects may nest unless configured; the JSON reader behind us ends at 127.
pub const DEFAULT_DEPTH_LIMIT: usize = 100;

/// Where the event's name stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KindSource {
    /// Under `event_type`, else `event`, `type` or `trigger`, else under the same within `data`, `client_payload` or
    /// `webhook_payload`.
    #[default]
    Keys,
    /// Where this JSON pointer (RFC 6901) leads, for instance `/meta/event`.
    Pointer(Box<str>),
    /// Nowhere: all bodies are of this name.
    Fixed(Box<str>),
}

/// Makes events of bodies, as configured: where the name stands, what further names mean, how deep a body may nest.
///
/// ```
/// use pylon_webhooks::{EventKind, EventReader, KindSource};
///
/// let reader = EventReader::new()
///     .kind_source(KindSource::Pointer("/meta/kind".into()))?
///     .name("ticket.created", EventKind::IssueNew)?;
/// let event = reader.read(br#"{"meta": {"kind": "ticket-created"}}"#)?;
/// assert_eq!(event.kind(), Some(EventKind::IssueNew));
/// assert_eq!(event.event_type(), "ticket-created");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct EventReader {
    kind_source: KindSource,
    names: Vec<(Box<str>, EventKind)>,
    depth_limit: usize,
}

impl Default for EventReader {
    fn default() -> Self {
        Self::new()
    }
}

impl EventReader {
    /// A reader that finds the name under the usual keys and knows no further names.
    pub const fn new() -> Self {
        Self { kind_source: KindSource::Keys, names: Vec::new(), depth_limit: DEFAULT_DEPTH_LIMIT }
    }

    /// Says where the name stands.
    ///
    /// # Errors
    /// [`ConfigError::Pointer`] when a pointer does not begin with `/`, [`ConfigError::EmptyName`] when a fixed name is
    /// empty.
    pub fn kind_source(mut self, source: KindSource) -> Result<Self, ConfigError> {
        match &source {
            KindSource::Pointer(pointer) if !pointer.starts_with('/') => return Err(ConfigError::Pointer),
            KindSource::Fixed(name) if name.trim().is_empty() => return Err(ConfigError::EmptyName),
            _ => self.kind_source = source,
        }
        Ok(self)
    }

    /// Says that a further name means this kind; it goes before the names that are known anyway.
    ///
    /// # Errors
    /// [`ConfigError::EmptyName`].
    pub fn name(mut self, name: impl Into<Box<str>>, kind: EventKind) -> Result<Self, ConfigError> {
        let name = name.into();
        if name.trim().is_empty() {
            return Err(ConfigError::EmptyName);
        }
        self.names.push((name, kind));
        Ok(self)
    }

    /// How deep arrays and objects may nest, the outermost counting as one.
    ///
    /// # Errors
    /// [`ConfigError::DepthLimit`] when the limit lies outside 1 to [`DEFAULT_DEPTH_LIMIT`].
    pub fn depth_limit(mut self, limit: usize) -> Result<Self, ConfigError> {
        if !(1..=DEFAULT_DEPTH_LIMIT).contains(&limit) {
            return Err(ConfigError::DepthLimit);
        }
        self.depth_limit = limit;
        Ok(self)
    }

    /// The kind that a name means here.
    pub fn kind_of(&self, name: &str) -> Option<EventKind> {
        let mapped = self.names.iter().rev().find(|(mapped, _)| names_match(mapped, name)).map(|&(_, kind)| kind);
        mapped.or_else(|| EventKind::from_name(name))
    }

    /// Makes an event of a body; every JSON text is one, whatever it holds.
    ///
    /// # Errors
    /// [`PayloadError`] when the body is not JSON or nests too deep; it holds the body.
    pub fn read<'a>(&self, payload: impl Into<Payload<'a>>) -> Result<WebhookEvent, PayloadError> {
        let raw = payload.into().into_bytes();
        match self.parse(&raw) {
            Ok(event) => Ok(event),
            Err(fault) => Err(PayloadError { fault, payload: raw }),
        }
    }

    /// Makes an event of a body that was read before, of the name and kind that it had then.
    ///
    /// ```
    /// use pylon_webhooks::{EventKind, EventReader};
    ///
    /// let event = EventReader::new().read_as(b"{}", "ticket.created", Some(EventKind::IssueNew))?;
    /// assert_eq!(event.event_type(), "ticket.created");
    /// assert_eq!(event.kind(), Some(EventKind::IssueNew));
    /// # Ok::<(), pylon_webhooks::PayloadError>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_as<'a>(
        &self,
        payload: impl Into<Payload<'a>>,
        name: &str,
        kind: Option<EventKind>,
    ) -> Result<WebhookEvent, PayloadError> {
        let event = self.read(payload)?;
        if event.event_type() == name && event.kind() == kind {
            return Ok(event);
        }
        let inner = Arc::into_inner(event.0).expect("the event was made just now and has no copy");
        let name_place = inner.name_place.filter(|_| &*inner.name == name);
        Ok(WebhookEvent(Arc::new(Inner { name: ByteString::from(name), name_place, kind, ..inner })))
    }

    fn parse(&self, raw: &Bytes) -> Result<WebhookEvent, PayloadFault> {
        let (text, root, mended) = self.root(raw)?;
        let mut wrappers = Wrappers { wrapped: Vec::new(), opened: Vec::new(), mended };
        self.open_wrappers(&root, 0, MOST_WRAPPERS, &mut wrappers);
        let Wrappers { wrapped, opened, mended } = wrappers;
        let (name, name_place) = self.name_of(&text, &root, &wrapped);
        let kind = if name.is_empty() { None } else { self.kind_of(&name) };
        let (raw, payload) = (raw.clone(), OnceLock::new());
        Ok(WebhookEvent(Arc::new(Inner { raw, text, root, wrapped, opened, name, name_place, kind, mended, payload })))
    }

    /// The text, its members where it is an object, and what had to be mended to read it.
    fn root(&self, raw: &Bytes) -> Result<(ByteString, Scope, Mended), PayloadFault> {
        const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
        let unmarked = if raw.starts_with(BYTE_ORDER_MARK) { raw.slice(BYTE_ORDER_MARK.len()..) } else { raw.clone() };
        let text = ByteString::try_from(unmarked).map_err(|_| not_utf8(raw))?;
        let error = match self.scope(text.clone()) {
            Ok(scope) => return Ok((text, scope?, Mended::default())),
            Err(error) => error,
        };
        let (mended_text, mended) = mend(&text);
        if let Cow::Owned(mended_text) = mended_text {
            let mended_text = ByteString::from(mended_text);
            if let Ok(scope) = self.scope(mended_text.clone()) {
                return Ok((mended_text, scope?, mended));
            }
        }
        Err(PayloadFault::of(&text, &error))
    }

    /// The members of the text's object, none of another value; the outer error is one of JSON, the inner of depth.
    fn scope(&self, text: ByteString) -> Result<Result<Scope, PayloadFault>, serde_json::Error> {
        let start = text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let is_object = text[start..].starts_with('{');
        let scope = if is_object {
            let span = 0..text.len();
            Scope::new(text, span)?
        } else {
            let _: IgnoredAny = serde_json::from_str(&text)?;
            Scope { text, members: Vec::new() }
        };
        let too_deep = if is_object {
            scope.members.iter().any(|member| self.is_too_deep(scope.raw(&member.value)))
        } else {
            is_deeper_than(&scope.text, self.depth_limit)
        };
        Ok(if too_deep { Err(PayloadFault::TooDeep { limit: self.depth_limit }) } else { Ok(scope) })
    }

    /// Whether a value within the outermost object nests too deep.
    fn is_too_deep(&self, raw: &str) -> bool {
        raw.starts_with(['[', '{']) && is_deeper_than(raw, self.depth_limit - 1)
    }

    /// Collects the objects that stand in wrappers, each before those within it, and the members that hold them.
    fn open_wrappers(&self, scope: &Scope, index: usize, levels: usize, wrappers: &mut Wrappers) {
        if levels == 0 {
            return;
        }
        // Of a key that comes twice the last one counts.
        let is_wrapper = |member: &&Member| {
            let key = scope.key(member);
            WRAPPERS.contains(&key) && scope.get(key).is_some_and(|last| last.value == member.value)
        };
        for member in scope.members.iter().filter(is_wrapper) {
            if let Some((inner, mended)) = self.inner(scope, &member.value) {
                wrappers.wrapped.push(inner.clone());
                wrappers.opened.push(Place { scope: index, start: member.value.start });
                wrappers.mended = wrappers.mended.and(mended);
                self.open_wrappers(&inner, wrappers.wrapped.len(), levels - 1, wrappers);
            }
        }
    }

    /// The object that is a wrapper's value, or stands in its text as JSON, and what had to be mended in that text.
    fn inner(&self, scope: &Scope, value: &Span) -> Option<(Scope, Mended)> {
        let raw = scope.raw(value);
        match raw.as_bytes().first()? {
            b'{' => Some((Scope::new(scope.text.clone(), value.clone()).ok()?, Mended::default())),
            b'"' => {
                let is_object = |text: &str| text.trim_start().starts_with('{');
                let text = decode_string(raw).filter(|text| is_object(text) && !is_deeper_than(text, self.depth_limit))?;
                let scope_of = |text: &str| Scope::new(ByteString::from(text), 0..text.len()).ok();
                scope_of(&text).map(|scope| (scope, Mended::default())).or_else(|| {
                    let (text, mended) = mend(&text);
                    Some((scope_of(&text)?, mended))
                })
            }
            _ => None,
        }
    }

    /// The event's name as it was sent, and the member it came from.
    fn name_of(&self, text: &ByteString, root: &Scope, wrapped: &[Scope]) -> (ByteString, Option<Place>) {
        match &self.kind_source {
            KindSource::Fixed(name) => (ByteString::from(&**name), None),
            KindSource::Pointer(pointer) => {
                let found = |span: Span| Some((name_in(text, &span)?, Some(Place { scope: 0, start: span.start })));
                point(text, pointer).and_then(found).unwrap_or_default()
            }
            KindSource::Keys => {
                let scopes = std::iter::once(root).chain(wrapped).enumerate();
                let places = scopes.flat_map(|(index, scope)| KIND_KEYS.map(|key| (index, scope, key)));
                let found = |(index, scope, key): (usize, &Scope, &str)| {
                    let value = &scope.get(key)?.value;
                    Some((name_in(&scope.text, value)?, Some(Place { scope: index, start: value.start })))
                };
                { places }.find_map(found).unwrap_or_default()
            }
        }
    }
}

/// The objects in wrappers, outermost first, the members that hold them, and what had to be mended to read all that.
struct Wrappers {
    wrapped: Vec<Scope>,
    opened: Vec<Place>,
    mended: Mended,
}

/// The text or digits that stand there, where they can be a name.
fn name_in(text: &ByteString, span: &Span) -> Option<ByteString> {
    let name = scalar(&text[span.clone()]).ok().filter(|name| no_value(name).is_ok())?;
    Some(match name {
        Cow::Borrowed(name) => text.slice_ref(name),
        Cow::Owned(name) => ByteString::from(name),
    })
}

/// Follows a JSON pointer without decoding what it passes by.
fn point(text: &str, pointer: &str) -> Option<Span> {
    pointer[1..].split('/').try_fold(0..text.len(), |span, token| {
        let token = token.replace("~1", "/").replace("~0", "~");
        if text[span.clone()].trim_start().starts_with('[') {
            let index = index_in(&token)?;
            let elements: Vec<&RawValue> = serde_json::from_str(&text[span.clone()]).ok()?;
            let element = elements.get(index)?.get();
            let start = element.as_ptr() as usize - text.as_ptr() as usize;
            Some(start..start + element.len())
        } else {
            let members = members(text, span).ok()?;
            members.iter().rev().find(|member| member.key(text) == token).map(|member| member.value.clone())
        }
    })
}

/// An array index as RFC 6901 has it: digits without a sign and without leading zeros.
fn index_in(token: &str) -> Option<usize> {
    let is_plain = token == "0" || token.starts_with(|first| ('1'..='9').contains(&first));
    is_plain.then(|| token.parse().ok())?
}

fn not_utf8(raw: &[u8]) -> PayloadFault {
    let offset = std::str::from_utf8(raw).map_or_else(|error| error.valid_up_to(), |_| raw.len());
    PayloadFault::NotUtf8 { offset }
}
