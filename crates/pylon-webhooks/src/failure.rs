//! The failures of handlers.

use crate::event::WebhookEvent;
use crate::handler_error::HandlerError;
use std::fmt;

/// Identifies a registered handler; see [`WebhookHandler::remove`](crate::WebhookHandler::remove).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandlerId(usize);

impl HandlerId {
    pub(crate) fn new(number: usize) -> Self {
        Self(number)
    }
}

/// The handlers that failed for one event. All matching handlers have run.
#[derive(Debug)]
pub struct HandlerErrors {
    event: WebhookEvent,
    failures: Vec<HandlerFailure>,
}

/// One handler that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandlerFailure {
    /// The id that registering the handler returned.
    pub handler: HandlerId,
    /// The error.
    pub error: HandlerError,
}

impl HandlerErrors {
    pub(crate) fn new(event: WebhookEvent, failures: Vec<HandlerFailure>) -> Self {
        Self { event, failures }
    }

    /// The event that was handled.
    pub fn event(&self) -> &WebhookEvent {
        &self.event
    }

    /// The failures, in order of registration; at least one.
    pub fn failures(&self) -> &[HandlerFailure] {
        &self.failures
    }

    pub(crate) fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failures.first().map(|failure| &*failure.error as _)
    }
}

impl fmt::Display for HandlerErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures.as_slice() {
            [failure] => write!(f, "a handler failed: {}", failure.error),
            failures => {
                write!(f, "{} handlers failed: ", failures.len())?;
                for (index, failure) in failures.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{}", failure.error)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for HandlerErrors {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source()
    }
}
