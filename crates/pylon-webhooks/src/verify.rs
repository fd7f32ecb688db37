//! The rule that decides whether a delivery is Pylon's, and the one value that says so.

use crate::clock::{Clock, SystemClock};
use crate::credentials::{Credentials, Presented};
use crate::diagnosis::{Failure, Hint};
use crate::error::{ConfigError, Error};
use crate::freshness::{Timestamp, TimestampFault};
use crate::payload::Payload;
use crate::secret::{HmacSha256, Secret};
use crate::signature::{Signature, SignatureFault, signed_bytes};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// The header that bears the signature unless another is configured.
pub const SIGNATURE_HEADER: &str = "X-Pylon-Signature";
/// The header that bears the timestamp unless another is configured.
pub const TIMESTAMP_HEADER: &str = "X-Pylon-Timestamp";
/// How far a timestamp may lie from now in either direction unless configured: 300 seconds.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// Something that bears a signature of ours, or that the caller vouches for: what dispatch accepts.
///
/// ```
/// use pylon_webhooks::{parse_webhook_event, Verified, WebhookHandler};
///
/// // An event that was verified when it was stored, and is read again from one's own disk:
/// let event = parse_webhook_event(br#"{"event_type": "issue_new"}"#)?;
/// let handler = WebhookHandler::new("your-webhook-secret")?;
/// handler.dispatch(Verified::assume(event))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Vouches for a value that did not just come from [`Verifier`]: one that was verified before, or made here.
    pub fn assume(value: T) -> Self {
        Self(value)
    }

    /// The value itself, no longer marked.
    pub fn into_inner(self) -> T {
        self.0
    }

    pub(crate) fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Verified<U>, E> {
        map(self.0).map(Verified)
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Whether a delivery may come without a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampRule {
    /// Without one, the signature covers the body alone, as Pylon's own deliveries do.
    #[default]
    Optional,
    /// A delivery without one is refused.
    Required,
}

/// Decides whether a delivery is Pylon's: the secrets, the timestamp's rule, the header names and the clock.
///
/// ```
/// use pylon_webhooks::{sign, Secret, Verifier};
///
/// let verifier = Verifier::builder()
///     .secret("new-secret")
///     .secret("old-secret") // still accepted during rotation
///     .clock(|| 1_700_000_000)
///     .build()?;
/// let signature = sign(&Secret::new("old-secret")?, b"{}", Some("1700000000"));
/// let verified = verifier.verify(b"{}", Some(&signature), Some("1700000000"))?;
/// assert_eq!(verified.as_bytes(), b"{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<HmacSha256>,
    trimmed_keys: Vec<HmacSha256>,
    tolerance_seconds: u64,
    timestamp_rule: TimestampRule,
    signature_header: Box<str>,
    timestamp_header: Box<str>,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    /// Starts a configuration; at least one secret must follow.
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder::default()
    }

    /// Verifies a body against the texts of the two headers, at the clock's present time.
    ///
    /// With a timestamp the signature covers `{timestamp}.{body}` and the timestamp must be fresh; without one it covers
    /// the body alone. One request is only ever held to one of the two. The texts' form is looked at first, then the
    /// signature, then freshness.
    ///
    /// # Errors
    /// The refusals of [`Error`]: those for which [`Error::is_refusal`] holds.
    pub fn verify<'a>(
        &self,
        payload: impl Into<Payload<'a>>,
        signature: Option<&str>,
        timestamp: Option<&str>,
    ) -> Result<Verified<Payload<'a>>, Error> {
        self.verify_credentials(payload, &Credentials::new(signature, timestamp), || self.clock.unix_seconds())
    }

    /// Verifies a body against all the headers of its request, in any type that yields names and values: a slice or map
    /// of texts, or `&http::HeaderMap` of any version.
    ///
    /// Names match in any case; a signature or timestamp header that comes twice is refused.
    ///
    /// ```
    /// use pylon_webhooks::{sign, Secret, Verifier};
    ///
    /// let verifier = Verifier::builder().secret("your-webhook-secret").build()?;
    /// let signature = sign(&Secret::new("your-webhook-secret")?, b"{}", None);
    /// verifier.verify_headers(b"{}", [("x-pylon-signature", &signature)])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_headers<'a, N: AsRef<str>, V: AsRef<[u8]>>(
        &self,
        payload: impl Into<Payload<'a>>,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Verified<Payload<'a>>, Error> {
        let mut credentials = Credentials::new(None, None);
        for (name, value) in headers {
            credentials.add(self.header_names(), name.as_ref(), Presented::Once(value));
        }
        self.verify_credentials(payload, &credentials, || self.clock.unix_seconds())
    }

    /// Verifies a body against what its request presented, at a given time in Unix seconds; the clock is not read, and
    /// `now` is asked only when an authentic delivery bears a timestamp.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_credentials<'a, V: AsRef<[u8]>>(
        &self,
        payload: impl Into<Payload<'a>>,
        credentials: &Credentials<V>,
        now: impl FnOnce() -> u64,
    ) -> Result<Verified<Payload<'a>>, Error> {
        let payload = payload.into();
        let signature = self.signature(credentials)?;
        let timestamp = self.timestamp(credentials)?;
        let signed_timestamp = timestamp.map(|timestamp| timestamp.text);
        let body = payload.as_bytes();
        // Every secret is tried, so that the time taken does not tell which one it was.
        let authentic = self.keys.iter().fold(false, |authentic, key| {
            signature.matches(signed_bytes(key.clone(), body, signed_timestamp)) | authentic
        });
        if !authentic {
            let failure = Failure {
                keys: &self.keys,
                trimmed_keys: &self.trimmed_keys,
                signature: &signature,
                timestamp: signed_timestamp,
                body,
                other_product: credentials.other_product,
            };
            return Err(Error::SignatureMismatch { hint: failure.hint() });
        }
        if let Some(timestamp) = timestamp {
            timestamp.check(now(), self.tolerance_seconds)?;
        }
        Ok(Verified(payload))
    }

    /// The names of the signature header and the timestamp header.
    pub fn header_names(&self) -> (&str, &str) {
        (&self.signature_header, &self.timestamp_header)
    }

    /// The clock that [`verify`](Self::verify) reads, in Unix seconds.
    pub fn unix_seconds(&self) -> u64 {
        self.clock.unix_seconds()
    }

    /// How far a timestamp may lie from now in either direction.
    pub fn tolerance(&self) -> Duration {
        Duration::from_secs(self.tolerance_seconds)
    }

    /// Whether a delivery may come without a timestamp.
    pub fn timestamp_rule(&self) -> TimestampRule {
        self.timestamp_rule
    }

    fn signature<V: AsRef<[u8]>>(&self, credentials: &Credentials<V>) -> Result<Signature, Error> {
        let found = match &credentials.signature {
            Presented::Once(text) => match Signature::parse(text.as_ref()) {
                Ok(signature) => return Ok(signature),
                Err(fault) => fault,
            },
            Presented::Absent => {
                let hint = credentials.other_product.map(Hint::OtherProduct);
                return Err(Error::SignatureMissing { header: self.signature_header.clone(), hint });
            }
            Presented::Repeated => SignatureFault::Repeated,
            Presented::OtherType(name) => SignatureFault::Type(name),
        };
        Err(Error::SignatureMalformed { header: self.signature_header.clone(), found })
    }

    fn timestamp<'c, V: AsRef<[u8]>>(&self, credentials: &'c Credentials<V>) -> Result<Option<Timestamp<'c>>, Error> {
        let found = match &credentials.timestamp {
            Presented::Once(text) => match Timestamp::parse(text.as_ref()) {
                Ok(timestamp) => return Ok(Some(timestamp)),
                Err(fault) => fault,
            },
            Presented::Absent => {
                return match self.timestamp_rule {
                    TimestampRule::Optional => Ok(None),
                    TimestampRule::Required => Err(Error::TimestampMissing { header: self.timestamp_header.clone() }),
                };
            }
            Presented::Repeated => TimestampFault::Repeated,
            Presented::OtherType(name) => TimestampFault::Type(name),
        };
        Err(Error::TimestampMalformed { header: self.timestamp_header.clone(), found })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("secrets", &format_args!("{} [redacted]", self.keys.len()))
            .field("tolerance_seconds", &self.tolerance_seconds)
            .field("timestamp_rule", &self.timestamp_rule)
            .field("signature_header", &self.signature_header)
            .field("timestamp_header", &self.timestamp_header)
            .finish_non_exhaustive()
    }
}

/// The configuration of a [`Verifier`] in the making.
#[must_use]
pub struct VerifierBuilder {
    secrets: Vec<Result<Secret, ConfigError>>,
    tolerance: Duration,
    timestamp_rule: TimestampRule,
    signature_header: Box<str>,
    timestamp_header: Box<str>,
    clock: Arc<dyn Clock>,
}

impl Default for VerifierBuilder {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            tolerance: DEFAULT_TOLERANCE,
            timestamp_rule: TimestampRule::default(),
            signature_header: SIGNATURE_HEADER.into(),
            timestamp_header: TIMESTAMP_HEADER.into(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl VerifierBuilder {
    /// Adds a secret; during rotation there are two, and a delivery signed with either is accepted.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secrets.push(Secret::new(secret));
        self
    }

    /// How far a timestamp may lie from now in either direction, in whole seconds; zero accepts the present second alone.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Whether a delivery may come without a timestamp.
    pub fn timestamp_rule(mut self, rule: TimestampRule) -> Self {
        self.timestamp_rule = rule;
        self
    }

    /// The name of the header that bears the signature.
    pub fn signature_header(mut self, name: impl Into<Box<str>>) -> Self {
        self.signature_header = name.into();
        self
    }

    /// The name of the header that bears the timestamp.
    pub fn timestamp_header(mut self, name: impl Into<Box<str>>) -> Self {
        self.timestamp_header = name.into();
        self
    }

    /// The clock, in Unix seconds; a closure will do.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the verifier, its MACs keyed once and for all.
    ///
    /// # Errors
    /// [`ConfigError::NoSecret`], [`ConfigError::EmptySecret`], [`ConfigError::HeaderName`] or [`ConfigError::SameHeader`].
    pub fn build(self) -> Result<Verifier, ConfigError> {
        let secrets = self.secrets.into_iter().collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() {
            return Err(ConfigError::NoSecret);
        }
        if ![&self.signature_header, &self.timestamp_header].into_iter().all(|name| is_header_name(name)) {
            return Err(ConfigError::HeaderName);
        }
        if self.signature_header.eq_ignore_ascii_case(&self.timestamp_header) {
            return Err(ConfigError::SameHeader);
        }
        Ok(Verifier {
            keys: secrets.iter().map(Secret::keyed).collect(),
            trimmed_keys: secrets.iter().filter_map(Secret::keyed_without_outer_space).collect(),
            tolerance_seconds: self.tolerance.as_secs(),
            timestamp_rule: self.timestamp_rule,
            signature_header: self.signature_header,
            timestamp_header: self.timestamp_header,
            clock: self.clock,
        })
    }
}

impl fmt::Debug for VerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("secrets", &format_args!("{} [redacted]", self.secrets.len()))
            .finish_non_exhaustive()
    }
}

/// An HTTP token (RFC 9110, section 5.6.2).
fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
