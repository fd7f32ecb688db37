//! Events that you stored after they were verified.

use super::event::WebhookEvent;
use super::fault::PayloadError;
use super::kind::EventKind;
use super::reader::EventReader;
use crate::arrival::Payload;
use crate::verified::Verified;

impl WebhookEvent {
    /// Rebuilds an event from its stored body, [name](Self::event_type) and [kind](Self::kind). Neither the name nor
    /// the kind is determined again, so the reader's settings are not needed. The body is parsed once.
    ///
    /// ```
    /// use pylon_webhooks::{EventKind, Verified, WebhookEvent, WebhookHandler};
    ///
    /// let event = WebhookEvent::from_stored(b"{}", "ticket.created", Some(EventKind::IssueNew))?;
    /// assert_eq!((event.event_type(), event.kind()), ("ticket.created", Some(EventKind::IssueNew)));
    /// WebhookHandler::new("your-webhook-secret")?.dispatch(Verified::stored(event))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PayloadError`] when the body is not JSON or nests too deep.
    pub fn from_stored<'a>(
        payload: impl Into<Payload<'a>>,
        name: &str,
        kind: Option<EventKind>,
    ) -> Result<Self, PayloadError> {
        EventReader::new().parse_as(payload.into(), name, kind)
    }
}

impl Verified<WebhookEvent> {
    /// Marks an event that was verified before you stored it, and that you read from your own storage. Use it for
    /// nothing else: pass new deliveries to [`WebhookHandler::handle`](crate::WebhookHandler::handle).
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
        Self::without_request(event)
    }
}

impl Verified<Payload<'static>> {
    /// Marks a body that was verified before you stored it, and that you read from your own storage. Use it for nothing
    /// else, as with [`stored`](Verified::stored).
    ///
    /// ```
    /// use pylon_webhooks::Verified;
    ///
    /// let body = Verified::stored_body(b"{}".to_vec());
    /// assert_eq!((body.as_bytes(), body.signed()), (&b"{}"[..], None));
    /// ```
    pub fn stored_body(body: impl Into<Payload<'static>>) -> Self {
        Self::without_request(body.into())
    }
}
