//! The signature: reading it from header text, and making one.

use crate::freshness::MOST_DIGITS;
use crate::secret::{HmacSha256, Secret};
use hmac::Mac;
use serde::de::IgnoredAny;
use std::fmt;

/// Length of an HMAC-SHA256 in bytes.
const SIGNATURE_BYTES: usize = 32;
/// Length of its hexadecimal text in characters.
const SIGNATURE_DIGITS: usize = 2 * SIGNATURE_BYTES;

/// Signs a body as Pylon does: lowercase hexadecimal HMAC-SHA256, 64 digits.
///
/// The signed bytes are the body, or `{timestamp}.{body}` with a timestamp. The timestamp is not checked, so that tests
/// can sign malformed ones; [`Verifier`](crate::Verifier) accepts Unix seconds.
///
/// ```
/// use pylon_webhooks::{sign, Secret};
///
/// let secret = Secret::new("test-secret")?;
/// assert_eq!(
///     sign(&secret, br#"{"id":"1"}"#, None),
///     "b6ee61d26a3494ddc3437b55028299a9c39956dfdcf623629b0b1f7d0c64baf1",
/// );
/// assert_ne!(sign(&secret, b"{}", None), sign(&secret, b"{}", Some("1700000000")));
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
pub fn sign(secret: &Secret, body: &[u8], timestamp: Option<&str>) -> String {
    let mac = signed_bytes(secret.keyed(), body, timestamp.map(str::as_bytes));
    base16ct::lower::encode_string(&mac.finalize().into_bytes())
}

/// Feeds the MAC what the sender signs.
pub(crate) fn signed_bytes(mut mac: HmacSha256, body: &[u8], timestamp: Option<&[u8]>) -> HmacSha256 {
    if let Some(timestamp) = timestamp {
        mac.update(timestamp);
        mac.update(b".");
    }
    mac.update(body);
    mac
}

/// Whether the body is what the sender of a timestamped delivery signs: 1 to 19 digits, a full stop, and more than a number
/// has. Accepted as a body alone, it would let anyone who has such a delivery send it again without its timestamp.
pub(crate) fn begins_with_timestamp(body: &[u8]) -> bool {
    let digits = body.iter().take(MOST_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    // A JSON text that begins with a digit is a number, and a number alone is a body like any other.
    let is_number = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    (1..=MOST_DIGITS).contains(&digits) && body.get(digits) == Some(&b'.') && !is_number()
}

/// A signature as it arrived, well formed but not yet compared with anything.
#[derive(Clone, Copy)]
pub(crate) struct Signature([u8; SIGNATURE_BYTES]);

impl Signature {
    /// Reads 64 hexadecimal digits. Allows one `sha256=` prefix and ASCII whitespace around.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, SignatureFault> {
        let trimmed = text.trim_ascii();
        let digits = trimmed.strip_prefix(b"sha256=").unwrap_or(trimmed);
        let mut bytes = [0; SIGNATURE_BYTES];
        if digits.len() == SIGNATURE_DIGITS && base16ct::mixed::decode(digits, &mut bytes).is_ok() {
            return Ok(Self(bytes));
        }
        Err(SignatureFault::of(trimmed, digits))
    }

    /// Whether the MAC equals this signature, compared in constant time.
    pub(crate) fn matches(&self, mac: HmacSha256) -> bool {
        mac.verify_slice(&self.0).is_ok()
    }
}

/// The kind of value that was found in place of 64 hexadecimal digits; never the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureFault {
    /// Empty, or whitespace alone.
    Empty,
    /// A byte outside ASCII.
    NotAscii,
    /// Several values in one header, split by commas.
    List,
    /// The header occurs more than once.
    Repeated,
    /// `hs256=...`: the scheme of getpylon.com, another product.
    Hs256Scheme,
    /// `t=...,v1=...`: the scheme of Stripe and PylonID, other products.
    TimestampedScheme,
    /// `sha256=` more than once.
    RepeatedPrefix,
    /// Another `name=` prefix.
    OtherPrefix,
    /// This number of characters; expected 64.
    Length(usize),
    /// 64 characters, not all of them hexadecimal digits.
    NotHexadecimal,
    /// A value of this type, not text. Only a caller in a dynamic language can pass one.
    #[doc(hidden)]
    Type(&'static str),
}

impl SignatureFault {
    fn of(trimmed: &[u8], digits: &[u8]) -> Self {
        let prefixed = digits.len() < trimmed.len();
        if trimmed.is_empty() {
            Self::Empty
        } else if !trimmed.is_ascii() {
            Self::NotAscii
        } else if trimmed.starts_with(b"t=") && trimmed.contains(&b',') {
            Self::TimestampedScheme
        } else if trimmed.contains(&b',') {
            Self::List
        } else if trimmed.starts_with(b"hs256=") {
            Self::Hs256Scheme
        } else if prefixed && digits.starts_with(b"sha256=") {
            Self::RepeatedPrefix
        } else if !prefixed && looks_prefixed(trimmed) {
            Self::OtherPrefix
        } else if digits.len() != SIGNATURE_DIGITS {
            Self::Length(digits.len())
        } else {
            Self::NotHexadecimal
        }
    }
}

/// Whether the text has a `name=` prefix. Base64 padding is at the end and does not count.
fn looks_prefixed(text: &[u8]) -> bool {
    text.iter().position(|&byte| byte == b'=').is_some_and(|at| {
        let (name, rest) = (&text[..at], &text[at + 1..]);
        !name.is_empty() && rest.iter().any(|&byte| byte != b'=')
    })
}

impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty value"),
            Self::NotAscii => f.write_str("characters outside ASCII"),
            Self::List => f.write_str("a list of values"),
            Self::Repeated => f.write_str("the header more than once"),
            Self::Hs256Scheme => f.write_str("a `hs256=` signature, which getpylon.com sends: another product"),
            Self::TimestampedScheme => f.write_str("a `t=...,v1=...` signature, which other products send"),
            Self::RepeatedPrefix => f.write_str("more than one `sha256=` prefix"),
            Self::OtherPrefix => f.write_str("a prefix other than `sha256=`"),
            Self::Length(length) => write!(f, "{length} characters"),
            Self::NotHexadecimal => f.write_str("characters that are not hexadecimal digits"),
            Self::Type(name) => write!(f, "a value of type {name}"),
        }
    }
}
