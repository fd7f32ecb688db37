//! The rule that decides whether a delivery is Pylon's.

use crate::arrival::{
    Admission, Credentials, HeaderValue, Payload, Presented, Received, SIGNATURE_HEADER, TIMESTAMP_HEADER,
};
use crate::clock::{Clock, SystemClock};
use crate::config_error::ConfigError;
use crate::diagnosis::{Failure, Hint};
use crate::error::Error;
use crate::freshness::{NotFresh, Timestamp};
use crate::secret::{HmacSha256, Secret};
use crate::signature::{Signature, signed_bytes};
use crate::verified::{Signed, Verified};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How far a timestamp may lie from now in either direction unless configured: 300 seconds.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

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
        let credentials = Credentials::new(signature.map(HeaderValue::of), timestamp.map(HeaderValue::of));
        self.verify_received(Received::new(payload.into(), credentials))
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

    /// Verifies a delivery that was [admitted](Admission::admit) and has arrived, at the clock's present time.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_received<'a>(&self, received: Received<'a>) -> Result<Verified<Payload<'a>>, Error> {
        self.verify_received_at(received, || self.clock.unix_seconds())
    }

    /// As [`verify_received`](Self::verify_received), at the time that `now` gives in Unix seconds. `now` is called once, for
    /// authentic deliveries alone; the clock is not read.
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

    /// Checks a delivery and makes nothing of it. `now` is called only where an authentic delivery bears a timestamp.
    pub(crate) fn check(&self, received: &Received<'_>, now: impl FnOnce() -> u64) -> Result<(), Error> {
        match self.authenticate(received)? {
            Some(timestamp) => self.check_freshness(&timestamp, now()),
            None => Ok(()),
        }
    }

    /// What an endpoint admits whose deliveries this verifies: the default limit, and the header names that are configured here.
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

    /// How far a timestamp may lie from now in either direction.
    pub fn tolerance(&self) -> Duration {
        Duration::from_secs(self.tolerance_seconds)
    }

    /// Whether a delivery may come without a timestamp.
    pub fn timestamp_rule(&self) -> TimestampRule {
        self.timestamp_rule
    }

    /// The form of what was presented, then the signature; gives the timestamp that was signed.
    fn authenticate(&self, received: &Received<'_>) -> Result<Option<Timestamp>, Error> {
        let Received { body: payload, credentials } = received;
        let signature = self.signature(credentials)?;
        let timestamp = self.timestamp(credentials)?;
        let signed_timestamp = timestamp.as_ref().map(Timestamp::text);
        let body = payload.as_bytes();
        // Every secret is tried, so that the time taken does not tell which one it was.
        let authentic = self.keys.iter().fold(false, |authentic, key| {
            signature.matches(signed_bytes(key.clone(), body, signed_timestamp)) | authentic
        });
        if authentic {
            return Ok(timestamp);
        }
        let failure = Failure {
            keys: &self.keys,
            trimmed_keys: &self.trimmed_keys,
            signature: &signature,
            timestamp: signed_timestamp,
            body,
            body_is_text: payload.is_text(),
            other_product: credentials.other_product,
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

    fn timestamp(&self, credentials: &Credentials) -> Result<Option<Timestamp>, Error> {
        match (credentials.timestamp, self.timestamp_rule) {
            (Presented::WellFormed(timestamp), _) => Ok(Some(timestamp)),
            (Presented::Malformed(found), _) => {
                Err(Error::TimestampMalformed { header: self.timestamp_header.clone(), found })
            }
            (Presented::Absent, TimestampRule::Optional) => Ok(None),
            (Presented::Absent, TimestampRule::Required) => {
                Err(Error::TimestampMissing { header: self.timestamp_header.clone() })
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
