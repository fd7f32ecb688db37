//! A complete delivery that is not yet verified.

use super::credentials::Credentials;
use super::payload::Payload;

/// A complete body with its credentials, for [`Verifier::verify_received`](crate::Verifier::verify_received).
#[derive(Debug)]
#[must_use]
pub struct Received<'a> {
    pub(crate) body: Payload<'a>,
    pub(crate) credentials: Credentials,
}

impl<'a> Received<'a> {
    pub(crate) fn new(body: Payload<'a>, credentials: Credentials) -> Self {
        Self { body: body.encoded(credentials.content_encoding), credentials }
    }

    /// The body, not yet verified.
    pub fn body(&self) -> &Payload<'a> {
        &self.body
    }
}
