//! Delivers to handlers in this process.

use super::attempt::Attempt;
use super::code::Code;
use super::contract::{Transport, TransportFuture};
use super::line::fit;
use super::report::Report;
use crate::text::show_duration;
use pylon_webhooks::{HandlerError, Verified, WebhookEvent, WebhookHandler};
use std::any::Any;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// The result of handlers, as a future: nothing, or a sentence about the failure.
pub type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Handlers in this process, called for each attempt. After an error or a panic, the receiver tries again.
///
/// A [`WebhookHandler`] implements this. [`handlers_of`] makes handlers of an async closure that takes a [`DeliveredEvent`].
///
/// At the time-out, the future is dropped at its next await. Code that blocks a thread runs on, next to the next attempt.
pub trait Handlers: Send + Sync + 'static {
    /// Handles the event. The ledger keeps an error as a shortened sentence; errors are not logged.
    fn handle<'a>(&'a self, event: Verified<WebhookEvent>, attempt: &'a Attempt) -> HandlerFuture<'a>;
}

impl<R: Send + 'static> Handlers for WebhookHandler<R> {
    fn handle<'a>(&'a self, event: Verified<WebhookEvent>, _: &'a Attempt) -> HandlerFuture<'a> {
        Box::pin(async move { self.dispatch_async(event).await.map(drop).map_err(|error| error.to_string()) })
    }
}

/// An event as a closure gets it, with the attempt to deliver it. It dereferences to the event.
#[derive(Debug, Clone)]
pub struct DeliveredEvent {
    /// The event.
    pub event: Verified<WebhookEvent>,
    /// The attempt: its number, ids, headers. The event id is the same on every attempt: deduplicate by it.
    pub attempt: Attempt,
}

impl Deref for DeliveredEvent {
    type Target = WebhookEvent;

    fn deref(&self) -> &WebhookEvent {
        &self.event
    }
}

/// Makes handlers of one async closure, which takes every event.
///
/// ```
/// use pylon_receiver::handlers_of;
///
/// let handlers = handlers_of(|event| async move {
///     println!("{} {}, attempt {}", event.attempt.event(), event.event_type(), event.attempt.number);
///     Ok(())
/// });
/// ```
pub fn handlers_of<F, Answer>(handle: F) -> impl Handlers
where
    F: Fn(DeliveredEvent) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    Closure(handle)
}

struct Closure<F>(F);

impl<F, Answer> Handlers for Closure<F>
where
    F: Fn(DeliveredEvent) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    fn handle<'a>(&'a self, event: Verified<WebhookEvent>, attempt: &'a Attempt) -> HandlerFuture<'a> {
        let answer = (self.0)(DeliveredEvent { event, attempt: attempt.clone() });
        Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
    }
}

/// Handlers as a transport.
pub(super) struct InProcess {
    handlers: Arc<dyn Handlers>,
    timeout: Duration,
}

impl InProcess {
    /// Calls these handlers.
    pub(super) fn new(handlers: Arc<dyn Handlers>, timeout: Duration) -> Self {
        Self { handlers, timeout }
    }
}

impl Transport for InProcess {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let event = match WebhookEvent::from_stored(attempt.body.clone(), &attempt.name, attempt.kind) {
                Ok(event) => Verified::stored(event),
                Err(error) => {
                    return Report::refused(
                        Code::UNREADABLE,
                        None,
                        format!("handlers cannot read the body: {}", error.fault()),
                    );
                }
            };
            let (handlers, attempt) = (Arc::clone(&self.handlers), attempt.clone());
            // A task of its own: a panic ends this task only, and blocking code blocks another thread.
            let task = tokio::spawn(async move { handlers.handle(event, &attempt).await });
            let _abort = AbortOnDrop(task.abort_handle());
            match tokio::time::timeout(self.timeout, task).await {
                Ok(Ok(Ok(()))) => Report::delivered(None, "handled"),
                Ok(Ok(Err(error))) => {
                    Report::refused(Code::HANDLER_ERROR, None, "a handler failed").with_detail(failed(&error))
                }
                Ok(Err(ended)) => match ended.try_into_panic() {
                    Ok(panic) => {
                        Report::refused(Code::PANIC, None, "a handler panicked").with_detail(panicked(&*panic))
                    }
                    Err(_) => {
                        Report::failed(Code::ABORTED, None, "the handlers were aborted, because the runtime ends")
                    }
                },
                Err(_) => {
                    Report::failed(Code::TIMEOUT, None, format!("not handled within {}", show_duration(self.timeout)))
                }
            }
        })
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn failed(error: &str) -> String {
    let sentence = fit(error);
    if sentence.is_empty() { "a handler failed and gave no reason".to_owned() } else { sentence }
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match message {
        Some(message) => fit(&format!("a handler panicked: {message}")),
        None => "a handler panicked".to_owned(),
    }
}
