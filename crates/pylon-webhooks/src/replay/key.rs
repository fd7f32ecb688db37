//! The key by which two deliveries are the same.

use crate::arrival::Payload;
use crate::config_error::ConfigError;
use crate::event::{WebhookEvent, no_value};
use crate::verified::{Signed, Verified};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The rule that decides whether two deliveries are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayRule {
    /// The same timestamp, if there is one, and the same body.
    ExactRequest,
    /// The same kind or event name, and the same value at the JSON pointer.
    Pointer {
        /// The pointer (RFC 6901) to a text, a whole number of 64 bits or a boolean. Blank text, the text `null` and an
        /// unresolved `{{ placeholder }}` count as no value: events without a value are not the same.
        pointer: Box<str>,
        /// How long a key is remembered; none: for ever.
        window: Option<Duration>,
    },
    /// The same body.
    BodyHash {
        /// How long a key is remembered.
        window: Duration,
    },
}

/// A delivery as a [`ReplayStore`](super::store::ReplayStore) remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayKey {
    /// 64 hexadecimal digits: a SHA-256.
    pub key: String,
    /// The Unix time in seconds at which the key may be forgotten; none: never.
    pub expires: Option<u64>,
}

impl ReplayRule {
    /// A rule with a JSON pointer.
    ///
    /// # Errors
    /// [`ConfigError::Pointer`] when the pointer does not start with `/`.
    pub fn pointer(pointer: impl Into<Box<str>>, window: Option<Duration>) -> Result<Self, ConfigError> {
        let pointer = pointer.into();
        if !pointer.starts_with('/') {
            return Err(ConfigError::Pointer);
        }
        Ok(Self::Pointer { pointer, window })
    }

    /// The key of an event that was just received; none when the rule finds no value, and for a
    /// [stored](Verified::stored) event.
    ///
    /// ```
    /// use pylon_webhooks::{EventReader, ReplayRule, Secret, Verifier, sign};
    ///
    /// let body = br#"{"event_type": "issue_new", "message_id": "m1"}"#;
    /// let verifier = Verifier::builder().secret("your-webhook-secret").build()?;
    /// let verified = verifier.verify(body, Some(&sign(&Secret::new("your-webhook-secret")?, body, None)), None)?;
    /// let event = EventReader::new().read(verified)?;
    /// let key = ReplayRule::pointer("/message_id", None)?.key(&event).expect("the value is there");
    /// assert_eq!((key.key.len(), key.expires), (64, None));
    /// assert_eq!(ReplayRule::pointer("/id", None)?.key(&event), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(&self, event: &Verified<WebhookEvent>) -> Option<ReplayKey> {
        let signed = event.signed()?;
        match self {
            Self::ExactRequest | Self::BodyHash { .. } => self.key_of_bytes(event.raw(), signed),
            Self::Pointer { pointer, window } => {
                let value = match event.payload().pointer(pointer)? {
                    // Otherwise all events with a missing value would be the same event.
                    Value::String(text) if no_value(text).is_ok() => text.clone(),
                    // Other numbers have lost digits, and different ones may be equal by now.
                    Value::Number(number) if !number.is_f64() => number.to_string(),
                    Value::Bool(truth) => truth.to_string(),
                    _ => return None,
                };
                let name = event.kind().map_or(event.event_type(), |kind| kind.name());
                let key = digest(["pointer", name, pointer, &value].map(str::as_bytes));
                Some(ReplayKey { key, expires: window.map(|window| signed.until(window)) })
            }
        }
    }

    /// The key of a verified body that is not JSON; none when the rule reads the body. For the body of an event, the
    /// key is the event's key.
    ///
    /// ```
    /// use pylon_webhooks::{ReplayRule, Secret, Verifier, sign};
    /// use std::time::Duration;
    ///
    /// let verifier = Verifier::builder().secret("your-webhook-secret").clock(|| 1_700_000_000).build()?;
    /// let signature = sign(&Secret::new("your-webhook-secret")?, b"not JSON", None);
    /// let body = verifier.verify(b"not JSON", Some(&signature), None)?;
    /// let key = ReplayRule::BodyHash { window: Duration::from_secs(60) }.key_of_body(&body).expect("it looks at bytes alone");
    /// assert_eq!(key.expires, Some(1_700_000_060));
    /// assert_eq!(ReplayRule::pointer("/message_id", None)?.key_of_body(&body), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_of_body(&self, body: &Verified<Payload<'_>>) -> Option<ReplayKey> {
        self.key_of_bytes(body.as_bytes(), body.signed()?)
    }

    fn key_of_bytes(&self, body: &[u8], signed: Signed) -> Option<ReplayKey> {
        match self {
            Self::ExactRequest => {
                let timestamp = signed.timestamp.map(|timestamp| timestamp.to_string()).unwrap_or_default();
                let key = digest([b"exact_request", timestamp.as_bytes(), body]);
                // A second after the last in which the timestamp is accepted.
                let end = |timestamp: u64| timestamp.saturating_add(signed.tolerance_seconds).saturating_add(1);
                Some(ReplayKey { key, expires: signed.timestamp.map(end) })
            }
            Self::BodyHash { window } => {
                Some(ReplayKey { key: digest([b"body_hash", body]), expires: Some(signed.until(*window)) })
            }
            Self::Pointer { .. } => None,
        }
    }
}

impl Signed {
    /// The end of a window that begins now, in Unix seconds.
    fn until(self, window: Duration) -> u64 {
        self.now.saturating_add(window.as_secs())
    }
}

/// SHA-256 of parts that nothing in one of them can shift into the next.
fn digest<const PARTS: usize>(parts: [&[u8]; PARTS]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    base16ct::lower::encode_string(&hash.finalize())
}
