//! Verifies a delivery, reads its event, and calls the handlers.

use crate::arrival::{Payload, Received};
use crate::config_error::ConfigError;
use crate::dispatch::{Filter, Handled, Handlers, IntoHandlerResult};
use crate::error::Error;
use crate::event::{EventKind, EventReader, EventType, WebhookEvent};
use crate::failure::HandlerId;
use crate::verified::Verified;
use crate::verify::Verifier;
use std::fmt;
use std::future::Future;

/// Receives deliveries: verifies each one, reads its event, and calls the matching handlers.
///
/// `R` is the type that handlers return. It is `()` except for handlers made by [`returning`](Self::returning).
///
/// ```
/// use pylon_webhooks::{sign, IssueNewEvent, Secret, WebhookHandler};
///
/// let mut handler = WebhookHandler::new("your-webhook-secret")?;
/// handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
///
/// let body = br#"{"event_type": "issue_new", "issue_title": "Export fails"}"#;
/// let signature = sign(&Secret::new("your-webhook-secret")?, body, None);
/// let handled = handler.handle(body, Some(&signature), None)?;
/// assert_eq!(handled.event.event_type(), "issue_new");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WebhookHandler<R = ()> {
    verifier: Verifier,
    reader: EventReader,
    handlers: Handlers<R>,
}

impl WebhookHandler {
    /// Makes a handler for one secret, with the default settings.
    ///
    /// # Errors
    /// [`ConfigError::EmptySecret`].
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::returning(secret)
    }

    /// Makes a handler for the secret in an environment variable, with the default settings.
    ///
    /// ```
    /// use pylon_webhooks::WebhookHandler;
    ///
    /// let refused = WebhookHandler::from_env("PYLON_WEBHOOK_SECRET_OF_NOBODY").unwrap_err();
    /// assert_eq!(
    ///     refused.to_string(),
    ///     "no secret: the environment variable PYLON_WEBHOOK_SECRET_OF_NOBODY is not set; set it to the secret that Pylon \
    ///      shows for the webhook destination",
    /// );
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::SecretVariable`]: the variable is not set, or empty, or holds only white space and quotes.
    pub fn from_env(variable: &str) -> Result<Self, ConfigError> {
        let verifier = Verifier::builder().secret_env(variable).build()?;
        Ok(Self::from_parts(verifier, EventReader::new()))
    }

    /// Makes a handler from a verifier and a reader.
    ///
    /// ```
    /// use pylon_webhooks::{EventKind, EventReader, TimestampRule, Verifier, WebhookHandler};
    ///
    /// let verifier = Verifier::builder().secret("new").secret("old").timestamp_rule(TimestampRule::Required).build()?;
    /// let reader = EventReader::builder().name("ticket.created", EventKind::IssueNew).build()?;
    /// let handler = WebhookHandler::from_parts(verifier, reader);
    /// # Ok::<(), pylon_webhooks::ConfigError>(())
    /// ```
    pub fn from_parts(verifier: Verifier, reader: EventReader) -> Self {
        Self::returning_from_parts(verifier, reader)
    }
}

impl<R> WebhookHandler<R> {
    /// As [`new`](WebhookHandler::new), for handlers that return `Result<R, _>`. The results are collected.
    ///
    /// # Errors
    /// [`ConfigError::EmptySecret`].
    pub fn returning(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Ok(Self::returning_from_parts(Verifier::builder().secret(secret).build()?, EventReader::new()))
    }

    /// As [`from_parts`](WebhookHandler::from_parts), for handlers that return `Result<R, _>`.
    pub fn returning_from_parts(verifier: Verifier, reader: EventReader) -> Self {
        verifier.flaws().iter().for_each(|flaw| tracing::warn!("{flaw}"));
        Self { verifier, reader, handlers: Handlers::default() }
    }

    /// The verifier.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The reader.
    pub fn reader(&self) -> &EventReader {
        &self.reader
    }

    /// Registers a handler for the event type that it takes.
    pub fn on<E: EventType, O: IntoHandlerResult<R>>(
        &mut self,
        handler: impl Fn(E) -> O + Send + Sync + 'static,
    ) -> HandlerId {
        E::OWN_NAME.into_iter().for_each(|name| self.warn_of_slip(name));
        self.handlers.add(Filter::Type(E::accepts), handler)
    }

    /// Registers an async handler for the event type that it takes.
    ///
    /// ```
    /// use pylon_webhooks::{MessageNewEvent, WebhookHandler};
    ///
    /// let mut handler = WebhookHandler::new("your-webhook-secret")?;
    /// handler.on_async(|event: MessageNewEvent| async move {
    ///     println!("{}", event.message_author_name());
    /// });
    /// # Ok::<(), pylon_webhooks::ConfigError>(())
    /// ```
    pub fn on_async<E: EventType, F: Future<Output: IntoHandlerResult<R>> + Send + 'static>(
        &mut self,
        handler: impl Fn(E) -> F + Send + Sync + 'static,
    ) -> HandlerId
    where
        R: Send + 'static,
    {
        E::OWN_NAME.into_iter().for_each(|name| self.warn_of_slip(name));
        self.handlers.add_async(Filter::Type(E::accepts), handler)
    }

    /// Registers a handler for events of these names, compared by [`names_match`](crate::names_match). The log has a
    /// warning for a name that looks misspelled.
    ///
    /// ```
    /// use pylon_webhooks::{WebhookEvent, WebhookHandler};
    ///
    /// let mut handler = WebhookHandler::new("your-webhook-secret")?;
    /// handler.on_names(["ticket.created", "issue_new"], |event: WebhookEvent| println!("{}", event.text("title")));
    /// # Ok::<(), pylon_webhooks::ConfigError>(())
    /// ```
    pub fn on_names<N: AsRef<str>, O: IntoHandlerResult<R>>(
        &mut self,
        names: impl IntoIterator<Item = N>,
        handler: impl Fn(WebhookEvent) -> O + Send + Sync + 'static,
    ) -> HandlerId {
        let filter = self.names(names);
        self.handlers.add(filter, handler)
    }

    /// Registers an async handler for events of these names.
    pub fn on_names_async<N: AsRef<str>, F: Future<Output: IntoHandlerResult<R>> + Send + 'static>(
        &mut self,
        names: impl IntoIterator<Item = N>,
        handler: impl Fn(WebhookEvent) -> F + Send + Sync + 'static,
    ) -> HandlerId
    where
        R: Send + 'static,
    {
        let filter = self.names(names);
        self.handlers.add_async(filter, handler)
    }

    /// Registers a handler for every event.
    pub fn on_any<O: IntoHandlerResult<R>>(
        &mut self,
        handler: impl Fn(WebhookEvent) -> O + Send + Sync + 'static,
    ) -> HandlerId {
        self.on(handler)
    }

    /// Registers an async handler for every event.
    pub fn on_any_async<F: Future<Output: IntoHandlerResult<R>> + Send + 'static>(
        &mut self,
        handler: impl Fn(WebhookEvent) -> F + Send + Sync + 'static,
    ) -> HandlerId
    where
        R: Send + 'static,
    {
        self.on_async(handler)
    }

    /// Registers a handler for errors, refused deliveries included. It runs before the error is returned. If it fails
    /// or panics, the log says so, and the first error is still returned.
    pub fn on_error<O: IntoHandlerResult<()>>(
        &mut self,
        handler: impl Fn(&Error) -> O + Send + Sync + 'static,
    ) -> HandlerId {
        self.handlers.add_on_error(handler)
    }

    /// Registers an async handler for errors. Take what you need from the error before the `async` block: the future
    /// cannot borrow the error.
    ///
    /// ```
    /// use pylon_webhooks::{Error, WebhookHandler};
    ///
    /// let mut handler = WebhookHandler::new("your-webhook-secret")?;
    /// handler.on_error_async(|error: &Error| {
    ///     let message = error.to_string();
    ///     async move { println!("{message}") }
    /// });
    /// # Ok::<(), pylon_webhooks::ConfigError>(())
    /// ```
    pub fn on_error_async<F: Future<Output: IntoHandlerResult<()>> + Send + 'static>(
        &mut self,
        handler: impl Fn(&Error) -> F + Send + Sync + 'static,
    ) -> HandlerId {
        self.handlers.add_on_error_async(handler)
    }

    /// Removes a handler. Returns false when there was no such handler.
    pub fn remove(&mut self, handler: HandlerId) -> bool {
        self.handlers.remove(handler)
    }

    /// Verifies a delivery, reads its event and calls its handlers.
    ///
    /// # Errors
    /// Every variant of [`Error`]. When a handler fails or panics, the other handlers still run.
    pub fn handle<'a>(
        &self,
        payload: impl Into<Payload<'a>>,
        signature: Option<&str>,
        timestamp: Option<&str>,
    ) -> Result<Handled<R>, Error> {
        self.finish(self.verifier.verify(payload, signature, timestamp))
    }

    /// As [`handle`](Self::handle), with all headers of the request; see [`Verifier::verify_headers`].
    ///
    /// # Errors
    /// As [`handle`](Self::handle).
    pub fn handle_headers<'a, N: AsRef<str>, V: AsRef<[u8]>>(
        &self,
        payload: impl Into<Payload<'a>>,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Handled<R>, Error> {
        self.finish(self.verifier.verify_headers(payload, headers))
    }

    /// As [`handle`](Self::handle), and awaits async handlers.
    ///
    /// # Errors
    /// As [`handle`](Self::handle), except [`Error::AsyncHandler`].
    pub async fn handle_async(
        &self,
        payload: impl Into<Payload<'_>>,
        signature: Option<&str>,
        timestamp: Option<&str>,
    ) -> Result<Handled<R>, Error> {
        self.finish_async(self.verifier.verify(payload, signature, timestamp).and_then(|payload| self.read(payload)))
            .await
    }

    /// As [`handle_headers`](Self::handle_headers), and awaits async handlers.
    ///
    /// # Errors
    /// As [`handle`](Self::handle), except [`Error::AsyncHandler`].
    pub async fn handle_headers_async<N: AsRef<str>, V: AsRef<[u8]>>(
        &self,
        payload: impl Into<Payload<'_>>,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Handled<R>, Error> {
        self.finish_async(self.verifier.verify_headers(payload, headers).and_then(|payload| self.read(payload))).await
    }

    /// Verifies a delivery and reads its event. Only [`on_error`](Self::on_error) handlers run.
    ///
    /// ```
    /// use pylon_webhooks::{sign, Secret, WebhookHandler};
    ///
    /// let handler = WebhookHandler::new("your-webhook-secret")?;
    /// let signature = sign(&Secret::new("your-webhook-secret")?, b"{}", None);
    /// let event = handler.receive(b"{}", Some(&signature), None)?;
    /// assert_eq!(event.event_type(), "");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The refusals of [`Error`] and [`Error::Payload`].
    pub fn receive<'a>(
        &self,
        payload: impl Into<Payload<'a>>,
        signature: Option<&str>,
        timestamp: Option<&str>,
    ) -> Result<Verified<WebhookEvent>, Error> {
        self.told(self.verifier.verify(payload, signature, timestamp).and_then(|payload| self.read(payload)))
    }

    /// As [`receive`](Self::receive), with all headers of the request.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_headers<'a, N: AsRef<str>, V: AsRef<[u8]>>(
        &self,
        payload: impl Into<Payload<'a>>,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Verified<WebhookEvent>, Error> {
        self.told(self.verifier.verify_headers(payload, headers).and_then(|payload| self.read(payload)))
    }

    /// Calls the handlers for a verified event.
    ///
    /// # Errors
    /// [`Error::Handlers`], [`Error::AsyncHandler`].
    pub fn dispatch(&self, event: Verified<WebhookEvent>) -> Result<Handled<R>, Error> {
        self.told(self.handlers.dispatch(event.into_inner()))
    }

    /// As [`dispatch`](Self::dispatch), and awaits async handlers.
    ///
    /// # Errors
    /// [`Error::Handlers`].
    pub async fn dispatch_async(&self, event: Verified<WebhookEvent>) -> Result<Handled<R>, Error> {
        self.finish_async(Ok(event)).await
    }

    /// Verifies a delivery and reads its event, without running `on_error` handlers.
    pub(crate) fn receive_unreported(&self, received: Received<'_>) -> Result<Verified<WebhookEvent>, Error> {
        self.verifier.verify_received(received).and_then(|payload| self.read(payload))
    }

    /// Runs the [`on_error`](Self::on_error) handlers.
    pub(crate) async fn tell_async(&self, error: &Error) {
        self.handlers.tell_async(error).await;
    }

    /// Logs, once for each name, that no function takes its events.
    #[cfg(any(feature = "axum", feature = "actix-web"))]
    pub(crate) fn tell_untaken(&self, event: &WebhookEvent) {
        self.handlers.tell_untaken(event.event_type());
    }

    fn finish(&self, verified: Result<Verified<Payload<'_>>, Error>) -> Result<Handled<R>, Error> {
        let handled = verified
            .and_then(|payload| self.read(payload))
            .and_then(|event| self.handlers.dispatch(event.into_inner()));
        self.told(handled)
    }

    async fn finish_async(&self, event: Result<Verified<WebhookEvent>, Error>) -> Result<Handled<R>, Error> {
        let handled = match event {
            Ok(event) => self.handlers.dispatch_async(event.into_inner()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &handled {
            self.handlers.tell_async(error).await;
        }
        handled
    }

    fn read(&self, payload: Verified<Payload<'_>>) -> Result<Verified<WebhookEvent>, Error> {
        Ok(self.reader.read(payload)?)
    }

    fn told<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.handlers.tell(error))
    }

    fn names<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Filter {
        let names: Vec<Box<str>> = names.into_iter().map(|name| name.as_ref().into()).collect();
        names.iter().for_each(|name| self.warn_of_slip(name));
        Filter::Names(names)
    }

    fn warn_of_slip(&self, name: &str) {
        if self.reader.kind_of(name).is_some() {
            return;
        }
        if let Some(kind) = EventKind::probably_meant(name) {
            tracing::warn!(%name, probably_meant = %kind, "no event is likely to have this name");
        }
    }
}

impl<R> fmt::Debug for WebhookHandler<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookHandler")
            .field("verifier", &self.verifier)
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}
