//! Reads an event from a body: its members, its name and its kind.

use super::coerce::{no_value, scalar};
use super::event::{Found, Inner, Name, Place, WebhookEvent};
use super::fault::{PayloadError, PayloadFault};
use super::kind::{EventKind, names_match};
use super::mend::{Mended, mend};
use super::scan::{self, DEEPEST, Member, ScanFault, Span, elements};
use super::scope::{Scope, members};
use super::text::decode_string;
use crate::arrival::Payload;
use crate::config_error::ConfigError;
use crate::verified::Verified;
use bytes::Bytes;
use bytestring::ByteString;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// The keys of the event's name, first choice first.
const KIND_KEYS: [&str; 4] = ["event_type", "event", "type", "trigger"];
/// The keys of wrappers: their members are read as if they were outside the wrapper.
const WRAPPERS: [&str; 3] = ["data", "client_payload", "webhook_payload"];
/// How deep wrappers may nest.
const MOST_WRAPPERS: usize = 3;
/// The default nesting limit of arrays and objects. serde_json, which parses the payload, has a limit of 127.
pub const DEFAULT_DEPTH_LIMIT: usize = 100;

/// Reads an event from stored or unverified bytes. Checks no signature.
///
/// ```
/// use pylon_webhooks::parse_webhook_event;
///
/// let event = parse_webhook_event(br#"{"event_type": "issue_new", "issue_title": "Export fails"}"#)?;
/// assert_eq!(event.event_type(), "issue_new");
/// # Ok::<(), pylon_webhooks::PayloadError>(())
/// ```
///
/// # Errors
/// [`PayloadError`] when the body is not JSON or nests too deep. The error keeps the body.
pub fn parse_webhook_event<'a>(payload: impl Into<Payload<'a>>) -> Result<WebhookEvent, PayloadError> {
    EventReader::new().parse(payload)
}

/// The place of the event's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NameSource {
    /// The key `event_type`, else `event`, `type` or `trigger`, else the same keys within `data`, `client_payload` or
    /// `webhook_payload`.
    #[default]
    Keys,
    /// This JSON pointer (RFC 6901), for instance `/meta/event`.
    Pointer(Box<str>),
    /// No place: every event has this name.
    Fixed(Box<str>),
}

/// Reads events from bodies. Configures the place of the name, additional names, and the nesting limit.
///
/// ```
/// use pylon_webhooks::{EventKind, EventReader, NameSource};
///
/// let reader = EventReader::builder()
///     .name_source(NameSource::Pointer("/meta/kind".into()))
///     .name("ticket.created", EventKind::IssueNew)
///     .build()?;
/// let event = reader.parse(br#"{"meta": {"kind": "ticket-created"}}"#)?;
/// assert_eq!(event.kind(), Some(EventKind::IssueNew));
/// assert_eq!(event.event_type(), "ticket-created");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct EventReader {
    name_source: NameSource,
    names: Vec<(Box<str>, EventKind)>,
    depth_limit: usize,
}

impl Default for EventReader {
    fn default() -> Self {
        Self::new()
    }
}

impl EventReader {
    /// A reader with the default settings.
    pub const fn new() -> Self {
        Self { name_source: NameSource::Keys, names: Vec::new(), depth_limit: DEFAULT_DEPTH_LIMIT }
    }

    /// Starts a configuration.
    pub fn builder() -> EventReaderBuilder {
        EventReaderBuilder { reader: Self::new() }
    }

    /// The kind that a name means to this reader.
    pub fn kind_of(&self, name: &str) -> Option<EventKind> {
        let mapped = self.names.iter().rev().find(|(mapped, _)| names_match(mapped, name)).map(|&(_, kind)| kind);
        mapped.or_else(|| EventKind::from_name(name))
    }

    /// Reads the event of a verified body. Every JSON text is an event.
    ///
    /// # Errors
    /// [`PayloadError`] when the body is not JSON or nests too deep. The error keeps the body.
    pub fn read(&self, payload: Verified<Payload<'_>>) -> Result<Verified<WebhookEvent>, PayloadError> {
        payload.try_map(|payload| self.parse(payload))
    }

    /// Reads an event from stored or unverified bytes, as [`parse_webhook_event`](crate::parse_webhook_event) does,
    /// with this reader's settings.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse<'a>(&self, payload: impl Into<Payload<'a>>) -> Result<WebhookEvent, PayloadError> {
        self.parse_with(payload.into(), |inner| {
            inner.kind = if inner.name().is_empty() { None } else { self.kind_of(inner.name()) };
        })
    }

    /// The same for a body whose name and kind are known.
    pub(super) fn parse_as(
        &self,
        payload: Payload<'_>,
        name: &str,
        kind: Option<EventKind>,
    ) -> Result<WebhookEvent, PayloadError> {
        self.parse_with(payload, |inner| {
            inner.kind = kind;
            if inner.name() != name {
                (inner.name, inner.name_place) = (Name::Own(name.into()), None);
            }
        })
    }

    fn parse_with(
        &self,
        payload: Payload<'_>,
        set_kind: impl FnOnce(&mut Inner),
    ) -> Result<WebhookEvent, PayloadError> {
        // Borrowed bytes are checked before they are copied. Shared bytes are not copied.
        let text = match payload.as_shared() {
            None => std::str::from_utf8(payload.as_bytes()).map(ByteString::from),
            Some(bytes) => ByteString::try_from(bytes.clone()),
        };
        let inner = match text {
            Ok(text) => self.inner_of(text),
            Err(error) => Err(PayloadFault::NotUtf8 { offset: error.valid_up_to() }),
        };
        match inner {
            Ok(mut inner) => {
                set_kind(&mut inner);
                Ok(WebhookEvent(Arc::new(inner)))
            }
            Err(fault) => {
                let fault = payload.compression().map_or(fault, PayloadFault::Compressed);
                Err(PayloadError { fault, payload: payload.into_bytes() })
            }
        }
    }

    /// Everything about a body except the kind.
    fn inner_of(&self, body: ByteString) -> Result<Inner, PayloadFault> {
        let (root, raw, mended) = self.root(body)?;
        let mut wrappers = Wrappers { wrapped: Vec::new(), opened: Vec::new(), mended };
        self.open_wrappers(&root, 0, MOST_WRAPPERS, &mut wrappers);
        let Wrappers { wrapped, opened, mended } = wrappers;
        let (name, name_place) = self.name_of(&root, &wrapped);
        Ok(Inner { raw, root, wrapped, opened, name, name_place, kind: None, mended, payload: OnceLock::new() })
    }

    /// The text with its members when it is an object; the bytes where they differ from the text; what was repaired.
    fn root(&self, body: ByteString) -> Result<(Scope, Option<Bytes>, Mended), PayloadFault> {
        const BYTE_ORDER_MARK: &str = "\u{FEFF}";
        let (text, raw) = match body.strip_prefix(BYTE_ORDER_MARK) {
            Some(text) => (body.slice_ref(text), Some(body.as_bytes().clone())),
            None => (body, None),
        };
        let too_deep = PayloadFault::TooDeep { limit: self.depth_limit };
        match self.scan(&text) {
            Ok(members) => return Ok((Scope { text, members }, raw, Mended::default())),
            Err(ScanFault::TooDeep) => return Err(too_deep),
            Err(ScanFault::Grammar) => {}
        }
        let (mended_text, mended) = mend(&text);
        match self.scan(&mended_text) {
            Ok(members) => {
                let raw = raw.or_else(|| Some(text.as_bytes().clone()));
                Ok((Scope { text: ByteString::from(mended_text.into_owned()), members }, raw, mended))
            }
            Err(ScanFault::TooDeep) => Err(too_deep),
            Err(ScanFault::Grammar) if matches!(mended_text, Cow::Owned(_)) => Err(PayloadFault::beyond_mending(&text)),
            Err(ScanFault::Grammar) => Err(PayloadFault::of(&text)),
        }
    }

    /// The members of the text's object; none for another value.
    fn scan(&self, text: &str) -> Result<Vec<Member>, ScanFault> {
        if text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
            scan::members(text, 0..text.len(), self.depth_limit)
        } else {
            scan::check(text, self.depth_limit).map(|()| Vec::new())
        }
    }

    /// Collects the objects in wrappers, outer ones first, and the members that contain them.
    fn open_wrappers(&self, scope: &Scope, index: usize, levels: usize, wrappers: &mut Wrappers) {
        if levels == 0 {
            return;
        }
        // Of a repeated key, the last one counts.
        let mut last: [Option<&Member>; WRAPPERS.len()] = [None; WRAPPERS.len()];
        for member in &scope.members {
            if let Some(wrapper) = WRAPPERS.iter().position(|key| *key == scope.key(member)) {
                last[wrapper] = Some(member);
            }
        }
        last.sort_by_key(|member| member.map(|member| member.value.start));
        for member in last.into_iter().flatten() {
            if let Some((inner, mended)) = self.inner(scope, &member.value) {
                let at = wrappers.wrapped.len();
                wrappers.opened.push(Place { scope: index, start: member.value.start });
                wrappers.mended = wrappers.mended.and(mended);
                wrappers.wrapped.push(Scope { text: inner.text.clone(), members: Vec::new() });
                self.open_wrappers(&inner, at + 1, levels - 1, wrappers);
                wrappers.wrapped[at] = inner;
            }
        }
    }

    /// The object in a wrapper, or in the wrapper's text as JSON, and what was repaired in that text.
    fn inner(&self, scope: &Scope, value: &Span) -> Option<(Scope, Mended)> {
        let raw = scope.raw(value);
        match raw.as_bytes().first()? {
            b'{' => Some((Scope::new(scope.text.clone(), value.clone(), DEEPEST).ok()?, Mended::default())),
            b'"' => {
                let text = decode_string(raw).filter(|text| text.trim_start().starts_with('{'))?;
                let scope_of = |text: &str| Scope::new(ByteString::from(text), 0..text.len(), self.depth_limit).ok();
                scope_of(&text).map(|scope| (scope, Mended::default())).or_else(|| {
                    let (text, mended) = mend(&text);
                    Some((scope_of(&text)?, mended))
                })
            }
            _ => None,
        }
    }

    /// The event's name as it was sent, and its place.
    fn name_of(&self, root: &Scope, wrapped: &[Scope]) -> (Name, Option<Found>) {
        let found = |(index, scope, value): (usize, &Scope, &Span)| {
            Some((name_in(index, scope, value)?, Some(Found { scope: index, span: value.clone() })))
        };
        let name = match &self.name_source {
            NameSource::Fixed(name) => return (Name::Own(name.clone()), None),
            NameSource::Pointer(pointer) => point(&root.text, pointer).and_then(|span| found((0, root, &span))),
            NameSource::Keys => {
                let name_in_scope = |(index, scope): (usize, &Scope)| {
                    KIND_KEYS.iter().find_map(|key| found((index, scope, &scope.get(key)?.value)))
                };
                std::iter::once(root).chain(wrapped).enumerate().find_map(name_in_scope)
            }
        };
        name.unwrap_or((Name::Own("".into()), None))
    }
}

/// Builds an [`EventReader`].
#[derive(Debug, Clone)]
#[must_use]
pub struct EventReaderBuilder {
    reader: EventReader,
}

impl EventReaderBuilder {
    /// The place of the event's name.
    pub fn name_source(mut self, source: NameSource) -> Self {
        self.reader.name_source = source;
        self
    }

    /// An additional name for this kind. It overrides the built-in names and earlier additions.
    pub fn name(mut self, name: impl Into<Box<str>>, kind: EventKind) -> Self {
        self.reader.names.push((name.into(), kind));
        self
    }

    /// The nesting limit of arrays and objects. The outermost one is level 1.
    pub fn depth_limit(mut self, limit: usize) -> Self {
        self.reader.depth_limit = limit;
        self
    }

    /// Builds the reader.
    ///
    /// # Errors
    /// [`ConfigError::Pointer`] when a pointer does not start with `/`, [`ConfigError::EmptyName`] when a name is
    /// blank, [`ConfigError::DepthLimit`] when the limit is not between 1 and [`DEFAULT_DEPTH_LIMIT`].
    pub fn build(self) -> Result<EventReader, ConfigError> {
        let EventReader { name_source, names, depth_limit } = &self.reader;
        let is_blank = |name: &str| name.trim().is_empty();
        match name_source {
            NameSource::Pointer(pointer) if !pointer.starts_with('/') => return Err(ConfigError::Pointer),
            NameSource::Fixed(name) if is_blank(name) => return Err(ConfigError::EmptyName),
            _ => {}
        }
        if !(1..=DEFAULT_DEPTH_LIMIT).contains(depth_limit) {
            return Err(ConfigError::DepthLimit);
        }
        if names.iter().any(|(name, _)| is_blank(name)) {
            return Err(ConfigError::EmptyName);
        }
        Ok(self.reader)
    }
}

/// The objects in wrappers, outermost first; the members that contain them; what was repaired.
struct Wrappers {
    wrapped: Vec<Scope>,
    opened: Vec<Place>,
    mended: Mended,
}

/// The text or digits at a place, when they can be a name.
fn name_in(index: usize, scope: &Scope, value: &Span) -> Option<Name> {
    let name = scalar(scope.raw(value)).ok().filter(|name| no_value(name).is_ok())?;
    Some(match name {
        // A part of the text, behind its quote if there is one.
        Cow::Borrowed(name) => {
            let start = value.start + (value.len() - name.len()) / 2;
            Name::Part { scope: index, span: start..start + name.len() }
        }
        Cow::Owned(name) => Name::Own(name.into()),
    })
}

/// Follows a JSON pointer without decoding what it passes by.
fn point(text: &str, pointer: &str) -> Option<Span> {
    pointer[1..].split('/').try_fold(0..text.len(), |span, token| {
        let token = token.replace("~1", "/").replace("~0", "~");
        if text[span.clone()].trim_start().starts_with('[') {
            let index = index_in(&token)?;
            elements(text, span, DEEPEST).ok()?.get(index).cloned()
        } else {
            let members = members(text, span);
            members.iter().rev().find(|member| member.key(text) == token).map(|member| member.value.clone())
        }
    })
}

/// An array index as RFC 6901 has it: digits without a sign and without leading zeros.
fn index_in(token: &str) -> Option<usize> {
    let is_plain = token == "0" || token.starts_with(|first| ('1'..='9').contains(&first));
    is_plain.then(|| token.parse().ok())?
}
