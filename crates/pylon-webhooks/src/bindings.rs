//! What bindings for other languages need, and nobody else. No part of the API: it changes without notice.

pub use crate::arrival::{Credentials, HeaderValue, HeaderWalk};

use crate::arrival::{Payload, Presented, Received};
use crate::error::Error;
use crate::verified::{Signed, Verified};
use crate::verify::Verifier;

/// A delivery that did not come as a request.
pub fn received<'a>(body: Payload<'a>, credentials: Credentials) -> Received<'a> {
    Received::new(body, credentials)
}

/// The UTF-8 of a text as a body, where the caller had text.
pub fn given_as_text(utf8: Payload<'_>) -> Payload<'_> {
    utf8.given_as_text()
}

/// Takes a delivery for genuine as it is, its timestamp included: for a caller who has switched verification off.
pub fn believe<'a>(verifier: &Verifier, received: Received<'a>, now: u64) -> Verified<Payload<'a>> {
    let timestamp = match received.credentials.timestamp {
        Presented::WellFormed(timestamp) => Some(timestamp.unix_seconds),
        Presented::Absent | Presented::Malformed(_) => None,
    };
    Verified::new(received.body, Signed { timestamp, now, tolerance_seconds: verifier.tolerance().as_secs() })
}

/// Verifies a delivery and makes nothing of it. `now` is called only where an authentic delivery bears a timestamp.
///
/// # Errors
/// As [`Verifier::verify`].
pub fn check(verifier: &Verifier, received: &Received<'_>, now: impl FnOnce() -> u64) -> Result<(), Error> {
    verifier.check(received, now)
}
