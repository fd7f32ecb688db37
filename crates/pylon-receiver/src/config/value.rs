//! The formats of single values: how each is read, shown and checked.

use super::declare::{Entry, Format, Key, Shown};
use super::fault::Place;
use super::table::{Table, Wrong, found};
use crate::text::{
    LONGEST_DURATION, URL, nearest, one_of, parse_bytes, parse_duration, parse_url, quoted, show_bytes, show_duration,
    url_fault,
};
use http::Uri;
use std::fmt::{Display, Write};
use std::path::PathBuf;
use std::time::Duration;
use toml::de::DeValue;

/// How a value under one key is read, or what was expected and what was found.
pub(super) type Read<T> = fn(DeValue<'_>) -> Result<T, Wrong>;

/// How a value is shown as TOML; none if a program gave it and a file cannot say it.
type Show<T> = fn(&T) -> Option<String>;

/// What is wrong with a value that can be read.
type Check<T> = fn(&T) -> Option<String>;

/// The format of a value under one key.
pub(super) struct Value<T> {
    kind: &'static str,
    pub(super) read: Read<T>,
    pub(super) show: Show<T>,
    pub(super) check: Check<T>,
    is_required: bool,
    has_default: bool,
}

/// A format without a check.
pub(super) const fn value<T>(kind: &'static str, read: Read<T>, show: Show<T>) -> Value<T> {
    Value { kind, read, show, check: |_| None, is_required: false, has_default: true }
}

impl<T> Value<T> {
    /// The same format with this check.
    pub(super) const fn checked(&self, check: Check<T>) -> Self {
        Self { check, ..*self }
    }

    /// The same format of a key whose initial value is none that users can have.
    pub(super) const fn without_default(&self) -> Self {
        Self { has_default: false, ..*self }
    }

    /// The same format of a key that must be there.
    pub(super) const fn required(&self) -> Self {
        Self { is_required: true, has_default: false, ..*self }
    }
}

/// A field for a value, which may be optional.
pub(super) trait Slot<T> {
    fn of(value: T) -> Self;
    fn value(&self) -> Option<&T>;
}

impl<T> Slot<T> for T {
    fn of(value: T) -> Self {
        value
    }

    fn value(&self) -> Option<&T> {
        Some(self)
    }
}

impl<T> Slot<T> for Option<T> {
    fn of(value: T) -> Self {
        Some(value)
    }

    fn value(&self) -> Option<&T> {
        self.as_ref()
    }
}

impl<T, S: Slot<T>> Format<S> for Value<T> {
    fn read(&self, key: &'static Key, slot: &mut S, table: &mut Table<'_, '_>) {
        if self.is_required {
            table.require(key.name);
        }
        let read = table.get(key.name, |found| {
            let read = (self.read)(found)?;
            (self.check)(&read).map_or(Ok(read), |text| Err(text.into()))
        });
        if let Some(read) = read {
            *slot = S::of(read);
        }
    }

    fn visit(&self, key: &'static Key, slot: &S, place: Place, entries: &mut Vec<Entry>) {
        let value = slot.value();
        let shown = value.map_or(Shown::Absent, |value| (self.show)(value).map_or(Shown::Given, Shown::Value));
        let (has_default, fault) = (self.has_default, value.and_then(self.check));
        entries.push(Entry { has_default, fault, ..Entry::new(place, key, self.kind, shown) });
    }
}

/// A word that stands for a value.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// Every word with its value.
    const WORDS: &'static [(&'static str, Self)];
}

/// One of some words.
pub(super) const fn choice<T: Choice>() -> Value<T> {
    value("word", read_choice, |choice| {
        let word = T::WORDS.iter().find(|(_, value)| value == choice);
        word.map(|(word, _)| quote(word))
    })
}

/// Reads one of some words.
pub(super) fn read_choice<T: Choice>(value: DeValue<'_>) -> Result<T, Wrong> {
    let words = || T::WORDS.iter().map(|(word, _)| *word);
    let DeValue::String(text) = &value else { return Err(expected(&one_of(words()), &value)) };
    match T::WORDS.iter().find(|(word, _)| *word == text.as_ref()) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let hint = nearest(text, words()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            Err(format!("expected {}, found {}{hint}", one_of(words()), quoted(text)).into())
        }
    }
}

/// `true` or `false`.
pub(super) const BOOLEAN: Value<bool> = value(
    "boolean",
    |value| match value {
        DeValue::Boolean(truth) => Ok(truth),
        other => Err(expected("`true` or `false`", &other)),
    },
    |truth| Some(truth.to_string()),
);

/// A text of one character or more.
pub(super) const fn text<T: for<'t> From<&'t str> + AsRef<str>>() -> Value<T> {
    value("text", |value| Ok(T::from(&read_text(value)?)), |text| Some(quote(text.as_ref())))
}

/// The URL of an HTTP server.
pub(super) const HTTP_URL: Value<Uri> =
    value("URL", |value| Ok(parse_url(&read_text_as(URL, value)?)?), |url| Some(quote(&url.to_string())))
        .checked(url_fault);

/// A file.
pub(super) const FILE: Value<PathBuf> =
    value("path", |value| read_text(value).map(PathBuf::from), |path| Some(quote(&path.display().to_string())))
        .checked(|path| {
            path.as_os_str().is_empty().then(|| "expected the path of a file, found an empty one".to_owned())
        });

/// Texts of one character or more.
pub(super) const TEXTS: Value<Vec<String>> = value(
    "list of texts",
    |value| read_array("an array of strings", value, read_text),
    |texts| Some(array(texts.iter().map(|text| quote(text)))),
);

/// A duration from zero.
pub(super) const DURATION_OR_ZERO: Value<Duration> = value(
    "duration",
    |value| match value {
        DeValue::String(text) => Ok(parse_duration(&text)?),
        other => Err(expected("a duration such as `30s`", &other)),
    },
    |duration| Some(quote(&show_duration(*duration))),
)
.checked(too_long);

/// A duration of more than zero.
pub(super) const DURATION: Value<Duration> = DURATION_OR_ZERO.checked(|duration| match duration.is_zero() {
    true => Some("expected a duration of more than zero, found `0s`".to_owned()),
    false => too_long(duration),
});

/// A duration, or `forever`.
pub(super) const DURATION_OR_FOREVER: Value<Option<Duration>> = value(
    "duration or `forever`",
    |value| match &value {
        DeValue::String(text) if text == "forever" => Ok(None),
        DeValue::String(text) => {
            Ok(parse_duration(text).map(Some).map_err(|error| error + ", or the word `forever`")?)
        }
        other => Err(expected("a duration such as `30d`, or `forever`", other)),
    },
    |duration| Some(quote(&duration.map_or_else(|| "forever".to_owned(), show_duration))),
)
.checked(|duration| duration.as_ref().and_then(too_long));

/// A whole number from 0.
pub(super) const fn count<T: TryFrom<u64> + Display>() -> Value<T> {
    value("number", read_count, |count| Some(count.to_string()))
}

/// A whole number from 1.
pub(super) const fn positive<T: TryFrom<u64> + Display + Default + PartialEq>() -> Value<T> {
    count().checked(|count| (*count == T::default()).then(|| "expected at least 1, found 0".to_owned()))
}

/// A size in bytes.
pub(super) const SIZE: Value<usize> = value(
    "size",
    |value| match value {
        DeValue::String(text) => Ok(parse_bytes(&text)?),
        DeValue::Integer(_) => read_count(value),
        other => Err(expected("a size such as `1MiB` or `200_000`", &other)),
    },
    |&size| {
        let shown = show_bytes(size);
        // Without a unit it is a TOML integer.
        Some(if shown.ends_with('B') { quote(&shown) } else { shown })
    },
)
.checked(positive().check);

/// Events a second.
pub(super) const RATE: Value<f64> = value(
    "number",
    |value| {
        let number = match &value {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|n| n as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| expected("a number of events a second", &value))
    },
    |rate| Some(format!("{rate:?}")),
)
.checked(|&rate| {
    let text = "expected more than 0 a second and not infinitely many, found";
    (!(rate.is_finite() && rate > 0.0)).then(|| format!("{text} {rate}; leave it out for no limit"))
});

/// What is expected in place of a value of another type.
pub(super) fn expected(what: &str, value: &DeValue<'_>) -> Wrong {
    format!("expected {what}, found {}", found(value)).into()
}

/// Reads a text of one character or more.
pub(super) fn read_text(value: DeValue<'_>) -> Result<String, Wrong> {
    read_text_as("a non-empty string", value)
}

/// Reads a text of one character or more, where this is expected.
pub(super) fn read_text_as(what: &str, value: DeValue<'_>) -> Result<String, Wrong> {
    match value {
        DeValue::String(text) if text.is_empty() => Err(format!("expected {what}, found an empty string").into()),
        DeValue::String(text) => Ok(text.into_owned()),
        other => Err(expected(what, &other)),
    }
}

/// Reads an array.
pub(super) fn read_array<T>(what: &str, value: DeValue<'_>, read: Read<T>) -> Result<Vec<T>, Wrong> {
    let DeValue::Array(values) = value else { return Err(expected(what, &value)) };
    let values = values.into_iter().map(|value| {
        let span = value.span();
        read(value.into_inner()).map_err(|wrong| wrong.at(span))
    });
    values.collect()
}

/// Shows an array of values that are shown.
pub(super) fn array(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(", "))
}

fn read_count<T: TryFrom<u64>>(value: DeValue<'_>) -> Result<T, Wrong> {
    let DeValue::Integer(integer) = &value else { return Err(expected("a whole number", &value)) };
    let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let wrong = if integer.as_str().starts_with('-') { "a negative one" } else { "one that is too large" };
        format!("expected a whole number, found {wrong}").into()
    })
}

fn too_long(&duration: &Duration) -> Option<String> {
    let (most, found) = (show_duration(LONGEST_DURATION), show_duration(duration));
    (duration > LONGEST_DURATION).then(|| format!("expected a duration of at most {most}, found `{found}`"))
}

/// A text as a basic string of TOML.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(character)).expect("a String takes whatever is written");
            }
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}
