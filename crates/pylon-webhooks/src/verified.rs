//! The one value that says that a delivery is genuine, and by what it was judged.

use crate::event::WebhookEvent;
use std::ops::Deref;

/// Something that a [`Verifier`](crate::Verifier) accepted, with what was signed: what dispatch takes.
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

/// What was signed beside the body, and by what it was judged; times are Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Signed {
    /// The timestamp that was signed; none where the signature covers the body alone.
    pub timestamp: Option<u64>,
    /// The present time when the delivery was verified.
    pub now: u64,
    /// How far a timestamp may lie from now, in seconds.
    pub tolerance_seconds: u64,
}

impl<T> Verified<T> {
    pub(crate) fn new(value: T, signed: Signed) -> Self {
        Self { value, signed: Some(signed) }
    }

    /// The value of a test, as if it had been verified.
    #[cfg(feature = "testing")]
    pub(crate) fn of_test(value: T) -> Self {
        Self { value, signed: None }
    }

    /// What was signed; none for a [stored](Self::stored) event, whose request is gone.
    pub fn signed(&self) -> Option<Signed> {
        self.signed
    }

    /// The value itself, no longer marked.
    pub fn into_inner(self) -> T {
        self.value
    }

    pub(crate) fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Verified<U>, E> {
        Ok(Verified { value: map(self.value)?, signed: self.signed })
    }
}

impl Verified<WebhookEvent> {
    /// Vouches for an event that was verified before it was stored, and is read again from your own storage. Use it for nothing
    /// else: what has just arrived goes to [`WebhookHandler::handle`](crate::WebhookHandler::handle).
    ///
    /// ```
    /// use pylon_webhooks::{Verified, WebhookHandler, parse_webhook_event};
    ///
    /// let event = parse_webhook_event(br#"{"event_type": "issue_new"}"#)?;
    /// let handler = WebhookHandler::new("your-webhook-secret")?;
    /// handler.dispatch(Verified::stored(event))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stored(event: WebhookEvent) -> Self {
        Self { value: event, signed: None }
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
