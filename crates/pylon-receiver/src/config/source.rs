//! The formats of secrets and of headers. Errors do not show what was found, because it may be the secret.

use super::secret::SecretSource;
use super::table::{Wrong, parts};
use super::value::{FILE, TEXTS, Value, array, expected, quote, read_array, read_text, value};
use crate::headers::{is_credential, is_hop_by_hop};
use crate::text::{parse_nats, parse_proxy, quoted};
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue};
use toml::de::DeValue;

/// How a secret is named.
const SOURCE: &str = "`{ env = \"NAME\" }` or `{ file = \"PATH\" }`";

/// Where a secret comes from.
pub(super) const SECRET: Value<SecretSource> =
    value("secret", read_source, |source| show_source(source).map(|source| format!("{{ {source} }}")));

/// Where several secrets come from.
pub(super) const SECRETS: Value<Vec<SecretSource>> = value(
    "list of secrets",
    |value| match value {
        DeValue::String(_) => read_source(value).map(|source| vec![source]),
        other => read_array(&format!("an array of {SOURCE}"), other, read_source),
    },
    |sources| {
        let shown: Vec<_> = sources.iter().filter_map(SECRET.show).collect();
        let given = sources.len() - shown.len();
        Some(with_given(array(shown), given))
    },
);

/// A URL in the file itself, or one that is a secret because it holds a user and a password.
const URL_OR_SECRET: Value<SecretSource> = value(
    "URL or secret",
    |value| match value {
        DeValue::String(text) if text.contains('@') => {
            let advice = "put the URL into an environment variable or a file and name that";
            Err(format!("expected a URL without a user, or {SOURCE}, found a user in it; {advice}").into())
        }
        DeValue::String(text) => Ok(SecretSource::Plain(text.into_owned())),
        other => read_source(other),
    },
    |source| match source {
        SecretSource::Plain(text) => Some(quote(text)),
        secret => (SECRET.show)(secret),
    },
);

/// The URL of a proxy: a text, or a secret.
pub(super) const PROXY: Value<SecretSource> = URL_OR_SECRET.checked(|source| match source {
    SecretSource::Plain(text) => parse_proxy(text).err(),
    _ => None,
});

/// The URLs of NATS servers: a text, or a secret.
pub(super) const NATS: Value<SecretSource> = URL_OR_SECRET.checked(|source| match source {
    SecretSource::Plain(text) if text.contains('@') => {
        Some("expected a URL without a user, or a secret, found a user in it".to_owned())
    }
    SecretSource::Plain(text) => parse_nats(text).err(),
    _ => None,
});

/// Names of environment variables.
pub(super) const VARIABLES: Value<Vec<String>> =
    value("list of names", |value| read_array("an array of strings", value, read_variable), TEXTS.show).checked(
        |names| {
            let is_wrong = names.iter().any(|name| name.is_empty() || name.contains(['=', '\0']));
            is_wrong.then(|| "expected names of environment variables, found something else".to_owned())
        },
    );

/// Headers with their values, in the order of the file.
pub(super) const HEADERS: Value<Vec<(HeaderName, SecretSource)>> =
    value("table of texts and secrets", read_headers, |headers| {
        let shown = headers.iter().filter_map(|(name, value)| {
            let value = match value {
                SecretSource::Plain(text) => quote(text),
                secret => (SECRET.show)(secret)?,
            };
            Some(format!("{} = {value}", quote(name.as_str())))
        });
        let shown: Vec<_> = shown.collect();
        let table = if shown.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", shown.join(", ")) };
        Some(with_given(table, headers.len() - shown.len()))
    })
    .checked(|headers| {
        headers.iter().enumerate().find_map(|(index, (name, value))| {
            let shown = quoted(name.as_str());
            if is_hop_by_hop(name.as_str()) || name == CONTENT_LENGTH {
                return Some(format!("expected none that HTTP itself sets, found {shown}"));
            }
            if headers[..index].iter().any(|(earlier, _)| earlier == name) {
                return Some(format!("expected each name once, found {shown} again"));
            }
            let found = match value {
                SecretSource::Plain(text) if text.is_empty() => "an empty one",
                SecretSource::Plain(text) if HeaderValue::from_str(text).is_err() => "others",
                _ => return None,
            };
            Some(format!("expected a value of visible characters for {shown}, found {found}"))
        })
    });

fn read_headers(value: DeValue<'_>) -> Result<Vec<(HeaderName, SecretSource)>, Wrong> {
    let DeValue::Table(table) = value else { return Err(expected("a table of headers", &value)) };
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let headers = entries.into_iter().map(|(name, value)| {
        let span = name.span();
        let header = parse_header_name(name.get_ref())?;
        let source = match value.into_inner() {
            DeValue::String(_) if is_credential(header.as_str()) => {
                let found = "found a plain text; put it into an environment variable or a file";
                Err(format!("expected {SOURCE} for {}, {found}", quoted(header.as_str())).into())
            }
            DeValue::String(text) => Ok(SecretSource::Plain(text.into_owned())),
            other => read_source(other).map_err(|wrong| wrong.within(header.as_str())),
        };
        Ok((header, source.map_err(|wrong: Wrong| wrong.at(span))?))
    });
    headers.collect()
}

/// The name of a header.
pub(super) const HEADER: Value<HeaderName> =
    value("text", |value| parse_header_name(&read_text(value)?), |name| Some(quote(name.as_str()))).checked(|name| {
        let is_unfit = is_hop_by_hop(name.as_str()) || is_credential(name.as_str());
        is_unfit.then(|| format!("expected a header of its own, found {}", quoted(name.as_str())))
    });

/// Reads the name of a header.
pub(super) fn parse_header_name(text: &str) -> Result<HeaderName, Wrong> {
    text.parse().map_err(|_| format!("expected the name of a header, found {}", quoted(text)).into())
}

fn read_source(value: DeValue<'_>) -> Result<SecretSource, Wrong> {
    match value {
        DeValue::Table(table) => {
            let [env, file] = parts(table, ["env", "file"])?;
            read_either(env.map(|env| env.into_inner()), file.map(|file| file.into_inner()))
        }
        DeValue::String(_) => {
            let advice = "put it into an environment variable or a file and name that";
            Err(format!("expected {SOURCE}, found a plain text; {advice}").into())
        }
        other => Err(expected(SOURCE, &other)),
    }
}

/// Reads where a secret comes from: an environment variable or a file.
pub(super) fn read_either(env: Option<DeValue<'_>>, file: Option<DeValue<'_>>) -> Result<SecretSource, Wrong> {
    match (env, file) {
        (Some(name), None) => read_variable(name).map(SecretSource::Environment),
        (None, Some(path)) => (FILE.read)(path).map(SecretSource::File),
        (Some(_), Some(_)) => Err("expected either `env` or `file`, found both".to_owned().into()),
        (None, None) => Err("expected either `env` or `file`, found none".to_owned().into()),
    }
}

fn read_variable(value: DeValue<'_>) -> Result<String, Wrong> {
    let name = read_text(value)?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    let fault = "expected the name of an environment variable, of letters, digits and `_`, found something else";
    if is_name { Ok(name) } else { Err(fault.to_owned().into()) }
}

/// Shows where a secret comes from; none if a program gave it.
pub(super) fn show_source(source: &SecretSource) -> Option<String> {
    match source {
        SecretSource::Environment(name) => Some(format!("env = {}", quote(name))),
        SecretSource::File(path) => Some(format!("file = {}", quote(&path.display().to_string()))),
        // Only the value of a header may stand in the file itself.
        SecretSource::Plain(_) | SecretSource::Given(_) => None,
    }
}

fn with_given(shown: String, given: usize) -> String {
    if given > 0 { format!("{shown} # and {given} given by the program") } else { shown }
}
