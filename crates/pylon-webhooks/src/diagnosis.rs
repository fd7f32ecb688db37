//! Finds the usual cause of a signature that does not match.
//!
//! A hint never makes a delivery acceptable. It is computed after the delivery was refused, for the operator's log. The
//! scheme with a timestamp and the scheme without one are never both tried, not even here.

use crate::event::Document;
use crate::hint::Hint;
use crate::secret::HmacSha256;
use crate::secret_flaw::SecretFlaw;
use crate::signature::{Signature, signed_bytes};
use hmac::Mac;
use std::borrow::Cow;
use std::iter;

/// The most bytes that one diagnosis puts into MACs (1 MiB): as many as a genuine delivery of the default limit, so that a
/// forged one costs little more.
const MOST_BYTES: usize = 1024 * 1024;
/// Longer bodies (over 16 KiB) are not written in other forms, which takes longer than the MACs.
const MOST_PARSED: usize = 16 * 1024;
/// The most bytes of other forms together (256 KiB).
const MOST_WRITTEN: usize = 256 * 1024;

/// What the verifier knows about a signature that does not match.
pub(crate) struct Failure<'a> {
    pub(crate) keys: &'a [HmacSha256],
    /// The MACs of what the secrets may have been meant to be.
    pub(crate) repaired_keys: &'a [(SecretFlaw, HmacSha256)],
    pub(crate) signature: &'a Signature,
    pub(crate) timestamp: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
    pub(crate) body_is_text: bool,
    pub(crate) other_product: Option<&'static str>,
    /// As the request says.
    pub(crate) content_encoding: Option<&'static str>,
    /// As the body says.
    pub(crate) compression: Option<&'static str>,
}

impl Failure<'_> {
    pub(crate) fn hint(&self) -> Option<Hint> {
        self.cause().or_else(|| self.timestamp.map(|_| Hint::TimestampCameAlong))
    }

    fn cause(&self) -> Option<Hint> {
        let mut budget = Budget { left: MOST_BYTES };
        if let Some(flaw) = self.flaw_of_secret(&mut budget) {
            return Some(Hint::Secret(flaw));
        }
        if looks_printed(self.body) {
            return Some(Hint::BodyPrinted);
        }
        if self.is_rewritten(&mut budget) {
            return Some(Hint::BodyReserialized);
        }
        let other_product = self.other_product.map(Hint::OtherProduct);
        other_product
            .or_else(|| self.body.is_empty().then_some(Hint::BodyEmpty))
            .or_else(|| self.content_encoding.map(Hint::ContentEncoding))
            .or_else(|| self.compression.map(Hint::BodyCompressed))
            .or_else(|| self.body_is_text.then_some(Hint::BodyGivenAsText))
    }

    fn flaw_of_secret(&self, budget: &mut Budget) -> Option<SecretFlaw> {
        let fits = |key: &HmacSha256| self.signature.matches(signed_bytes(key.clone(), self.body, self.timestamp));
        self.repaired_keys.iter().find(|(_, key)| budget.allows(self.body.len()) && fits(key)).map(|&(flaw, _)| flaw)
    }

    /// Whether the signature covers the body as something else wrote it.
    fn is_rewritten(&self, budget: &mut Budget) -> bool {
        let text = self.body.trim_ascii();
        let parsed =
            if text.len() <= MOST_PARSED { std::str::from_utf8(text).ok().and_then(Document::read) } else { None };
        let rewritten = parsed.iter().flat_map(|document| document.forms(MOST_WRITTEN));
        iter::once(Cow::Borrowed(text))
            .chain(other_line_ends(text).map(Cow::Owned))
            .chain(rewritten.map(|form| Cow::Owned(form.into_bytes())))
            .take_while(|form| budget.allows(form.len() * self.keys.len()))
            .any(|form| self.keys.iter().any(|key| self.fits_with_some_end(key, &form)))
    }

    /// Whether the signature covers the form, with or without a line end behind it.
    fn fits_with_some_end(&self, key: &HmacSha256, form: &[u8]) -> bool {
        let mac = signed_bytes(key.clone(), form, self.timestamp);
        ["", "\n", "\r\n"].iter().any(|end| {
            let mut mac = mac.clone();
            mac.update(end.as_bytes());
            self.signature.matches(mac)
        })
    }
}

/// How many bytes a diagnosis may still put into a MAC.
struct Budget {
    left: usize,
}

impl Budget {
    fn allows(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

fn looks_printed(body: &[u8]) -> bool {
    [b"{'".as_slice(), b"b'", b"b\""].iter().any(|start| body.starts_with(start)) || body == b"[object Object]"
}

/// The text with the line ends of the other kind: a line feed alone, or a carriage return and a line feed.
fn other_line_ends(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'\n') {
        return None;
    }
    let has_returns = text.windows(2).any(|pair| pair == b"\r\n");
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'\r' if text.get(at + 1) == Some(&b'\n') => {}
            b'\n' if !has_returns => out.extend_from_slice(b"\r\n"),
            _ => out.push(byte),
        }
    }
    Some(out)
}
