//! What usually goes wrong between Pylon's page and a program's secret: spaces, quotes, encodings.
//!
//! A secret is used byte for byte, whatever it looks like. The same repairs serve the warning at start and the hint after a
//! mismatch.

use base64ct::{Base64, Encoding};
use std::fmt;
use zeroize::Zeroizing;

/// What is probably wrong with a secret as it was configured.
///
/// ```
/// use pylon_webhooks::{Secret, SecretFlaw};
///
/// assert_eq!(Secret::new("your-webhook-secret\n")?.flaw(), Some(SecretFlaw::OuterSpace));
/// assert_eq!(Secret::new("'your-webhook-secret'")?.flaw(), Some(SecretFlaw::Quotes));
/// assert_eq!(Secret::new("your-webhook-secret")?.flaw(), None);
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretFlaw {
    /// White space or invisible characters at its start or end, mostly a newline.
    OuterSpace,
    /// A pair of quotes around it.
    Quotes,
    /// A byte order mark at its start, or the encoding UTF-16, as editors and shells of Windows write files.
    ByteOrderMark,
    /// It is the base64 form of the secret.
    Encoded,
    /// It is what the secret decodes to, taken for base64.
    Decoded,
}

impl SecretFlaw {
    /// The flaw that a secret shows by itself. Base64 is none: Pylon's own secret may look so.
    pub(crate) fn of(secret: &[u8]) -> Option<Self> {
        repairs(secret).into_iter().map(|(flaw, _)| flaw).find(|flaw| !matches!(flaw, Self::Encoded | Self::Decoded))
    }
}

impl fmt::Display for SecretFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OuterSpace => {
                "the secret has white space at its start or end, which is rarely part of a secret: trim the secret \
                 where you set it"
            }
            Self::Quotes => {
                "the secret has quotes around it, which are rarely part of a secret: remove the quotes where you set it"
            }
            Self::ByteOrderMark => {
                "the secret starts with a byte order mark, which is rarely part of a secret: save its file as UTF-8 \
                 without a byte order mark"
            }
            Self::Encoded => "the secret is base64 of another text: set the secret as Pylon shows it",
            Self::Decoded => "the secret is not text: set the secret as Pylon shows it, and do not decode it",
        })
    }
}

/// Whether a secret is empty, or nothing of it is left without marks, white space, quotes and NULs: anyone could sign with it.
pub(crate) fn is_blank(secret: &[u8]) -> bool {
    let mut rest = Zeroizing::new(secret.to_vec());
    while let Some((_, less)) = repaired_once(&rest) {
        rest = less;
    }
    // HMAC fills up a short key with NULs, so that some of them are the same key as none.
    let is_nothing = |character| {
        is_space(character)
            || character == '\0'
            || QUOTES.iter().any(|(open, close)| open.contains(character) || close.contains(character))
    };
    std::str::from_utf8(&rest).is_ok_and(|text| text.chars().all(is_nothing))
}

/// What the secret may have been before something went wrong, likeliest first, each with the last thing that did.
pub(crate) fn repairs(secret: &[u8]) -> Vec<(SecretFlaw, Zeroizing<Vec<u8>>)> {
    let mut repaired: Vec<(SecretFlaw, Zeroizing<Vec<u8>>)> = Vec::new();
    let mut rest = Zeroizing::new(secret.to_vec());
    while let Some((flaw, less)) = repaired_once(&rest) {
        repaired.push((flaw, less.clone()));
        rest = less;
    }
    if let Some(decoded) = base64_decoded(&rest) {
        // `echo secret | base64` encodes a newline too.
        let without_newline = trimmed(&decoded).map(|(_, trimmed)| (SecretFlaw::Encoded, trimmed));
        repaired.push((SecretFlaw::Encoded, decoded));
        repaired.extend(without_newline);
    }
    if std::str::from_utf8(&rest).map_or(true, |text| text.contains(char::is_control)) {
        let encoded = Base64::encode_string(&rest).into_bytes();
        repaired.push((SecretFlaw::Decoded, Zeroizing::new(encoded)));
    }
    repaired
}

type Repaired = Option<(SecretFlaw, Zeroizing<Vec<u8>>)>;

const QUOTES: [(&str, &str); 5] = [("\"", "\""), ("'", "'"), ("`", "`"), ("“", "”"), ("‘", "’")];

fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

fn repaired_once(secret: &[u8]) -> Repaired {
    without_mark(secret).or_else(|| trimmed(secret)).or_else(|| unquoted(secret))
}

fn without_mark(secret: &[u8]) -> Repaired {
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let pairs = bytes.chunks_exact(2);
        // Who took the newline off its end left the other half of it.
        if !matches!(pairs.remainder(), [] | [0]) {
            return None;
        }
        let units: Vec<u16> = pairs.map(|unit| read([unit[0], unit[1]])).collect();
        String::from_utf16(&units).ok().map(String::into_bytes)
    };
    let less = match secret {
        [0xEF, 0xBB, 0xBF, rest @ ..] => Some(rest.to_vec()),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => None,
    };
    Some(repaired(SecretFlaw::ByteOrderMark, &less?))
}

fn trimmed(secret: &[u8]) -> Repaired {
    let less = match std::str::from_utf8(secret) {
        Ok(text) => text.trim_matches(is_space).as_bytes(),
        Err(_) => secret.trim_ascii(),
    };
    (less.len() < secret.len()).then(|| repaired(SecretFlaw::OuterSpace, less))
}

fn unquoted(secret: &[u8]) -> Repaired {
    let less = QUOTES.iter().find_map(|(open, close)| {
        secret.strip_prefix(open.as_bytes()).and_then(|rest| rest.strip_suffix(close.as_bytes()))
    });
    Some(repaired(SecretFlaw::Quotes, less?))
}

fn base64_decoded(secret: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(secret).ok()?;
    Base64::decode_vec(text).ok().filter(|decoded| !decoded.is_empty()).map(Zeroizing::new)
}

fn repaired(flaw: SecretFlaw, less: &[u8]) -> (SecretFlaw, Zeroizing<Vec<u8>>) {
    (flaw, Zeroizing::new(less.to_vec()))
}
