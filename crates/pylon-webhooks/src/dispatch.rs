//! Which handlers run for an event, in which order, and with what result.

use crate::error::Error;
use crate::event::{EventType, WebhookEvent};
use crate::failure::{HandlerErrors, HandlerFailure, HandlerId};
use crate::handler_error::HandlerError;
use crate::told_names::ToldNames;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

type HandlerFuture<R> = Pin<Box<dyn Future<Output = Result<R, HandlerError>> + Send>>;
type Handler<O> = Box<dyn Fn(&WebhookEvent) -> O + Send + Sync>;
type ErrorHandler<O> = Box<dyn Fn(&Error) -> O + Send + Sync>;

/// The result of handling an event.
#[derive(Debug)]
#[non_exhaustive]
pub struct Handled<R> {
    /// The event.
    pub event: WebhookEvent,
    /// The values that the handlers returned, in order of registration.
    pub results: Vec<R>,
}

/// A handler's return type: `()`, or a `Result` whose value the [`WebhookHandler`](crate::WebhookHandler) collects.
pub trait IntoHandlerResult<R> {
    /// Converts the value.
    ///
    /// # Errors
    /// The handler's own error.
    fn into_handler_result(self) -> Result<R, HandlerError>;
}

impl IntoHandlerResult<()> for () {
    fn into_handler_result(self) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl<R, E: Into<HandlerError>> IntoHandlerResult<R> for Result<R, E> {
    fn into_handler_result(self) -> Result<R, HandlerError> {
        self.map_err(Into::into)
    }
}

/// Which events a handler is for.
pub(crate) enum Filter {
    Type(fn(&WebhookEvent) -> bool),
    Names(Vec<Box<str>>),
}

impl Filter {
    fn accepts(&self, event: &WebhookEvent) -> bool {
        match self {
            Self::Type(accepts) => accepts(event),
            Self::Names(names) => names.iter().any(|name| event.is_named(name)),
        }
    }
}

enum Run<R> {
    Now(Handler<Result<R, HandlerError>>),
    Later(Handler<HandlerFuture<R>>),
}

enum RunOnError {
    Now(ErrorHandler<Result<(), HandlerError>>),
    Later(ErrorHandler<HandlerFuture<()>>),
}

/// The registered handlers, in order.
pub(crate) struct Handlers<R> {
    handlers: Vec<(HandlerId, Filter, Run<R>)>,
    on_error: Vec<(HandlerId, RunOnError)>,
    next_id: usize,
    untaken: ToldNames,
    is_emptiness_told: AtomicBool,
}

impl<R> Default for Handlers<R> {
    fn default() -> Self {
        Self {
            handlers: Vec::new(),
            on_error: Vec::new(),
            next_id: 0,
            untaken: ToldNames::default(),
            is_emptiness_told: AtomicBool::new(false),
        }
    }
}

impl<R> Handlers<R> {
    pub(crate) fn add<E: EventType, O: IntoHandlerResult<R>>(
        &mut self,
        filter: Filter,
        handler: impl Fn(E) -> O + Send + Sync + 'static,
    ) -> HandlerId {
        let run = move |event: &WebhookEvent| handler(E::from_event(event)?).into_handler_result();
        self.push(filter, Run::Now(Box::new(run)))
    }

    pub(crate) fn add_async<E: EventType, F: Future<Output: IntoHandlerResult<R>> + Send + 'static>(
        &mut self,
        filter: Filter,
        handler: impl Fn(E) -> F + Send + Sync + 'static,
    ) -> HandlerId
    where
        R: Send + 'static,
    {
        let run = move |event: &WebhookEvent| -> HandlerFuture<R> {
            match E::from_event(event) {
                Ok(event) => {
                    let future = handler(event);
                    Box::pin(async move { future.await.into_handler_result() })
                }
                Err(error) => Box::pin(std::future::ready(Err(error))),
            }
        };
        self.push(filter, Run::Later(Box::new(run)))
    }

    pub(crate) fn add_on_error<O: IntoHandlerResult<()>>(
        &mut self,
        handler: impl Fn(&Error) -> O + Send + Sync + 'static,
    ) -> HandlerId {
        let run = move |error: &Error| handler(error).into_handler_result();
        self.push_on_error(RunOnError::Now(Box::new(run)))
    }

    pub(crate) fn add_on_error_async<F: Future<Output: IntoHandlerResult<()>> + Send + 'static>(
        &mut self,
        handler: impl Fn(&Error) -> F + Send + Sync + 'static,
    ) -> HandlerId {
        let run = move |error: &Error| -> HandlerFuture<()> {
            let future = handler(error);
            Box::pin(async move { future.await.into_handler_result() })
        };
        self.push_on_error(RunOnError::Later(Box::new(run)))
    }

    pub(crate) fn remove(&mut self, id: HandlerId) -> bool {
        let before = self.handlers.len() + self.on_error.len();
        self.handlers.retain(|(handler, ..)| *handler != id);
        self.on_error.retain(|(handler, _)| *handler != id);
        self.handlers.len() + self.on_error.len() < before
    }

    /// Runs all matching handlers. Fails before running any when one of them is async.
    pub(crate) fn dispatch(&self, event: WebhookEvent) -> Result<Handled<R>, Error> {
        if self.due(&event).any(|(_, run)| matches!(run, Run::Later(_))) {
            return Err(Error::AsyncHandler);
        }
        let mut collected = Collected::default();
        for (id, run) in self.due(&event) {
            if let Run::Now(run) = run {
                collected.add(id, guarded(|| run(&event)));
            }
        }
        self.finish(collected, event)
    }

    /// Runs all matching handlers, one after the other.
    pub(crate) async fn dispatch_async(&self, event: WebhookEvent) -> Result<Handled<R>, Error> {
        let mut collected = Collected::default();
        for (id, run) in self.due(&event) {
            let result = match run {
                Run::Now(run) => guarded(|| run(&event)),
                Run::Later(run) => awaited(|| run(&event)).await,
            };
            collected.add(id, result);
        }
        self.finish(collected, event)
    }

    /// Logs, once for each name, that nobody takes its events.
    pub(crate) fn tell_untaken(&self, name: &str) {
        if let Some(name) = self.untaken.first(name) {
            tracing::info!(event = ?name, "no handler takes events of this name");
        }
    }

    fn finish(&self, collected: Collected<R>, event: WebhookEvent) -> Result<Handled<R>, Error> {
        if collected.is_empty() {
            if self.handlers.is_empty() && !self.is_emptiness_told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "events arrive, and no handler is registered: register handlers, or call `receive` for the event alone"
                );
            }
            self.tell_untaken(event.event_type());
        }
        collected.finish(event)
    }

    /// Runs the error handlers. Async ones are skipped, with a warning in the log.
    pub(crate) fn tell(&self, error: &Error) {
        for (_, run) in &self.on_error {
            match run {
                RunOnError::Now(run) => note_failure(guarded(|| run(error))),
                RunOnError::Later(_) => tracing::warn!("an async on_error handler was not run: call `handle_async`"),
            }
        }
    }

    /// Runs the error handlers, and awaits async ones.
    pub(crate) async fn tell_async(&self, error: &Error) {
        for (_, run) in &self.on_error {
            note_failure(match run {
                RunOnError::Now(run) => guarded(|| run(error)),
                RunOnError::Later(run) => awaited(|| run(error)).await,
            });
        }
    }

    fn due<'h>(&'h self, event: &'h WebhookEvent) -> impl Iterator<Item = (HandlerId, &'h Run<R>)> {
        self.handlers.iter().filter(|(_, filter, _)| filter.accepts(event)).map(|(id, _, run)| (*id, run))
    }

    fn push(&mut self, filter: Filter, run: Run<R>) -> HandlerId {
        let id = self.new_id();
        self.handlers.push((id, filter, run));
        id
    }

    fn push_on_error(&mut self, run: RunOnError) -> HandlerId {
        let id = self.new_id();
        self.on_error.push((id, run));
        id
    }

    fn new_id(&mut self) -> HandlerId {
        self.next_id += 1;
        HandlerId::new(self.next_id)
    }
}

struct Collected<R> {
    results: Vec<R>,
    failures: Vec<HandlerFailure>,
}

impl<R> Default for Collected<R> {
    fn default() -> Self {
        Self { results: Vec::new(), failures: Vec::new() }
    }
}

impl<R> Collected<R> {
    fn add(&mut self, handler: HandlerId, result: Result<R, HandlerError>) {
        match result {
            Ok(result) => self.results.push(result),
            Err(error) => self.failures.push(HandlerFailure { handler, error }),
        }
    }

    fn is_empty(&self) -> bool {
        self.results.is_empty() && self.failures.is_empty()
    }

    fn finish(self, event: WebhookEvent) -> Result<Handled<R>, Error> {
        if self.failures.is_empty() {
            Ok(Handled { event, results: self.results })
        } else {
            Err(Error::Handlers(HandlerErrors::new(event, self.failures)))
        }
    }
}

/// Logs the failure of an error handler. The caller gets the first error.
fn note_failure(result: Result<(), HandlerError>) {
    if let Err(error) = result {
        tracing::error!(%error, "an on_error handler failed");
    }
}

/// Turns a handler's panic into an error, so that the other handlers run and no other error is hidden.
fn guarded<T>(run: impl FnOnce() -> Result<T, HandlerError>) -> Result<T, HandlerError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("it panicked".into()))
}

/// The same for an async handler, which can also panic before it returns its future.
async fn awaited<R>(run: impl FnOnce() -> HandlerFuture<R>) -> Result<R, HandlerError> {
    match guarded(|| Ok(run())) {
        Ok(future) => Guarded(future).await,
        Err(error) => Err(error),
    }
}

/// A future that turns its panic into an error.
struct Guarded<R>(HandlerFuture<R>);

impl<R> Future for Guarded<R> {
    type Output = Result<R, HandlerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        let poll = catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context)));
        poll.unwrap_or_else(|_| std::task::Poll::Ready(Err("it panicked".into())))
    }
}
