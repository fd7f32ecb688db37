//! Headers and bodies, which may hold any bytes, as JSON.

use crate::headers::{Headers, is_credential};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A body: `{"text": ...}` if it is UTF-8, else `{"base64": ...}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The text.
    Text(String),
    /// The bytes, in base64 with padding.
    Base64(String),
}

impl Body {
    /// The beginning of a body, of this many bytes at most. It ends with a whole character if the body is a text.
    pub(super) fn beginning(body: &[u8], most: usize) -> Self {
        let cut = &body[..body.len().min(most)];
        match std::str::from_utf8(cut) {
            // Only the last character is cut.
            Err(fault) if fault.error_len().is_none() && cut.len() < body.len() => {
                Self::from(&cut[..fault.valid_up_to()])
            }
            _ => Self::from(cut),
        }
    }
}

impl From<&[u8]> for Body {
    fn from(body: &[u8]) -> Self {
        std::str::from_utf8(body).map_or_else(|_| Self::Base64(STANDARD.encode(body)), |text| Self::Text(text.into()))
    }
}

/// Names and values of headers, in the order of arrival. The value of a credential is replaced by `[redacted]`.
pub(super) fn redacted(headers: &Headers) -> Vec<(String, String)> {
    let shown = |(name, value): (&str, &[u8])| {
        let text = if is_credential(name) { "[redacted]".into() } else { String::from_utf8_lossy(value).into_owned() };
        (name.to_owned(), text)
    };
    headers.iter().map(shown).collect()
}
