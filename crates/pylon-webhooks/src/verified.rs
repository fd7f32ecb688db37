//! The mark of a verified delivery, with what was signed.

use crate::arrival::{Payload, Received};
use std::ops::Deref;

/// A value that a [`Verifier`](crate::Verifier) accepted, with what was signed. Only verified events can be dispatched.
///
/// ```
/// use pylon_webhooks::{Secret, Verifier, sign};
///
/// let verifier = Verifier::builder().secret("your-webhook-secret").clock(|| 1_700_000_007).build()?;
/// let signature = sign(&Secret::new("your-webhook-secret")?, b"{}", Some("1700000000"));
/// let verified = verifier.verify(b"{}", Some(&signature), Some("1700000000"))?;
/// let signed = verified.signed().expect("it came just now");
/// assert_eq!((signed.timestamp, signed.now), (Some(1_700_000_000), 1_700_000_007));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Verified<T> {
    value: T,
    signed: Option<Signed>,
}

/// What was signed besides the body, and the time of the check. Times are Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Signed {
    /// The signed timestamp; none when the signature covers the body alone.
    pub timestamp: Option<u64>,
    /// The time of the check.
    pub now: u64,
    /// How much a timestamp may differ from the clock, in seconds.
    pub tolerance_seconds: u64,
}

impl<T> Verified<T> {
    pub(crate) fn new(value: T, signed: Signed) -> Self {
        Self { value, signed: Some(signed) }
    }

    /// A value that did not just arrive.
    pub(crate) fn without_request(value: T) -> Self {
        Self { value, signed: None }
    }

    /// What was signed; none for what was [stored](Self::stored).
    pub fn signed(&self) -> Option<Signed> {
        self.signed
    }

    /// The value without its mark.
    pub fn into_inner(self) -> T {
        self.value
    }

    pub(crate) fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Verified<U>, E> {
        Ok(Verified { value: map(self.value)?, signed: self.signed })
    }
}

impl<'a> Received<'a> {
    /// Accepts the delivery without checking a signature. Call it only when something else proves that the delivery is
    /// genuine: a header with a secret value, mutual TLS.
    ///
    /// `now` is the current time in Unix seconds: the windows of a [`ReplayRule`](crate::ReplayRule) begin then.
    ///
    /// ```
    /// use pylon_webhooks::Admission;
    ///
    /// let received = Admission::new().admit("POST", [("X-Token", "…")])?.whole(b"{}")?;
    /// // Here your app has compared the token, and only then:
    /// let verified = received.accept_unsigned(1_700_000_000);
    /// assert_eq!(verified.as_bytes(), b"{}");
    /// # Ok::<(), pylon_webhooks::RequestFault>(())
    /// ```
    pub fn accept_unsigned(self, now: u64) -> Verified<Payload<'a>> {
        Verified::new(self.body, Signed { timestamp: None, now, tolerance_seconds: 0 })
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
