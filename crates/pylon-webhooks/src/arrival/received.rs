//! A delivery that is there and not yet verified.

use super::credentials::Credentials;
use super::payload::Payload;
use crate::verified::{Signed, Verified};

/// A whole body and the credentials that came with it, for [`Verifier::verify_received`](crate::Verifier::verify_received).
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

    /// The body, which nobody has verified.
    pub fn body(&self) -> &Payload<'a> {
        &self.body
    }

    /// Takes the delivery for genuine without looking at a signature, because the caller knows it by other means: a header with
    /// a secret value, mutual TLS.
    ///
    /// `now` is the present time in Unix seconds, where windows of a [`ReplayRule`](crate::ReplayRule) begin.
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
