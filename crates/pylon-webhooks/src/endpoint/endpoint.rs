//! From a request to its outcome.

#[cfg(feature = "background")]
use super::background::{Background, Queue};
use super::outcome::Outcome;
use crate::arrival::{Admission, Admitted, Payload, Received, RequestFault};
use crate::dispatch::Handled;
use crate::error::Error;
use crate::event::WebhookEvent;
use crate::handler::WebhookHandler;
use crate::handler_error::HandlerError;
use crate::replay::{Claim, ReplayGuard, Taken};
use crate::verified::Verified;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A handler at an address: decides what to answer a request. Cloning is cheap: clones share state.
///
/// An adapter for a web framework does this and no more:
///
/// ```
/// use pylon_webhooks::{Endpoint, Outcome, Secret, WebhookHandler, sign};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = Endpoint::new(WebhookHandler::new("your-webhook-secret")?);
/// let signature = sign(&Secret::new("your-webhook-secret")?, b"{}", None);
/// let outcome = match endpoint.admit("POST", [("X-Pylon-Signature", &signature)]) {
///     Ok(admitted) => endpoint.respond(admitted, b"{}").await, // the body, at most `endpoint.body_limit()` bytes of it
///     Err(outcome) => outcome,
/// };
/// assert_eq!(outcome, Outcome::Handled);
/// assert_eq!(endpoint.admit("GET", [("Accept", "*/*")]).unwrap_err().status(), 405);
/// # Ok(())
/// # }
/// ```
///
/// The answer shows only the class of a refusal. The log (`tracing`, target `pylon_webhooks`) has the reason.
pub struct Endpoint<R = ()> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    handler: WebhookHandler<R>,
    admission: Admission,
    replay_guard: Option<ReplayGuard>,
    #[cfg(feature = "background")]
    queue: Option<Queue>,
    /// The number of running adapter tasks.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    tasks: tokio::sync::watch::Sender<usize>,
    closing: AtomicBool,
}

impl<R> Endpoint<R> {
    /// An endpoint with the default body limit and no replay guard, whose handlers run before the answer.
    pub fn new(handler: WebhookHandler<R>) -> Self {
        Self::builder(handler).build()
    }

    /// Starts a configuration.
    pub fn builder(handler: WebhookHandler<R>) -> EndpointBuilder<R> {
        EndpointBuilder {
            admission: handler.verifier().admission(),
            handler,
            replay_guard: None,
            #[cfg(feature = "background")]
            background: None,
        }
    }

    /// The handler.
    pub fn handler(&self) -> &WebhookHandler<R> {
        &self.shared.handler
    }

    /// The largest body that is accepted, in bytes.
    pub fn body_limit(&self) -> usize {
        self.shared.admission.limit()
    }

    /// Decides by method and headers whether to read the body.
    ///
    /// # Errors
    /// What to answer instead: [`Outcome::MethodNotAllowed`], [`Outcome::TooLarge`], or [`Outcome::Unavailable`] once
    /// the endpoint is closing.
    pub fn admit<N: AsRef<str>, V: AsRef<[u8]>>(
        &self,
        method: &str,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Admitted, Outcome> {
        let admitted = self.shared.admission.admit(method, headers).map_err(|fault| self.refuse(fault))?;
        if self.is_closing() {
            return Err(unavailable(SHUTTING_DOWN));
        }
        Ok(admitted)
    }

    fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    /// Logs why a request is refused before its signature was checked. Returns what to answer.
    pub fn refuse(&self, fault: RequestFault) -> Outcome {
        let outcome = Outcome::from(fault);
        match outcome {
            Outcome::Failed => tracing::error!(outcome = outcome.name(), "a delivery could not be read: {fault}"),
            _ => tracing::warn!(outcome = outcome.name(), "a request was refused: {fault}"),
        }
        outcome
    }

    /// Verifies a delivery and reads its event. No handler runs, and the replay guard is not used.
    pub(crate) async fn receive(&self, received: Received<'_>) -> Result<Verified<WebhookEvent>, Outcome> {
        match self.handler().receive_unreported(received) {
            Ok(event) => Ok(event),
            Err(error) => {
                self.handler().tell_async(&error).await;
                Err(failed(&error))
            }
        }
    }

    /// Checks that the endpoint has neither a replay guard nor a background: neither can see whether a function of the
    /// app succeeds.
    #[cfg(any(feature = "axum", feature = "actix-web"))]
    pub(crate) fn is_for_functions(&self) -> Result<(), Outcome> {
        #[cfg(feature = "background")]
        let has_queue = self.shared.queue.is_some();
        #[cfg(not(feature = "background"))]
        let has_queue = false;
        if self.shared.replay_guard.is_none() && !has_queue {
            return Ok(());
        }
        tracing::error!(
            "this endpoint has a replay guard or a background, which the extractor `Verified` does not support: it \
             cannot see whether your function succeeds; register a handler instead"
        );
        Err(Outcome::Failed)
    }
}

impl<R: Send + 'static> Endpoint<R> {
    /// Decides what to answer: verifies the delivery, reads its event, asks the replay guard, and calls the handlers or
    /// queues the event for the background.
    ///
    /// Await it to its end. Where the server drops its futures when the sender disconnects, run it in a task of its
    /// own: a handler that is dropped has done half its work.
    pub async fn respond(&self, admitted: Admitted, body: impl Into<Payload<'_>>) -> Outcome {
        match admitted.whole(body) {
            Ok(received) => self.respond_to(received).await,
            Err(fault) => self.refuse(fault),
        }
    }

    /// As [`respond`](Self::respond), for a body that [arrived in pieces](Admitted::arriving).
    pub async fn respond_to(&self, received: Received<'_>) -> Outcome {
        let event = match self.receive(received).await {
            Ok(event) => event,
            Err(outcome) => return outcome,
        };
        let taken = match self.claim(&event).await {
            Ok(Claim::Duplicate) => {
                tracing::info!(event = ?event.event_type(), "a duplicate was answered and not handled");
                return Outcome::Duplicate;
            }
            Ok(Claim::InFlight) => return unavailable("a copy of the delivery is being handled"),
            Ok(Claim::Taken(taken)) => Some(taken),
            Ok(Claim::Free) => None,
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(?reason, "the replay store failed: the delivery was not handled");
                return Outcome::Failed;
            }
        };
        #[cfg(feature = "background")]
        if let Some(queue) = &self.shared.queue {
            return self.queue(queue, event, taken).await;
        }
        self.settle(self.handler().dispatch_async(event).await, taken).await
    }

    /// Answers further requests with 503, and waits for the handlers of accepted ones: those in the background, and
    /// those whose sender has disconnected.
    ///
    /// Waits without a limit, except for the background's [`drain`](super::Background::drain); bound it with
    /// `tokio::time::timeout`. The log has a line for each accepted event that is lost when the runtime ends. A handler
    /// must not await it: the handler would wait for itself.
    pub async fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        #[cfg(any(feature = "tower", feature = "actix-web"))]
        drop(self.shared.tasks.subscribe().wait_for(|tasks| *tasks == 0).await);
        #[cfg(feature = "background")]
        if let Some(queue) = &self.shared.queue {
            queue.drain().await;
        }
    }

    /// [`close`](Self::close) waits until the value is dropped.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn begin_task(&self) -> Begun {
        self.shared.tasks.send_modify(|tasks| *tasks += 1);
        Begun(self.shared.tasks.clone())
    }

    #[cfg(feature = "background")]
    async fn queue(&self, queue: &Queue, event: Verified<WebhookEvent>, mut taken: Option<Taken>) -> Outcome {
        if let Some(place) = queue.reserve() {
            if let Some(taken) = &mut taken {
                taken.accept();
            }
            let endpoint = self.clone();
            // Made outside the task, because the runtime may drop a task before its first line runs.
            let unhandled = Unhandled;
            place.spawn(async move {
                let dispatched = endpoint.handler().dispatch_async(event).await;
                std::mem::forget(unhandled);
                // The sender already has its answer. The log has this one.
                let _outcome = endpoint.settle(dispatched, taken).await;
            });
            return Outcome::Accepted;
        }
        if let Some(taken) = taken {
            taken.give_back().await;
        }
        // A request may have been admitted just before.
        match self.is_closing() {
            true => unavailable(SHUTTING_DOWN),
            false => unavailable(&format!("{} events are waiting already", queue.capacity())),
        }
    }

    async fn claim(&self, event: &Verified<WebhookEvent>) -> Result<Claim, HandlerError> {
        match &self.shared.replay_guard {
            Some(guard) => guard.claim(event).await,
            None => Ok(Claim::Free),
        }
    }

    /// The outcome of a delivery whose handlers have ended.
    async fn settle(&self, dispatched: Result<Handled<R>, Error>, taken: Option<Taken>) -> Outcome {
        match dispatched {
            Ok(handled) => {
                tracing::debug!(event = ?handled.event.event_type(), "a delivery was handled");
                if let Some(taken) = taken {
                    taken.keep();
                }
                Outcome::Handled
            }
            Err(error) => {
                // Log first: the store may panic, or take longer than the runtime lasts.
                let outcome = failed(&error);
                if let Some(taken) = taken {
                    taken.give_back().await;
                }
                outcome
            }
        }
    }
}

/// A running adapter task. Dropping it ends the task.
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) struct Begun(tokio::sync::watch::Sender<usize>);

#[cfg(any(feature = "tower", feature = "actix-web"))]
impl Drop for Begun {
    fn drop(&mut self) {
        self.0.send_modify(|tasks| *tasks -= 1);
    }
}

/// An accepted event that is not yet handled. Dropped, the event is lost, and the log says so.
#[cfg(feature = "background")]
struct Unhandled;

#[cfg(feature = "background")]
impl Drop for Unhandled {
    fn drop(&mut self) {
        tracing::error!("an accepted event is lost: the runtime ended before its handlers did");
    }
}

const SHUTTING_DOWN: &str = "the app is shutting down";

/// Logs the error. Returns what to answer.
fn failed(error: &Error) -> Outcome {
    let outcome = Outcome::from(error);
    match outcome {
        Outcome::Failed => {
            // Escaped: a handler's message may have line feeds and text that customers wrote.
            let reason = error.to_string();
            tracing::error!(outcome = outcome.name(), code = error.code(), ?reason, "a delivery was not handled")
        }
        _ => tracing::warn!(outcome = outcome.name(), code = error.code(), "a delivery was refused: {error}"),
    }
    outcome
}

fn unavailable(reason: &str) -> Outcome {
    tracing::warn!(outcome = Outcome::Unavailable.name(), "a request was answered 503: {reason}");
    Outcome::Unavailable
}

impl<R> Clone for Endpoint<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<R> From<WebhookHandler<R>> for Endpoint<R> {
    fn from(handler: WebhookHandler<R>) -> Self {
        Self::new(handler)
    }
}

impl<R> fmt::Debug for Endpoint<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("handler", &self.shared.handler)
            .field("body_limit", &self.body_limit())
            .field("replay_guard", &self.shared.replay_guard)
            .finish_non_exhaustive()
    }
}

/// Builds an [`Endpoint`].
///
/// ```
/// use pylon_webhooks::{Endpoint, WebhookHandler};
///
/// let handler = WebhookHandler::new("your-webhook-secret")?;
/// let endpoint = Endpoint::builder(handler).body_limit(64 * 1024).build();
/// assert_eq!(endpoint.body_limit(), 65_536);
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
#[must_use]
#[derive(Debug)]
pub struct EndpointBuilder<R = ()> {
    handler: WebhookHandler<R>,
    admission: Admission,
    replay_guard: Option<ReplayGuard>,
    #[cfg(feature = "background")]
    background: Option<Background>,
}

impl<R> EndpointBuilder<R> {
    /// The largest body that is accepted, in bytes. A larger body is refused before it is buffered.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.admission = self.admission.body_limit(bytes);
        self
    }

    /// Answers duplicates with 200 without handling them again.
    pub fn replay_guard(mut self, guard: ReplayGuard) -> Self {
        self.replay_guard = Some(guard);
        self
    }

    /// Answers before the handlers run. The handlers run in tasks of the tokio runtime in which the endpoint is built,
    /// or else of the runtime that serves the request.
    #[cfg(feature = "background")]
    pub fn background(mut self, background: Background) -> Self {
        self.background = Some(background);
        self
    }

    /// Builds the endpoint.
    pub fn build(self) -> Endpoint<R> {
        Endpoint {
            shared: Arc::new(Shared {
                handler: self.handler,
                admission: self.admission,
                replay_guard: self.replay_guard,
                #[cfg(feature = "background")]
                queue: self.background.map(Queue::new),
                #[cfg(any(feature = "tower", feature = "actix-web"))]
                tasks: tokio::sync::watch::Sender::new(0),
                closing: AtomicBool::new(false),
            }),
        }
    }
}
