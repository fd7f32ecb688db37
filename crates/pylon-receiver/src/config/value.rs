//! Values of the configuration file as what they stand for: each function reads one, or says what it expected and what it found.

use super::address::{URL, parse_url};
use super::place::one_of;
use super::unit::{parse_bytes, parse_duration, quoted};
use super::{SecretSource, nearest::nearest};
use crate::headers::is_credential;
use http::{HeaderName, Uri};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::DeValue;

/// What a value is, in words.
pub(super) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a decimal fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn expected(what: &str, value: &DeValue<'_>) -> String {
    format!("expected {what}, found {}", found(value))
}

/// A text of one character or more.
pub(super) fn text(value: DeValue<'_>) -> Result<String, String> {
    text_as("a non-empty string", value)
}

/// A text of one character or more that is to be something.
fn text_as(what: &str, value: DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.is_empty() => Err(format!("expected {what}, found an empty string")),
        DeValue::String(text) => Ok(text.into_owned()),
        other => Err(expected(what, &other)),
    }
}

/// An address of the network, with its port.
pub(super) fn socket_address(value: DeValue<'_>) -> Result<SocketAddr, String> {
    const ADDRESS: &str = "an address and a port such as `127.0.0.1:8080`";
    let text = text_as(ADDRESS, value)?;
    text.parse().map_err(|_| format!("expected {ADDRESS}, found {}", quoted(&text)))
}

/// The URL of something that is reached by HTTP.
pub(super) fn url(value: DeValue<'_>) -> Result<Uri, String> {
    parse_url(&text_as(URL, value)?)
}

/// A text, read further.
pub(super) fn parsed<T, E: ToString>(
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> impl FnOnce(DeValue<'_>) -> Result<T, String> {
    |value| parse(&text(value)?).map_err(|error| error.to_string())
}

/// Texts of one character or more.
pub(super) fn texts(value: DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(values) => values.into_iter().map(|value| text(value.into_inner())).collect(),
        other => Err(expected("an array of strings", &other)),
    }
}

/// A path in the file system.
pub(super) fn file(value: DeValue<'_>) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

/// A duration with its unit.
pub(super) fn duration(value: DeValue<'_>) -> Result<Duration, String> {
    match value {
        DeValue::String(text) => parse_duration(&text),
        other => Err(expected("a duration such as `30s`", &other)),
    }
}

/// A size in bytes, with a unit or without.
pub(super) fn size(value: DeValue<'_>) -> Result<usize, String> {
    match value {
        DeValue::String(text) => parse_bytes(&text),
        DeValue::Integer(_) => count(value),
        other => Err(expected("a size such as `1MiB` or `200_000`", &other)),
    }
}

/// A whole number, not negative.
pub(super) fn count<T: TryFrom<u64>>(value: DeValue<'_>) -> Result<T, String> {
    let DeValue::Integer(integer) = &value else { return Err(expected("a whole number", &value)) };
    let number =
        u64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| {
        let wrong = if integer.as_str().starts_with('-') { "a negative one" } else { "one that is too large" };
        format!("expected a whole number, found {wrong}")
    })
}

/// So many a second.
pub(super) fn rate(value: DeValue<'_>) -> Result<f64, String> {
    let number = match &value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|n| n as f64),
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| expected("a number of events a second", &value))
}

/// One of these words.
pub(super) fn choice<T: Clone>(choices: &[(&str, T)]) -> impl FnOnce(DeValue<'_>) -> Result<T, String> {
    move |value| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let DeValue::String(text) = &value else { return Err(expected(&one_of(&words), &value)) };
        let choice = choices.iter().find(|(word, _)| *word == text.as_ref());
        choice.map(|(_, choice)| choice.clone()).ok_or_else(|| {
            let hint = nearest(text, words.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            format!("expected {}, found {}{}", one_of(&words), quoted(text), hint.unwrap_or_default())
        })
    }
}

const SOURCE: &str = "`{ env = \"NAME\" }` or `{ file = \"PATH\" }`";

/// Where a secret comes from. The errors say nothing of what was found: it may be the secret.
pub(super) fn source(value: DeValue<'_>) -> Result<SecretSource, String> {
    let mut table = match value {
        DeValue::Table(table) => table,
        DeValue::String(_) => {
            let advice = "put it into an environment variable or a file and name that";
            return Err(format!("expected {SOURCE}, found a plain text; {advice}"));
        }
        other => return Err(expected(SOURCE, &other)),
    };
    match (table.remove("env"), table.remove("file"), table.is_empty()) {
        (Some(name), None, true) => variable(name.into_inner()).map(SecretSource::Environment),
        (None, Some(path), true) => file(path.into_inner()).map(SecretSource::File),
        (Some(_), Some(_), _) => Err(format!("expected {SOURCE}, found both")),
        _ => Err(format!("expected {SOURCE}, found a table with other keys")),
    }
}

/// Where several secrets come from.
pub(super) fn sources(value: DeValue<'_>) -> Result<Vec<SecretSource>, String> {
    match value {
        DeValue::Array(values) => values.into_iter().map(|value| source(value.into_inner())).collect(),
        DeValue::String(_) => source(value).map(|source| vec![source]),
        other => Err(expected(&format!("an array of {SOURCE}"), &other)),
    }
}

/// The name of an environment variable. The error does not show it, for somebody may have taken it for the place of the secret.
pub(super) fn variable(value: DeValue<'_>) -> Result<String, String> {
    let name = text(value)?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if is_name {
        Ok(name)
    } else {
        Err("expected the name of an environment variable, of letters, digits and `_`, found another text".to_owned())
    }
}

/// Names of environment variables.
pub(super) fn variables(value: DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(values) => values.into_iter().map(|value| variable(value.into_inner())).collect(),
        other => Err(expected("an array of strings", &other)),
    }
}

/// A header's name.
pub(super) fn header_name(value: DeValue<'_>) -> Result<HeaderName, String> {
    parsed(parse_header_name)(value)
}

/// Headers with their values, in the order of the file.
pub(super) fn headers(value: DeValue<'_>) -> Result<Vec<(HeaderName, SecretSource)>, String> {
    let table = match value {
        DeValue::Table(table) => table,
        other => return Err(expected("a table of headers", &other)),
    };
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let headers = entries.into_iter().map(|(name, value)| {
        let header = parse_header_name(name.get_ref())?;
        let source = match value.into_inner() {
            DeValue::String(_) if is_credential(header.as_str()) => {
                let advice = "put it into an environment variable or a file";
                return Err(format!("expected {SOURCE} for {}, found a plain text; {advice}", quoted(header.as_str())));
            }
            DeValue::String(text) => SecretSource::Plain(text.into_owned()),
            other => source(other).map_err(|error| format!("{}: {error}", quoted(header.as_str())))?,
        };
        Ok((header, source))
    });
    headers.collect()
}

fn parse_header_name(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_| format!("expected the name of a header, found {}", quoted(text)))
}
