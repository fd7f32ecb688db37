//! Signs a delivery anew on each attempt, so that the timestamp of a late delivery is fresh too.

use super::attempt::Attempt;
use crate::config::{SecretFault, SecretSource, Signing};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use pylon_webhooks::{Secret, sign};
use sha2::Sha256;
use zeroize::Zeroizing;

const PYLON_SIGNATURE: HeaderName = HeaderName::from_static("x-pylon-signature");
const PYLON_TIMESTAMP: HeaderName = HeaderName::from_static("x-pylon-timestamp");
const STANDARD_ID: HeaderName = HeaderName::from_static("webhook-id");
const STANDARD_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const STANDARD_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

static PYLON_HEADERS: [HeaderName; 2] = [PYLON_SIGNATURE, PYLON_TIMESTAMP];
static STANDARD_HEADERS: [HeaderName; 3] = [STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE];

/// The prefix of a Standard Webhooks secret; base64 follows.
const STANDARD_PREFIX: &[u8] = b"whsec_";
/// Secrets come with and without `=` at the end.
const ANY_PADDING: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Signs with a secret that was read before.
pub(super) enum Signer {
    AsReceived,
    Pylon(Secret),
    StandardWebhooks(Hmac<Sha256>),
}

impl Signer {
    /// Reads the secret.
    pub(super) fn new(signing: &Signing) -> Result<Self, SecretFault> {
        Ok(match signing {
            Signing::AsReceived => Self::AsReceived,
            Signing::Pylon(source) => {
                Self::Pylon(Secret::new(source.read()?).map_err(|_| SecretFault::Empty(source.to_string()))?)
            }
            Signing::StandardWebhooks(source) => Self::StandardWebhooks(standard_key(source)?),
        })
    }

    /// The headers of the signature, which replace original ones.
    pub(super) fn headers(&self) -> &'static [HeaderName] {
        match self {
            Self::AsReceived => &[],
            Self::Pylon(_) => &PYLON_HEADERS,
            Self::StandardWebhooks(_) => &STANDARD_HEADERS,
        }
    }

    /// Puts the signature among the headers, in place of the original one.
    pub(super) fn sign(&self, headers: &mut HeaderMap, attempt: &Attempt) {
        let timestamp = || attempt.started_at.unix_seconds().to_string();
        match self {
            Self::AsReceived => {}
            Self::Pylon(secret) => {
                let timestamp = timestamp();
                headers.insert(PYLON_SIGNATURE, value(sign(secret, &attempt.body, Some(&timestamp))));
                headers.insert(PYLON_TIMESTAMP, value(timestamp));
            }
            Self::StandardWebhooks(keyed) => {
                let (id, timestamp) = (attempt.event().to_string(), timestamp());
                let mut mac = keyed.clone();
                for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", &attempt.body] {
                    mac.update(part);
                }
                let signature = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
                headers.remove(PYLON_SIGNATURE);
                headers.remove(PYLON_TIMESTAMP);
                headers.insert(STANDARD_ID, value(id));
                headers.insert(STANDARD_TIMESTAMP, value(timestamp));
                headers.insert(STANDARD_SIGNATURE, value(signature));
            }
        }
    }
}

fn standard_key(source: &SecretSource) -> Result<Hmac<Sha256>, SecretFault> {
    let secret = source.read()?;
    let key = secret.strip_prefix(STANDARD_PREFIX).and_then(|base64| ANY_PADDING.decode(base64).ok());
    match key.map(Zeroizing::new) {
        Some(key) if Secret::new(&*key).is_ok() => {
            Ok(Hmac::new_from_slice(&key).expect("HMAC takes a key of any length"))
        }
        _ => Err(SecretFault::Malformed("`whsec_` and base64")),
    }
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids, numbers, hexadecimal and base64 are plain ASCII")
}
