//! The core's verdict beside that of a plain HMAC, written from the rules and not from the core.

use crate::{split_line, with_signature};
use hmac::{Hmac, KeyInit, Mac};
use pylon_webhooks::{ConfigError, SIGNATURE_HEADER, TIMESTAMP_HEADER, Verifier};
use sha2::Sha256;
use std::time::Duration;

/// Reads five lines and a body: secrets divided by tabs, signature, timestamp, now, tolerance. `-` alone is an absent header.
///
/// # Panics
/// When the core and the oracle disagree.
pub fn differential(data: &[u8]) {
    let (secrets, rest) = split_line(data);
    let (signature, rest) = split_line(rest);
    let (timestamp, rest) = split_line(rest);
    let (now, rest) = split_line(rest);
    let (tolerance, body) = split_line(rest);
    let (now, tolerance) = (number(now), number(tolerance));
    let secrets: Vec<&[u8]> = secrets.split(|&byte| byte == b'\t').collect();
    let timestamp = (timestamp != b"-").then_some(timestamp);
    // `$` is the signature of the last secret, so that a body can be authentic in any place of the list.
    let genuine = hex_hmac(secrets[secrets.len() - 1], timestamp, body);
    let signature = (signature != b"-").then(|| with_signature(signature, &genuine));

    let builder = secrets.iter().fold(Verifier::builder(), |builder, secret| builder.secret(secret));
    let verifier = match builder.tolerance(Duration::from_secs(tolerance)).clock(move || now).build() {
        Ok(verifier) => verifier,
        Err(error) => {
            assert_eq!(error, ConfigError::EmptySecret);
            assert!(secrets.iter().any(|secret| !secret.iter().any(u8::is_ascii_alphabetic)));
            return;
        }
    };
    assert!(secrets.iter().all(|secret| !secret.trim_ascii().is_empty()));
    let headers = [(SIGNATURE_HEADER, signature.as_deref()), (TIMESTAMP_HEADER, timestamp)];
    let verdict = verifier.verify_headers(body, headers.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let expected = signature.as_deref().is_some_and(|signature| {
        let is_whole = timestamp.is_some() || !is_signed_text(body);
        is_whole && is_authentic(&secrets, signature, timestamp, body) && is_fresh(timestamp, now, tolerance)
    });
    assert_eq!(verdict.is_ok(), expected, "{verdict:?}");
}

/// The oracle, in ten lines: HMAC of the body, or of timestamp, dot and body, in hexadecimal digits of either case.
fn is_authentic(secrets: &[&[u8]], signature: &[u8], timestamp: Option<&[u8]>, body: &[u8]) -> bool {
    let signature = signature.trim_ascii();
    let digits = signature.strip_prefix(b"sha256=").unwrap_or(signature).to_ascii_lowercase();
    secrets.iter().any(|secret| hex_hmac(secret, timestamp, body).as_bytes() == digits)
}

fn is_fresh(timestamp: Option<&[u8]>, now: u64, tolerance: u64) -> bool {
    let Some(timestamp) = timestamp else { return true };
    let is_well_formed = (1..=19).contains(&timestamp.len()) && timestamp.iter().all(u8::is_ascii_digit);
    is_well_formed && i128::from(number(timestamp)).abs_diff(i128::from(now)) <= u128::from(tolerance)
}

/// Whether a timestamp of 1 to 19 digits and a full stop stand before something that makes no number of them.
fn is_signed_text(body: &[u8]) -> bool {
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let starts = (1..=19).contains(&digits) && body.get(digits) == Some(&b'.');
    starts && !is_number(digits, body)
}

/// Whether these digits go on as a JSON number does that has a fraction, with white space behind it at most.
fn is_number(digits: usize, body: &[u8]) -> bool {
    let end = body.iter().rposition(|byte| !b" \t\r\n".contains(byte)).map_or(0, |last| last + 1);
    let has_leading_zero = digits > 1 && body[0] == b'0';
    let mut parts = body[digits + 1..end.max(digits + 1)].splitn(2, |byte| byte.eq_ignore_ascii_case(&b'e'));
    let fraction = parts.next().unwrap_or_default();
    let is_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let exponent = parts.next().map(|text| text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text));
    !has_leading_zero && is_digits(fraction) && exponent.is_none_or(is_digits)
}

fn hex_hmac(secret: &[u8], timestamp: Option<&[u8]>, body: &[u8]) -> String {
    let signed = timestamp.map_or_else(|| body.to_vec(), |timestamp| [timestamp, b".", body].concat());
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length").chain_update(signed);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number, or 0 where the text is none.
fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
