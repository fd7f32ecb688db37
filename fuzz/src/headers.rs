//! Headers of any kind: none makes the verifier fail in a way of its own, and none is accepted beside another.

use crate::{split_line, with_signature};
use pylon_webhooks::{Secret, Verifier, sign};

const SECRET: &str = "fuzz-secret-never-shown";

/// Reads `Name: value` lines, an empty line, and the body.
///
/// # Panics
/// When the verifier breaks a promise.
pub fn headers(data: &[u8]) {
    let (headers, body) = parse(data);
    let is = |name: &str, header: &str| name.eq_ignore_ascii_case(header);
    let timestamps: Vec<&[u8]> = values(&headers, |name| is(name, "X-Pylon-Timestamp"));
    let signed_timestamp = timestamps.first().and_then(|value| std::str::from_utf8(value).ok());
    let secret = Secret::new(SECRET).expect("not empty");
    let signature = sign(&secret, body, signed_timestamp);
    let headers: Vec<(&str, Vec<u8>)> =
        headers.iter().map(|(name, value)| (name.as_str(), with_signature(value, &signature))).collect();

    let verifier = Verifier::builder().secret(SECRET).clock(|| 1_700_000_000).build().expect("a good configuration");
    let given = headers.iter().map(|(name, value)| (name, value));
    match verifier.verify_headers(body, given) {
        Ok(verified) => {
            assert_eq!(verified.as_bytes(), body);
            assert_eq!(headers.iter().filter(|(name, _)| is(name, "X-Pylon-Signature")).count(), 1);
            assert!(timestamps.len() <= 1);
        }
        Err(error) => {
            let (text, debug) = (error.to_string(), format!("{error:?}"));
            assert!(error.is_refusal());
            assert!(text.len() < 400, "{text}");
            for hidden in [SECRET, &signature] {
                assert!(!text.contains(hidden) && !debug.contains(hidden), "{text}");
            }
        }
    }
}

fn parse(mut data: &[u8]) -> (Vec<(String, &[u8])>, &[u8]) {
    let mut headers = Vec::new();
    while !data.is_empty() {
        let (line, rest) = split_line(data);
        data = rest;
        if line.is_empty() {
            break;
        }
        let end = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let value = line.get(end + 1..).unwrap_or_default();
        headers.push((String::from_utf8_lossy(&line[..end]).into_owned(), value.strip_prefix(b" ").unwrap_or(value)));
    }
    (headers, data)
}

fn values<'a>(headers: &[(String, &'a [u8])], is_meant: impl Fn(&str) -> bool) -> Vec<&'a [u8]> {
    headers.iter().filter(|(name, _)| is_meant(name)).map(|&(_, value)| value).collect()
}
