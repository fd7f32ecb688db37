//! The usual causes of a signature that does not match.
//!
//! A hint never makes a delivery acceptable. It is computed after the delivery was refused, for the operator's log. The
//! scheme with a timestamp and the scheme without one are never both tried, not even here.

use crate::secret::HmacSha256;
use crate::signature::{Signature, signed_bytes};
use std::fmt;

/// Longer bodies (over 16 KiB) are not examined, so that a forged delivery costs no more than a genuine one of the
/// default limit.
const MOST_BYTES: usize = 16 * 1024;

/// The usual cause of a missing signature or a mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The signature matches the secret without its leading or trailing whitespace.
    SecretHasOuterSpace,
    /// The signature matches the same JSON with different whitespace: the body was parsed and serialized again.
    BodyReserialized,
    /// The body is the printed form of a value, such as `{'a': 1}` or `b'...'`.
    BodyPrinted,
    /// The body was given as text; the signature covers the raw bytes.
    BodyGivenAsText,
    /// The body is empty.
    BodyEmpty,
    /// The request has this `Content-Encoding`.
    ContentEncoding(&'static str),
    /// The request has the signature header of this other product.
    OtherProduct(&'static str),
    /// None of these. The request has a timestamp, so the signature must cover it.
    TimestampCameAlong,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretHasOuterSpace => f.write_str(
                "it matches the secret without its leading or trailing whitespace: trim the secret where \
                             you read it",
            ),
            Self::BodyReserialized => f.write_str(
                "it matches the same JSON with different whitespace: the body was parsed and serialized again; pass \
                 the raw bytes of the request body",
            ),
            Self::BodyPrinted => {
                f.write_str("the body is the printed form of a value; pass the raw bytes of the request body")
            }
            Self::BodyGivenAsText => f.write_str(
                "the body was given as text, and the signature covers the raw bytes: pass the raw bytes of the \
                 request body, and check the secret of this webhook destination",
            ),
            Self::BodyEmpty => {
                f.write_str("the body is empty: the sender sent none, or something in front of the app took it")
            }
            Self::ContentEncoding(name) => write!(
                f,
                "the request has a Content-Encoding ({name}): let nothing on the way compress or unpack the body, since \
                 the signature covers the bytes that the sender signed"
            ),
            Self::OtherProduct(product) => {
                write!(f, "the request has a signature header of {product}, so it is not from Pylon (usepylon.com)")
            }
            Self::TimestampCameAlong => f.write_str(
                "check the secret of this webhook destination, pass the raw bytes of the request body, and check \
                 that the sender signs `{timestamp}.{body}`: the request has a timestamp",
            ),
        }
    }
}

/// The product that signs with this header, when it is not ours.
pub(crate) fn product_of_header(name: &str) -> Option<&'static str> {
    const PRODUCTS: [(&str, &str); 8] = [
        ("pylon-webhook-signature", "getpylon.com"),
        ("stripe-signature", "Stripe"),
        ("x-hub-signature-256", "GitHub"),
        ("x-slack-signature", "Slack"),
        ("svix-signature", "Svix"),
        ("webhook-signature", "Standard Webhooks"),
        ("x-zendesk-webhook-signature", "Zendesk"),
        ("x-shopify-hmac-sha256", "Shopify"),
    ];
    PRODUCTS.iter().find(|(header, _)| name.eq_ignore_ascii_case(header)).map(|&(_, product)| product)
}

/// What the verifier knows about a signature that does not match.
pub(crate) struct Failure<'a> {
    pub(crate) keys: &'a [HmacSha256],
    pub(crate) trimmed_keys: &'a [HmacSha256],
    pub(crate) signature: &'a Signature,
    pub(crate) timestamp: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
    pub(crate) body_is_text: bool,
    pub(crate) other_product: Option<&'static str>,
    pub(crate) content_encoding: Option<&'static str>,
}

impl Failure<'_> {
    pub(crate) fn hint(&self) -> Option<Hint> {
        self.cause().or_else(|| self.timestamp.map(|_| Hint::TimestampCameAlong))
    }

    fn cause(&self) -> Option<Hint> {
        let may_look_into = self.body.len() <= MOST_BYTES;
        if may_look_into && self.fits(self.trimmed_keys, self.body) {
            return Some(Hint::SecretHasOuterSpace);
        }
        if looks_printed(self.body) {
            return Some(Hint::BodyPrinted);
        }
        if may_look_into && other_spacings(self.body).any(|body| self.fits(self.keys, &body)) {
            return Some(Hint::BodyReserialized);
        }
        let other_product = self.other_product.map(Hint::OtherProduct);
        other_product
            .or_else(|| self.body.is_empty().then_some(Hint::BodyEmpty))
            .or_else(|| self.content_encoding.map(Hint::ContentEncoding))
            .or_else(|| self.body_is_text.then_some(Hint::BodyGivenAsText))
    }

    fn fits(&self, keys: &[HmacSha256], body: &[u8]) -> bool {
        keys.iter().any(|key| self.signature.matches(signed_bytes(key.clone(), body, self.timestamp)))
    }
}

fn looks_printed(body: &[u8]) -> bool {
    [b"{'".as_slice(), b"b'", b"b\""].iter().any(|start| body.starts_with(start)) || body == b"[object Object]"
}

/// The body as other serializers and editors write it: compact, with Python's spaces, and with or without a line feed
/// at the end. Each one differs from the body.
fn other_spacings(body: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    type Form = fn(&[u8]) -> Vec<u8>;
    let forms: [Form; 4] = [
        |body| respaced(body, b"", b""),
        |body| respaced(body, b" ", b" "),
        |body| body.trim_ascii().to_vec(),
        |body| [body, b"\n"].concat(),
    ];
    forms.into_iter().map(move |form| form(body)).filter(move |other| other != body)
}

/// The body without the white space outside its strings, and with the given bytes after each `,` and `:` there.
fn respaced(body: &[u8], after_comma: &[u8], after_colon: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 8);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in body {
        if in_string {
            out.push(byte);
            (in_string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b',' | b':' => {
                out.push(byte);
                out.extend_from_slice(if byte == b',' { after_comma } else { after_colon });
            }
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}
