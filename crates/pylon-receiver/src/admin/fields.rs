//! Reads the types of [`wire`](crate::wire) from a query or a body, and says exactly what is wrong with them.
//!
//! Each type takes the fields that it declares; [`Fields::finish`] refuses what no type has taken. A field that is `null` counts
//! as left out.

use super::answer::Refusal;
use crate::text::{nearest, one_of, quoted};
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::{Map, Value};
use std::fmt;

/// The parameters of a query, or the fields of a body.
pub(crate) struct Fields {
    noun: Noun,
    object: Object,
}

/// What an error calls a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Noun {
    Parameter,
    Field,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parameter => "parameter",
            Self::Field => "field",
        })
    }
}

impl Fields {
    /// Those of a query.
    pub(crate) fn of_query(query: Option<&str>) -> Result<Self, Refusal> {
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
        Ok(Self { noun: Noun::Parameter, object: Object::new(left) })
    }

    /// Those of a body.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Refusal> {
        let object =
            |found: String| Refusal::bad_request(format!("malformed body: expected a JSON object, found {found}"));
        if body.is_empty() {
            return Err(object("nothing".to_owned()));
        }
        // The text of serde_json's error may quote the body; the position does not.
        let value = serde_json::from_slice(body)
            .map_err(|error| object(format!("a fault at line {} column {}", error.line(), error.column())))?;
        match value {
            Value::Object(left) => Ok(Self { noun: Noun::Field, object: Object::new(left) }),
            other => Err(object(kind_of(&other).to_owned())),
        }
    }

    /// Those of an order that was read elsewhere: they only name what is wrong with it.
    pub(crate) fn of_order() -> Self {
        Self { noun: Noun::Field, object: Object::new(Map::new()) }
    }

    /// The value of this type; it takes its fields.
    pub(crate) fn read<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        T::deserialize(&mut self.object).map_err(|fault| self.refusal(fault))
    }

    /// Refuses a field whose value is not valid; the fault says what was expected and what was found.
    pub(super) fn malformed(&self, name: &str, fault: impl Into<String>) -> Refusal {
        self.refusal(Fault { place: name.to_owned(), what: What::Malformed(fault.into()) })
    }

    /// Refuses fields that no type has taken.
    pub(crate) fn finish(&mut self) -> Result<(), Refusal> {
        self.object.finish().map_err(|fault| self.refusal(fault))
    }

    fn refusal(&self, Fault { place, what }: Fault) -> Refusal {
        let noun = self.noun;
        Refusal::bad_request(match what {
            What::Malformed(fault) => format!("malformed {noun} {place}: {fault}"),
            What::Unknown { name, known } => {
                let (prefix, place) = match place.as_str() {
                    "" => (String::new(), String::new()),
                    place => (format!("{place}."), format!(" in {place}")),
                };
                let meant = nearest(&name, known.iter().copied());
                let advice = meant.map(|meant| format!("; did you mean `{prefix}{meant}`?")).unwrap_or_default();
                let (name, expected) = (quoted(&name), one_of(known));
                format!("unknown {noun} {name}{place}: expected {expected}, found another name{advice}")
            }
        })
    }
}

/// Why a value could not be read.
#[derive(Debug)]
struct Fault {
    /// Which field: `filter.since` or `ids[0]`, for instance.
    place: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Malformed(String),
    /// No type has a field of this name.
    Unknown {
        name: String,
        known: Vec<&'static str>,
    },
}

impl Fault {
    fn expected(expected: &str, found: &Value) -> Self {
        de::Error::custom(format_args!("expected {expected}, found {}", kind_of(found)))
    }

    fn within(self, outer: &str) -> Self {
        let place = match self.place.as_str() {
            "" => outer.to_owned(),
            inner if inner.starts_with('[') => format!("{outer}{inner}"),
            inner => format!("{outer}.{inner}"),
        };
        Self { place, ..self }
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: String::new(), what: What::Malformed(message.to_string()) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { place: field.to_owned(), what: What::Malformed("expected a value, found none".to_owned()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl std::error::Error for Fault {}

/// An object whose fields are taken by the types that declare them.
struct Object {
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Object {
    fn new(left: Map<String, Value>) -> Self {
        Self { left, known: Vec::new() }
    }

    fn finish(&mut self) -> Result<(), Fault> {
        let Some(name) = self.left.keys().next() else { return Ok(()) };
        let what = What::Unknown { name: name.clone(), known: std::mem::take(&mut self.known) };
        Err(Fault { place: String::new(), what })
    }
}

impl<'de> Deserializer<'de> for &mut Object {
    type Error = Fault;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.known.extend(fields);
        let taken = fields.iter().filter_map(|&field| Some((field, self.left.remove(field)?)));
        let taken: Vec<_> = taken.filter(|(_, value)| !value.is_null()).collect();
        visitor.visit_map(Taken { fields: taken.into_iter(), value: None })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom("expected a type with fields of its own"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The fields that a type has taken.
struct Taken {
    fields: std::vec::IntoIter<(&'static str, Value)>,
    value: Option<(&'static str, Value)>,
}

impl<'de> de::MapAccess<'de> for Taken {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.fields.next();
        self.value.as_ref().map(|&(name, _)| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) = self.value.take().expect("serde asks for a key first");
        seed.deserialize(One(value)).map_err(|fault| fault.within(name))
    }
}

/// The value of one field.
struct One(Value);

impl<'de> Deserializer<'de> for One {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            other => Err(Fault::expected("a text", &other)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(value),
            other => Err(Fault::expected("true or false", &other)),
        }
    }

    /// A query has its numbers as texts.
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = match &self.0 {
            Value::Number(number) => number.as_u64().ok_or("another number"),
            Value::String(text) => text.parse().map_err(|_| match text.parse::<f64>() {
                Ok(_) => "another number",
                Err(_) => "text",
            }),
            other => Err(kind_of(other)),
        };
        let number = number.map_err(|found| de::Error::custom(format_args!("expected a whole number, found {found}")));
        visitor.visit_u64(number?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_u64(visitor)
    }

    /// What is `null` was left out before.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Array(values) => visitor.visit_seq(Items { values: values.into_iter(), read: 0 }),
            other => Err(Fault::expected("a list", &other)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let mut object = match self.0 {
            Value::Object(left) => Object::new(left),
            other => return Err(Fault::expected("an object", &other)),
        };
        let value = object.deserialize_struct(name, fields, visitor)?;
        object.finish()?;
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(text) if variants.contains(&text.as_str()) => visitor.visit_enum(text.into_deserializer()),
            Value::String(_) => Err(de::Error::custom(format_args!(
                "expected {}, found something else",
                one_of(variants.iter().copied())
            ))),
            other => Err(Fault::expected("a text", &other)),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct map identifier ignored_any
    }
}

/// The items of a list.
struct Items {
    values: std::vec::IntoIter<Value>,
    read: usize,
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(value) = self.values.next() else { return Ok(None) };
        let place = format!("[{}]", self.read);
        self.read += 1;
        seed.deserialize(One(value)).map(Some).map_err(|fault| fault.within(&place))
    }
}

/// The type of a value, for messages that must not show the value.
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

/// Decodes percent-encoded text, also with `+` for a space; none if it is malformed or not UTF-8.
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
