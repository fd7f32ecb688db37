//! One event, whose fields are decoded when they are read.

use super::coerce::{FieldValue, coerce, no_value, scalar};
use super::custom_field::custom_fields_in;
use super::datetime::DateTime;
use super::extra::unclaimed;
use super::field::{Field, Shape};
use super::kind::{EventKind, names_match};
use super::mend::{Mended, mend};
use super::problem::{Problem, Reason};
use super::scan::Span;
use super::scope::{Scope, is_joined};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// One event: the exact bytes, the event's name and kind, and its fields, each decoded when it is read.
///
/// Cloning is cheap. Two events are equal when their bytes, names and kinds are equal.
///
/// ```
/// let body = br#"{"event_type": "issue_new", "issue_id": "i1", "region": "eu", "issue_custom_field_tier": "gold"}"#;
/// let event = pylon_webhooks::parse_webhook_event(body)?;
/// assert_eq!(event.raw(), body.as_slice());
/// assert_eq!(event.text("issue_id"), "i1");
/// assert_eq!(event.custom_fields()["tier"], "gold");
/// assert_eq!(event.extra()["region"], "eu");
/// assert_eq!(event.payload()["issue_id"], "i1");
/// # Ok::<(), pylon_webhooks::Error>(())
/// ```
#[derive(Clone)]
pub struct WebhookEvent(pub(super) Arc<Inner>);

/// What the reader found.
pub(super) struct Inner {
    /// The body, where it differs from the root's text.
    pub(super) raw: Option<Bytes>,
    pub(super) root: Scope,
    /// The objects in wrappers, outermost first.
    pub(super) wrapped: Vec<Scope>,
    /// The members that hold those objects.
    pub(super) opened: Vec<Place>,
    pub(super) name: Name,
    /// The value that the name came from.
    pub(super) name_place: Option<Found>,
    pub(super) kind: Option<EventKind>,
    pub(super) mended: Mended,
    pub(super) payload: OnceLock<Value>,
}

/// The event's name.
pub(super) enum Name {
    /// A part of a scope's text; the scope by its number, root first.
    Part { scope: usize, span: Span },
    /// A text of its own: fixed by configuration, or decoded.
    Own(Box<str>),
}

impl Inner {
    pub(super) fn name(&self) -> &str {
        match &self.name {
            Name::Part { scope, span } => self.scope(*scope).raw(span),
            Name::Own(name) => name,
        }
    }

    fn scope(&self, index: usize) -> &Scope {
        match index {
            0 => &self.root,
            _ => &self.wrapped[index - 1],
        }
    }
}

/// A member: the number of its scope, root first, and where its value begins in that scope's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) scope: usize,
    pub(super) start: usize,
}

/// A value found: the number of its scope, root first, and where it stands in that scope's text.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) scope: usize,
    pub(super) span: Span,
}

impl WebhookEvent {
    /// The event's name as it was sent, or as configured; empty when the body has none.
    pub fn event_type(&self) -> &str {
        self.0.name()
    }

    /// The kind that the event is taken for; none for a name that means no kind.
    pub fn kind(&self) -> Option<EventKind> {
        self.0.kind
    }

    /// Whether the event has this name, or is of the kind with this name or with the type of this name.
    pub fn is_named(&self, name: &str) -> bool {
        names_match(self.event_type(), name) || self.kind().is_some_and(|kind| kind.is_named(name))
    }

    /// The body, byte for byte.
    pub fn raw(&self) -> &Bytes {
        self.0.raw.as_ref().unwrap_or(self.0.root.text.as_bytes())
    }

    /// The body as valid JSON text. What a template broke is repaired; see [`problems`](Self::problems).
    pub fn json(&self) -> Cow<'_, str> {
        mend(&self.0.root.text).0
    }

    /// The body as JSON, parsed on first use.
    pub fn payload(&self) -> &Value {
        self.0.payload.get_or_init(|| {
            serde_json::from_str(&self.json())
                .expect("the reader has checked grammar and depth, and `json` mends the rest")
        })
    }

    /// The body as a type of your own.
    ///
    /// # Errors
    /// The error of the type's deserializer.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.json())
    }

    /// The typed fields of this event's kind; none for an unknown one.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.kind().into_iter().flat_map(EventKind::fields)
    }

    /// The typed value of a field.
    ///
    /// # Errors
    /// The reason why there is no typed value.
    pub fn read(&self, field: &Field) -> Result<FieldValue<'_>, Reason> {
        let found = self.find(field).ok_or(Reason::Absent)?;
        coerce(self.found(&found), field.shape)
    }

    /// The text of a field before typing: a string's text or a number's digits; empty when the body has no such value.
    ///
    /// Takes the name of a typed field, or any key.
    pub fn text(&self, name: &str) -> Cow<'_, str> {
        let found = match Field::named(name) {
            Some(field) => self.find(field),
            None => self.find_key(name),
        };
        found.and_then(|found| scalar(self.found(&found)).ok()).unwrap_or_default()
    }

    /// The fields that have no typed value, and what was repaired in the body.
    ///
    /// A missing text or list reads as empty and is no problem. A missing number, date or boolean is a problem. An
    /// unresolved `{{ placeholder }}` is always a problem.
    pub fn problems(&self) -> Vec<Problem> {
        let mended = self.0.mended.and(mend(&self.0.root.text).1);
        let payload = mended.reasons().map(|reason| Problem { field: "payload", reason });
        let fields = self.fields().filter_map(|field| {
            let reason = match self.read(field) {
                Err(reason) => reason,
                // Text is not changed, but an unresolved placeholder in it is reported.
                Ok(FieldValue::Text(text)) => no_value(&text).err()?,
                Ok(_) => return None,
            };
            let may_be_empty = matches!(field.shape, Shape::Text | Shape::Id | Shape::List(_));
            let is_empty = matches!(reason, Reason::Absent | Reason::Empty);
            (!(may_be_empty && is_empty)).then_some(Problem { field: field.name, reason })
        });
        payload.chain(fields).collect()
    }

    /// The custom fields by slug: `issue_custom_field_<slug>`, `custom_field_<slug>`, or the members of `custom_fields`.
    pub fn custom_fields(&self) -> Map<String, Value> {
        values(self.custom_fields_json())
    }

    /// The custom fields by slug, each value as JSON text. Of several with one slug, the last one counts.
    pub(crate) fn custom_fields_json(&self) -> Vec<(String, Cow<'_, str>)> {
        // Innermost first, so that the outer value wins.
        let members = self.scopes().rev().flat_map(|scope| scope.members.iter().map(move |member| (scope, member)));
        let found = members.flat_map(|(scope, member)| {
            custom_fields_in(scope, member).into_iter().map(move |(slug, span)| (slug, mend(scope.raw(&span)).0))
        });
        found.collect()
    }

    /// The keys and values that no typed field, custom field, wrapper or event name uses. Of an object that is used in
    /// part, the rest.
    pub fn extra(&self) -> Map<String, Value> {
        values(self.extra_json())
    }

    /// What [`extra`](Self::extra) has, each value as JSON text, in the order of the body.
    pub(crate) fn extra_json(&self) -> Vec<(String, Cow<'_, str>)> {
        let read: Vec<&Field> = self.kind().into_iter().flat_map(|kind| kind.fields().chain(kind.views())).collect();
        let found = read.iter().filter_map(|field| self.find(field)).chain(self.0.name_place.clone());
        let found: Vec<Found> = found.collect();
        // A field's own key is known, even when the value was found elsewhere.
        let is_known = |key: &str, raw: &str| {
            !raw.starts_with('{') && read.iter().any(|field| field.paths.iter().any(|path| is_joined(key, path)))
        };
        let (mut extra, mut seen) = (Vec::new(), HashSet::new());
        // Outermost first: the outer value wins.
        for (index, scope) in self.scopes().enumerate() {
            let fields = found.iter().filter(|found| found.scope == index).map(|found| found.span.clone());
            let custom = scope.members.iter().flat_map(|member| custom_fields_in(scope, member)).map(|(_, span)| span);
            let mut claims: Vec<Span> = fields.chain(custom).collect();
            claims.sort_unstable_by_key(|claim| (claim.start, claim.end));
            for member in scope.members_that_count() {
                let place = Place { scope: index, start: member.value.start };
                let is_opened = self.0.opened.contains(&place);
                let key = scope.key(member);
                if is_opened || is_known(key, scope.raw(&member.value)) || seen.contains(key) {
                    continue;
                }
                if let Some(json) = unclaimed(scope, &member.value, &claims) {
                    seen.insert(key);
                    extra.push((key.to_owned(), json));
                }
            }
        }
        extra
    }

    pub(super) fn text_of(&self, field: &Field) -> Cow<'_, str> {
        match self.read(field) {
            Ok(FieldValue::Text(text)) => text,
            _ => Cow::Borrowed(""),
        }
    }

    pub(super) fn number_of(&self, field: &Field) -> Option<i64> {
        match self.read(field) {
            Ok(FieldValue::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub(super) fn boolean_of(&self, field: &Field) -> Option<bool> {
        match self.read(field) {
            Ok(FieldValue::Boolean(boolean)) => Some(boolean),
            _ => None,
        }
    }

    pub(super) fn date_time_of(&self, field: &Field) -> Option<DateTime> {
        match self.read(field) {
            Ok(FieldValue::DateTime(time)) => Some(time),
            _ => None,
        }
    }

    pub(super) fn list_of(&self, field: &Field) -> Vec<Cow<'_, str>> {
        match self.read(field) {
            Ok(FieldValue::List(list)) => list,
            _ => Vec::new(),
        }
    }

    fn scopes(&self) -> impl DoubleEndedIterator<Item = &Scope> {
        std::iter::once(&self.0.root).chain(&self.0.wrapped)
    }

    fn found(&self, found: &Found) -> &str {
        self.0.scope(found.scope).raw(&found.span)
    }

    /// The first value that is not blank, or else the first one.
    fn find(&self, field: &Field) -> Option<Found> {
        let mut blank = None;
        for found in self.candidates(field) {
            if !is_blank(self.found(&found), field.shape) {
                return Some(found);
            }
            blank = blank.or(Some(found));
        }
        blank
    }

    fn find_key(&self, key: &str) -> Option<Found> {
        self.scopes().enumerate().find_map(|(scope, inner)| Some(Found { scope, span: inner.get(key)?.value.clone() }))
    }

    /// The places of a field, first choice first: its full path, outermost scope first; then the path without `issue`,
    /// innermost scope first, because an envelope has its own `id`.
    fn candidates<'f>(&'f self, field: &'f Field) -> impl Iterator<Item = Found> + 'f {
        let find = |(scope, inner): (usize, &Scope), path: &str| Some(Found { scope, span: inner.find(path)? });
        let full = self
            .scopes()
            .enumerate()
            .flat_map(move |place| field.paths.iter().filter_map(move |path| find(place, path)));
        let inward = (0..=self.0.wrapped.len()).rev().map(|index| (index, self.0.scope(index)));
        let bare_paths = || field.paths.iter().filter_map(|path| path.strip_prefix("issue."));
        let bare = inward.flat_map(move |place| bare_paths().filter_map(move |path| find(place, path)));
        full.chain(bare)
    }
}

impl fmt::Debug for WebhookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body is a customer's text: a log shows only its length.
        f.debug_struct("WebhookEvent")
            .field("event_type", &self.event_type())
            .field("kind", &self.kind())
            .field("raw_bytes", &self.raw().len())
            .finish_non_exhaustive()
    }
}

impl PartialEq for WebhookEvent {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.event_type() == other.event_type() && self.raw() == other.raw()
    }
}

impl Eq for WebhookEvent {}

impl Hash for WebhookEvent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.raw().hash(state);
    }
}

/// Whether the value is blank: `null` or blank text; outside text fields also the word `null` or a placeholder.
fn is_blank(raw: &str, shape: Shape) -> bool {
    match (scalar(raw), shape) {
        (Ok(text), Shape::Text) => text.trim().is_empty(),
        (Ok(text), _) => no_value(&text).is_err(),
        (Err(reason), _) => reason == Reason::Empty,
    }
}

/// Values of the body, parsed.
fn values(json: Vec<(String, Cow<'_, str>)>) -> Map<String, Value> {
    let parse = |json: &str| {
        serde_json::from_str(json).expect("the reader has checked grammar and depth, and mending does the rest")
    };
    json.into_iter().map(|(key, json)| (key, parse(&json))).collect()
}
