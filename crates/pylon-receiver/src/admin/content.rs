//! Headers and bodies, which may hold any bytes, as JSON.

use crate::headers::{Headers, is_credential};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// A body: the text that it is, or base64 of the bytes that are no text.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ShownBody<'a> {
    Text(&'a str),
    Base64(String),
}

impl<'a> ShownBody<'a> {
    pub(super) fn of(body: &'a [u8]) -> Self {
        std::str::from_utf8(body).map_or_else(|_| Self::Base64(STANDARD.encode(body)), Self::Text)
    }
}

/// Names and values of headers, no credentials among them.
pub(super) fn shown_headers(headers: &Headers) -> Vec<(&str, String)> {
    let shown = |(name, value)| {
        let text = if is_credential(name) { "[redacted]".into() } else { String::from_utf8_lossy(value).into_owned() };
        (name, text)
    };
    headers.iter().map(shown).collect()
}
