//! Named values of a request, from its query or its body: each is taken by who knows it, and what nobody took is refused.

use super::answer::Refusal;
use crate::text::nearest;
use serde_json::{Map, Value};

/// The parameters of a query, or the fields of an object.
pub(super) struct Fields {
    /// `parameter` or `field`.
    noun: &'static str,
    /// What stands before the names when they are told: `filter.`, for instance.
    prefix: &'static str,
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Those of a query.
    pub(super) fn of_query(query: Option<&str>) -> Result<Self, Refusal> {
        let mut left = Map::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let undecodable = |what: &str| {
                Refusal::bad_request(format!("malformed {what}: expected percent-encoded UTF-8, found other bytes"))
            };
            let name = percent_decoded(name).ok_or_else(|| undecodable("query"))?;
            let value = percent_decoded(value).ok_or_else(|| undecodable(&format!("parameter {}", quoted(&name))))?;
            if left.contains_key(&name) {
                let name = quoted(&name);
                return Err(Refusal::bad_request(format!(
                    "malformed query: expected each parameter once, found {name} twice"
                )));
            }
            left.insert(name, Value::String(value));
        }
        Ok(Self { noun: "parameter", prefix: "", left, known: Vec::new() })
    }

    /// Those of a body.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Refusal> {
        let object =
            |found: String| Refusal::bad_request(format!("malformed body: expected a JSON object, found {found}"));
        if body.is_empty() {
            return Err(object("nothing".to_owned()));
        }
        // What serde_json says may quote the body; where it stands does not.
        let value = serde_json::from_slice(body)
            .map_err(|error| object(format!("a fault at line {} column {}", error.line(), error.column())))?;
        match value {
            Value::Object(left) => Ok(Self { noun: "field", prefix: "", left, known: Vec::new() }),
            other => Err(object(kind_of(&other).to_owned())),
        }
    }

    /// A text that one of them is.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.malformed(name, &format!("expected a text, found {}", kind_of(&other)))),
        }
    }

    /// What is read from a text; the function says what it expected and what it found.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|fault| self.malformed(name, &fault))
    }

    /// One of some values, by its name.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        values: &[T],
        name_of: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, Refusal> {
        self.parsed(name, |text| {
            let names: Vec<_> = values.iter().map(|&value| name_of(value)).collect();
            let expected = || format!("expected {}, found another text", either(&names));
            values.iter().copied().find(|&value| name_of(value) == text).ok_or_else(expected)
        })
    }

    /// Whether one of them is true; false when it is left out.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Refusal> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(other) => Err(self.malformed(name, &format!("expected true or false, found {}", kind_of(&other)))),
        }
    }

    /// A list of what is read from texts.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Refusal> {
        let values = match self.take(name) {
            None => return Ok(None),
            Some(Value::Array(values)) => values,
            Some(other) => {
                return Err(self.malformed(name, &format!("expected a list, found {}", kind_of(&other))));
            }
        };
        let read = |(index, value): (usize, &Value)| {
            let parsed = match value {
                Value::String(text) => parse(text),
                other => Err(format!("expected a text, found {}", kind_of(other))),
            };
            parsed.map_err(|fault| self.malformed(&format!("{name}[{index}]"), &fault))
        };
        values.iter().enumerate().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// The fields of an object that one of them is; `prefix` is its name and a full stop.
    pub(super) fn object(&mut self, name: &'static str, prefix: &'static str) -> Result<Option<Self>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(left)) => Ok(Some(Self { noun: self.noun, prefix, left, known: Vec::new() })),
            Some(other) => Err(self.malformed(name, &format!("expected an object, found {}", kind_of(&other)))),
        }
    }

    /// One of them is not as it should be; the fault says what was expected and what was found.
    pub(super) fn malformed(&self, name: &str, fault: &str) -> Refusal {
        Refusal::bad_request(format!("malformed {} {}{name}: {fault}", self.noun, self.prefix))
    }

    /// Nothing may be left that nobody took.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        let Some(name) = self.left.keys().next() else { return Ok(()) };
        let meant = nearest(name, self.known.iter().copied());
        let advice = meant.map(|meant| format!("; was {}{meant} meant?", self.prefix)).unwrap_or_default();
        let (noun, name, expected) = (self.noun, quoted(name), either(&self.known));
        let place = self.prefix.strip_suffix('.').map(|place| format!(" in {place}")).unwrap_or_default();
        Err(Refusal::bad_request(format!(
            "unknown {noun} {name}{place}: expected {expected}, found another name{advice}"
        )))
    }

    /// What is `null` is left out.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }
}

/// What kind of value it is, for a message that must not tell the value.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// `a, b or c`.
fn either(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A stranger's name, short and on one line.
pub(super) fn quoted(name: &str) -> String {
    const MOST: usize = 40;
    let start: String = name.chars().take(MOST).collect();
    let more = if start.len() < name.len() { "..." } else { "" };
    format!("{start:?}{more}")
}

/// The text that was percent-encoded; none when it was not, or is not UTF-8. What `Url` and browsers' forms make is read.
fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}
