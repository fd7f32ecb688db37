//! The rule that decides whether a delivery is Pylon's.

use crate::arrival::{
    Admission, Credentials, HeaderValue, Payload, Presented, Received, SIGNATURE_HEADER, TIMESTAMP_HEADER,
    compression_of,
};
use crate::clock::{Clock, SystemClock};
use crate::config_error::ConfigError;
use crate::diagnosis::Failure;
use crate::error::Error;
use crate::freshness::{NotFresh, Timestamp};
use crate::hint::Hint;
use crate::secret::{HmacSha256, Secret};
use crate::secret_flaw::SecretFlaw;
use crate::signature::{Signature, begins_with_timestamp, signed_bytes};
use crate::verified::{Signed, Verified};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The default tolerance: a timestamp may differ from the clock by 300 seconds.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// Whether a delivery may have no timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampRule {
    /// Without a timestamp, the signature covers the body alone. Pylon's deliveries are like that. A body that begins with a
    /// timestamp and a full stop needs a timestamp all the same: it is what the sender of a timestamped delivery signs.
    #[default]
    Optional,
    /// A delivery without a timestamp is refused.
    Required,
}

/// Checks that a delivery is from Pylon. Has the secrets, the timestamp rule, the header names and the clock.
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
    /// The MACs of what the secrets may have been meant to be, for hints.
    repaired_keys: Vec<(SecretFlaw, HmacSha256)>,
    flaws: Vec<SecretFlaw>,
    tolerance_seconds: u64,
    timestamp_rule: TimestampRule,
    signature_header: Box<str>,
    timestamp_header: Box<str>,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    /// Starts a configuration. At least one secret is required.
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder::default()
    }

    /// Verifies a body against the values of the two headers.
    ///
    /// With a timestamp, the signature covers `{timestamp}.{body}` and the timestamp must be fresh. Without a
    /// timestamp, the signature covers the body alone. A delivery is never checked against both: without a timestamp, a
    /// body that itself begins with `{timestamp}.` is refused. The verifier checks the form of the header values first,
    /// then the signature, then freshness.
    ///
    /// # Errors
    /// The variants of [`Error`] for which [`Error::is_refusal`] is true.
    pub fn verify<'a>(
        &self,
        payload: impl Into<Payload<'a>>,
        signature: Option<&str>,
        timestamp: Option<&str>,
    ) -> Result<Verified<Payload<'a>>, Error> {
        let credentials = Credentials::new(signature.map(HeaderValue::of), timestamp.map(HeaderValue::of));
        self.verify_received(Received::new(payload.into(), credentials))
    }

    /// Verifies a body against all headers of its request. Takes any type that yields names and values: a slice or map
    /// of texts, or `&http::HeaderMap` of any version.
    ///
    /// Header names match in any case. A signature or timestamp header that occurs twice is refused.
    ///
    /// ```
    /// use pylon_webhooks::{sign, Secret, Verifier};
    ///
    /// let verifier = Verifier::builder().secret("your-webhook-secret").build()?;
    /// let signature = sign(&Secret::new("your-webhook-secret")?, b"{}", None);
    /// let verified = verifier.verify_headers(b"{}", [("x-pylon-signature", &signature)])?;
    /// assert_eq!(verified.as_bytes(), b"{}");
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
            credentials.add(self.header_names(), name.as_ref(), HeaderValue::Text(value.as_ref()));
        }
        self.verify_received(Received::new(payload.into(), credentials))
    }

    /// Verifies a delivery that was [admitted](Admission::admit) and whose body has arrived.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_received<'a>(&self, received: Received<'a>) -> Result<Verified<Payload<'a>>, Error> {
        self.verify_received_at(received, || self.clock.unix_seconds())
    }

    /// As [`verify_received`](Self::verify_received), with `now` in place of the clock, in Unix seconds. `now` is
    /// called once, and only when the signature matches.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_received_at<'a>(
        &self,
        received: Received<'a>,
        now: impl FnOnce() -> u64,
    ) -> Result<Verified<Payload<'a>>, Error> {
        let timestamp = self.authenticate(&received)?;
        let now = now();
        if let Some(timestamp) = &timestamp {
            self.check_freshness(timestamp, now)?;
        }
        let timestamp = timestamp.map(|timestamp| timestamp.unix_seconds);
        Ok(Verified::new(received.body, Signed { timestamp, now, tolerance_seconds: self.tolerance_seconds }))
    }

    /// Verifies a delivery and returns nothing. `now` is called only when the signature matches and there is a
    /// timestamp.
    pub(crate) fn check(&self, received: &Received<'_>, now: impl FnOnce() -> u64) -> Result<(), Error> {
        match self.authenticate(received)? {
            Some(timestamp) => self.check_freshness(&timestamp, now()),
            None => Ok(()),
        }
    }

    /// An admission with this verifier's header names and the default body limit.
    pub fn admission(&self) -> Admission {
        Admission::of_headers(self.header_names())
    }

    /// The names of the signature header and the timestamp header.
    pub fn header_names(&self) -> (&str, &str) {
        (&self.signature_header, &self.timestamp_header)
    }

    /// The clock that [`verify`](Self::verify) reads, in Unix seconds.
    pub fn unix_seconds(&self) -> u64 {
        self.clock.unix_seconds()
    }

    /// How much a timestamp may differ from the clock.
    pub fn tolerance(&self) -> Duration {
        Duration::from_secs(self.tolerance_seconds)
    }

    /// Whether a delivery may have no timestamp.
    pub fn timestamp_rule(&self) -> TimestampRule {
        self.timestamp_rule
    }

    /// What is probably wrong with the secrets.
    pub(crate) fn flaws(&self) -> &[SecretFlaw] {
        &self.flaws
    }

    /// Checks the form of the credentials, then the signature. Returns the timestamp that was signed.
    fn authenticate(&self, received: &Received<'_>) -> Result<Option<Timestamp>, Error> {
        let Received { body: payload, credentials } = received;
        let signature = self.signature(credentials)?;
        let timestamp = self.timestamp(credentials, payload.as_bytes())?;
        let signed_timestamp = timestamp.as_ref().map(Timestamp::text);
        let body = payload.as_bytes();
        // Try every secret, so that the time does not reveal which one matched.
        let authentic = self.keys.iter().fold(false, |authentic, key| {
            signature.matches(signed_bytes(key.clone(), body, signed_timestamp)) | authentic
        });
        if authentic {
            return Ok(timestamp);
        }
        let failure = Failure {
            keys: &self.keys,
            repaired_keys: &self.repaired_keys,
            signature: &signature,
            timestamp: signed_timestamp,
            body,
            body_is_text: payload.is_text(),
            other_product: credentials.other_product,
            content_encoding: credentials.content_encoding,
            compression: compression_of(body),
        };
        Err(Error::SignatureMismatch { hint: failure.hint() })
    }

    fn check_freshness(&self, timestamp: &Timestamp, now: u64) -> Result<(), Error> {
        let tolerance_seconds = self.tolerance_seconds;
        timestamp.check(now, tolerance_seconds).map_err(|fault| match fault {
            NotFresh::Stale { age_seconds } => Error::TimestampStale { age_seconds, tolerance_seconds },
            NotFresh::Future { ahead_seconds } => Error::TimestampFuture { ahead_seconds, tolerance_seconds },
        })
    }

    fn signature(&self, credentials: &Credentials) -> Result<Signature, Error> {
        match credentials.signature {
            Presented::WellFormed(signature) => Ok(signature),
            Presented::Malformed(found) => {
                Err(Error::SignatureMalformed { header: self.signature_header.clone(), found })
            }
            Presented::Absent => {
                let hint = credentials.other_product.map(Hint::OtherProduct);
                Err(Error::SignatureMissing { header: self.signature_header.clone(), hint })
            }
        }
    }

    fn timestamp(&self, credentials: &Credentials, body: &[u8]) -> Result<Option<Timestamp>, Error> {
        match credentials.timestamp {
            Presented::WellFormed(timestamp) => Ok(Some(timestamp)),
            Presented::Malformed(found) => {
                Err(Error::TimestampMalformed { header: self.timestamp_header.clone(), found })
            }
            Presented::Absent => {
                let hint = begins_with_timestamp(body).then_some(Hint::BodyBeginsWithTimestamp);
                match self.timestamp_rule {
                    TimestampRule::Optional if hint.is_none() => Ok(None),
                    _ => Err(Error::TimestampMissing { header: self.timestamp_header.clone(), hint }),
                }
            }
        }
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

/// Builds a [`Verifier`].
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
    /// Adds a secret. During a rotation, add both: a delivery signed with either one is accepted.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secrets.push(Secret::new(secret));
        self
    }

    /// Adds a secret from an environment variable, such as `PYLON_WEBHOOK_SECRET`.
    pub fn secret_env(mut self, variable: &str) -> Self {
        self.secrets.push(Secret::from_env(variable));
        self
    }

    /// How much a timestamp may differ from the clock, in whole seconds. Zero accepts only the current second.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Whether a delivery may have no timestamp.
    pub fn timestamp_rule(mut self, rule: TimestampRule) -> Self {
        self.timestamp_rule = rule;
        self
    }

    /// Name of the signature header.
    pub fn signature_header(mut self, name: impl Into<Box<str>>) -> Self {
        self.signature_header = name.into();
        self
    }

    /// Name of the timestamp header.
    pub fn timestamp_header(mut self, name: impl Into<Box<str>>) -> Self {
        self.timestamp_header = name.into();
        self
    }

    /// The clock, in Unix seconds. A closure is a clock.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the verifier and prepares the MACs.
    ///
    /// # Errors
    /// [`ConfigError::NoSecret`], [`ConfigError::EmptySecret`], [`ConfigError::SecretVariable`],
    /// [`ConfigError::HeaderName`] or [`ConfigError::SameHeader`].
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
            repaired_keys: secrets.iter().flat_map(Secret::keyed_repaired).collect(),
            flaws: secrets.iter().filter_map(Secret::flaw).collect(),
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
