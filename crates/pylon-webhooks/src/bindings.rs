//! What bindings for other languages need, and nobody else. No part of the API: it changes without notice.

pub use crate::arrival::{Credentials, HeaderValue, HeaderWalk};

use crate::arrival::{Payload, Presented, Received};
use crate::endpoint::Outcome;
use crate::error::Error;
use crate::event::WebhookEvent;
use crate::replay::MemoryReplayStore;
use crate::verified::{Signed, Verified};
use crate::verify::Verifier;
use std::borrow::Cow;

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

/// Verifies a delivery and returns nothing. `now` is called only when the signature matches and there is a timestamp.
///
/// # Errors
/// As [`Verifier::verify`].
pub fn check(verifier: &Verifier, received: &Received<'_>, now: impl FnOnce() -> u64) -> Result<(), Error> {
    verifier.check(received, now)
}

/// What to answer a delivery that failed with an error of this code.
pub fn outcome_of_code(code: &str) -> Outcome {
    Outcome::of_code(code)
}

/// [`MemoryReplayStore::is_first`] at a given time in Unix seconds.
pub fn is_first_at(store: &MemoryReplayStore, key: &str, expires: Option<u64>, now: u64) -> bool {
    store.is_first_at(key, expires, now)
}

/// The custom fields by slug, each value as JSON text. Of several with one slug, the last one counts.
pub fn custom_fields_json(event: &WebhookEvent) -> Vec<(String, Cow<'_, str>)> {
    event.custom_fields_json()
}

/// What [`WebhookEvent::extra`] has, each value as JSON text, in the order of the body.
pub fn extra_json(event: &WebhookEvent) -> Vec<(String, Cow<'_, str>)> {
    event.extra_json()
}
