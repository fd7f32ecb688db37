//! The keys of `[[endpoint]]`: where webhooks come in.

use super::declare::{Entry, Format, Key, Section, Shown, key, keys};
use super::fault::Place;
use super::network::{SOURCES, Source};
use super::pointer::pointer_fault;
use super::secret::SecretSource;
use super::source::{SECRETS, parse_header_name, read_either, show_source};
use super::table::{Table, Wrong, found, parts};
use super::value::{
    Choice, DURATION, DURATION_OR_ZERO, RATE, SIZE, Value, choice, expected, quote, read_choice, read_text, text, value,
};
use crate::text::{quoted, show_duration};
use http::HeaderName;
use http::uri::PathAndQuery;
use pylon_webhooks::{DEFAULT_BODY_LIMIT, DEFAULT_TOLERANCE, NameSource, TimestampRule};
use std::sync::Arc;
use std::time::Duration;
use toml::de::DeValue;

/// The path of the endpoint that exists if no other is configured.
pub const DEFAULT_PATH: &str = "/webhook";

/// The environment variable with that endpoint's secret.
pub const DEFAULT_SECRET_VARIABLE: &str = "PYLON_WEBHOOK_SECRET";

keys! {
    /// Where webhooks come in.
    EndpointConfig {
        /// The endpoint's name in lists, filters and metrics; by default its path without the outer slashes.
        name: Arc<str> = "".into(), text().checked(name_fault).without_default(), Reload;
        /// The exact path.
        path: String = DEFAULT_PATH.to_owned(), PATH, Reload;
        /// Whether a signature is `required`. `none` accepts requests without one and needs `header`.
        signature: Option<SignatureRule> = Some(SignatureRule::default()), SignatureKeys, Reload;
        /// A header that every request must have, with its whole value: `{ name, env }` or `{ name, file }`.
        header: Option<RequiredHeader> = None, HEADER, Reload;
        /// Where requests may come from; empty for everywhere. `us` and `eu` are Pylon's published addresses as of 2026-11; others are addresses and networks such as `10.0.0.0/8`. Others get 403.
        sources: Vec<Source> = Vec::new(), SOURCES, Reload;
        /// Larger bodies get 413.
        body_limit: usize = DEFAULT_BODY_LIMIT, SIZE, Reload;
        /// The name of all events of the endpoint.
        event_name: NameSource = NameSource::Keys, NameKeys, Reload;
        /// Which requests are duplicates: `exact`, `off`, `{ pointer, window }` or `{ body_window }`. Windows are whole seconds.
        deduplication: Deduplication = Deduplication::default(), DEDUPLICATION, Reload;
        /// New events per second; further ones get 429. Forged requests and duplicates do not count.
        rate: Option<f64> = None, RATE, Reload;
    }
}

impl EndpointConfig {
    /// An endpoint for Pylon's signatures with any of these secrets. Its name is the path without the outer slashes, or `webhook`
    /// if nothing is left.
    pub fn signed(path: impl Into<String>, secrets: impl IntoIterator<Item = SecretSource>) -> Self {
        let rule = SignatureRule::default().secrets(secrets.into_iter().collect());
        Self::default().path(path.into()).signature(Some(rule)).named()
    }

    /// Names an endpoint that has no name after its path.
    pub(super) fn named(mut self) -> Self {
        if self.name.is_empty() {
            self.name = Some(self.path.trim_matches('/')).filter(|name| !name.is_empty()).unwrap_or("webhook").into();
        }
        self
    }

    /// The secrets that the endpoint needs.
    pub fn needed_secrets(&self) -> impl Iterator<Item = &SecretSource> {
        let signature = self.signature.iter().flat_map(|rule| &rule.secrets);
        signature.chain(self.header.iter().map(|header| &header.value))
    }
}

keys! {
    /// Which signatures are accepted.
    SignatureRule {
        /// Any of these secrets verifies a request.
        secrets: Vec<SecretSource> = Vec::new(), SECRETS.without_default(), Reload;
        /// Whether a timestamp is `optional` or `required`. Pylon's requests have none.
        timestamp: TimestampRule = TimestampRule::Optional, choice(), Reload;
        /// How far a timestamp can lie from now.
        tolerance: Duration = DEFAULT_TOLERANCE, DURATION_OR_ZERO, Reload;
    }
}

impl Choice for TimestampRule {
    const WORDS: &'static [(&'static str, Self)] = &[("optional", Self::Optional), ("required", Self::Required)];
}

/// The key `signature`, and the keys that belong to a signature.
struct SignatureKeys;

/// The words of the key `signature`.
#[derive(Clone, Copy, PartialEq)]
enum Signature {
    Required,
    None,
}

impl Choice for Signature {
    const WORDS: &'static [(&'static str, Self)] = &[("required", Self::Required), ("none", Self::None)];
}

impl Format<Option<SignatureRule>> for SignatureKeys {
    fn read(&self, key: &'static Key, rule: &mut Option<SignatureRule>, table: &mut Table<'_, '_>) {
        let signature = table.get(key.name, read_choice).unwrap_or(Signature::Required);
        if signature == Signature::None {
            for key in SignatureRule::names() {
                table.refuse(key, "expected only with a signature, found beside `signature = \"none\"`");
            }
        }
        let read = SignatureRule::read(table);
        *rule = (signature == Signature::Required).then_some(read);
    }

    fn visit(&self, key: &'static Key, rule: &Option<SignatureRule>, place: Place, entries: &mut Vec<Entry>) {
        let word = if rule.is_some() { "required" } else { "none" };
        entries.push(Entry::new(place, key, "word", Shown::Value(quote(word))));
        rule.iter().for_each(|rule| rule.visit(place, entries));
    }
}

/// A header that every request must have, with this value.
#[derive(Debug, Clone, PartialEq)]
pub struct RequiredHeader {
    /// The header's name.
    pub name: HeaderName,
    /// The whole value, for instance `Bearer abc`.
    pub value: SecretSource,
}

const HEADER: Value<RequiredHeader> = value(
    "table",
    |value| {
        let DeValue::Table(table) = value else { return Err(expected("a table", &value)) };
        if table.contains_key("value") {
            let text = "expected `env` or `file`, found `value`; a secret must not be in this file";
            return Err(text.to_owned().into());
        }
        let [name, env, file] = parts(table, ["name", "env", "file"])?;
        let name = name.ok_or_else(|| Wrong::from("expected `name`, found none".to_owned()))?.into_inner();
        let name = read_text(name).and_then(|name| parse_header_name(&name)).map_err(|wrong| wrong.within("name"))?;
        let value = read_either(env.map(|env| env.into_inner()), file.map(|file| file.into_inner()))?;
        Ok(RequiredHeader { name, value })
    },
    |header| Some(format!("{{ name = {}, {} }}", quote(header.name.as_str()), show_source(&header.value)?)),
);

/// The keys `event_name` and `event_name_pointer`.
struct NameKeys;

const POINTER: &Key = key!("Where the event's name is in the body, as a JSON pointer; without it, the usual keys are searched.", Reload, pointer "event_name_pointer");

impl Format<NameSource> for NameKeys {
    fn read(&self, key: &'static Key, source: &mut NameSource, table: &mut Table<'_, '_>) {
        if table.has(key.name) {
            table.refuse(POINTER.name, "expected either `event_name` or `event_name_pointer`, found both");
        }
        let mut get = |key: &'static Key, make: fn(Box<str>) -> NameSource| {
            let read = |value| {
                let source = make(read_text(value)?.into());
                event_name_fault(&source).map_or(Ok(source), |text| Err(text.into()))
            };
            table.get(key.name, read)
        };
        let (fixed, pointer) = (get(key, NameSource::Fixed), get(POINTER, NameSource::Pointer));
        *source = fixed.or(pointer).unwrap_or_default();
    }

    fn visit(&self, key: &'static Key, source: &NameSource, place: Place, entries: &mut Vec<Entry>) {
        let (fixed, pointer) = match source {
            NameSource::Keys => (None, None),
            NameSource::Pointer(pointer) => (None, Some(quote(pointer))),
            NameSource::Fixed(name) => (Some(quote(name)), None),
        };
        for (key, shown) in [(key, fixed), (POINTER, pointer)] {
            let fault = if shown.is_some() { event_name_fault(source) } else { None };
            entries.push(Entry { fault, ..Entry::new(place, key, "text", Shown::optional(shown)) });
        }
    }
}

fn event_name_fault(source: &NameSource) -> Option<String> {
    match source {
        NameSource::Pointer(pointer) => pointer_fault(pointer),
        NameSource::Fixed(name) if name.trim().is_empty() => {
            Some("expected an event name, found a blank one".to_owned())
        }
        _ => None,
    }
}

/// Which requests of an endpoint are copies of one event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Deduplication {
    /// None.
    Off,
    /// Requests with the same timestamp and body. A request without a timestamp is never a copy, because small templates give
    /// equal bodies for different events.
    #[default]
    ExactRequest,
    /// Events of one kind with the same value in the body.
    Pointer {
        /// The JSON pointer to the value, such as `/data/id`.
        pointer: Box<str>,
        /// For how long the value counts; none: as long as the first event is kept.
        window: Option<Duration>,
    },
    /// Requests with the same body, even if they are different events.
    BodyHash {
        /// For how long the body counts.
        window: Duration,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Exact,
    Off,
}

impl Choice for Word {
    const WORDS: &'static [(&'static str, Self)] = &[("exact", Self::Exact), ("off", Self::Off)];
}

const DEDUPLICATION: Value<Deduplication> = value("word or table", read_deduplication, |rule| {
    let window = |key: &str, window: Duration| format!("{key} = {}", quote(&show_duration(window)));
    Some(match rule {
        Deduplication::Off => quote("off"),
        Deduplication::ExactRequest => quote("exact"),
        Deduplication::Pointer { pointer, window: None } => format!("{{ pointer = {} }}", quote(pointer)),
        Deduplication::Pointer { pointer, window: Some(time) } => {
            format!("{{ pointer = {}, {} }}", quote(pointer), window("window", *time))
        }
        Deduplication::BodyHash { window: time } => format!("{{ {} }}", window("body_window", *time)),
    })
})
.checked(|rule| match rule {
    Deduplication::Off | Deduplication::ExactRequest => None,
    Deduplication::Pointer { pointer, window } => {
        pointer_fault(pointer).or_else(|| window.as_ref().and_then(window_fault))
    }
    Deduplication::BodyHash { window } => window_fault(window),
});

fn read_deduplication(value: DeValue<'_>) -> Result<Deduplication, Wrong> {
    let table = match value {
        DeValue::Table(table) => table,
        DeValue::String(_) => {
            return Ok(match read_choice(value)? {
                Word::Exact => Deduplication::ExactRequest,
                Word::Off => Deduplication::Off,
            });
        }
        other => return Err(format!("expected `exact`, `off` or a table, found {}", found(&other)).into()),
    };
    let [pointer, window, body_window] = parts(table, ["pointer", "window", "body_window"])?;
    let duration = |key: &str, value: DeValue<'_>| (DURATION.read)(value).map_err(|wrong| wrong.within(key));
    match (pointer, window, body_window) {
        (Some(pointer), window, None) => {
            let pointer = read_text(pointer.into_inner()).map_err(|wrong| wrong.within("pointer"))?.into();
            let window = window.map(|window| duration("window", window.into_inner())).transpose()?;
            Ok(Deduplication::Pointer { pointer, window })
        }
        (None, None, Some(window)) => {
            Ok(Deduplication::BodyHash { window: duration("body_window", window.into_inner())? })
        }
        (None, Some(_), _) => Err("expected `window` only beside `pointer`, found it without".to_owned().into()),
        (Some(_), _, Some(_)) => Err("expected either `pointer` or `body_window`, found both".to_owned().into()),
        (None, None, None) => Err("expected either `pointer` or `body_window`, found none".to_owned().into()),
    }
}

/// Why this cannot be a window: the library counts windows in seconds.
fn window_fault(window: &Duration) -> Option<String> {
    let has_fraction = window.subsec_nanos() != 0;
    let fault = || format!("expected a window of whole seconds, found `{}`", show_duration(*window));
    (DURATION.check)(window).or_else(|| has_fraction.then(fault))
}

/// Why this cannot be a name.
pub(super) fn name_fault(name: &Arc<str>) -> Option<String> {
    if name.trim().is_empty() {
        return Some("expected a name, found a blank one".to_owned());
    }
    let has_control = name.chars().any(char::is_control);
    has_control.then(|| format!("expected a name without control characters, found {}", quoted(name)))
}

/// The path of a request.
pub(super) const PATH: Value<String> = text().checked(path_fault);

/// Why no request can have this path.
fn path_fault(path: &String) -> Option<String> {
    let expected = if !path.starts_with('/') {
        "a path that begins with `/`"
    } else if path.contains(['?', '#']) {
        "a path without a query or a fragment"
    } else if !path.is_ascii() || !path.parse::<PathAndQuery>().is_ok_and(|parsed| parsed.as_str() == path) {
        "a path as it stands in a URL, with %20 for a space"
    } else {
        return None;
    };
    Some(format!("expected {expected}, found {}", quoted(path)))
}
