//! A complete delivery that is not yet verified.

use super::credentials::Credentials;
use super::payload::Payload;
use crate::verified::{Signed, Verified};

/// A complete body with its credentials, for [`Verifier::verify_received`](crate::Verifier::verify_received).
#[derive(Debug)]
#[must_use]
pub struct Received<'a> {
    pub(crate) body: Payload<'a>,
    pub(crate) credentials: Credentials,
}

impl<'a> Received<'a> {
    pub(crate) fn new(body: Payload<'a>, credentials: Credentials) -> Self {
        Self { body, credentials }
    }

    /// The body, not yet verified.
    pub fn body(&self) -> &Payload<'a> {
        &self.body
    }

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
