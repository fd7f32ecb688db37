//! What handlers fail with.

use crate::event::WebhookEvent;
use std::fmt;

/// What a handler may fail with: any error.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// Names a registered handler, to remove it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandlerId(usize);

impl HandlerId {
    pub(crate) fn new(number: usize) -> Self {
        Self(number)
    }
}

/// The handlers that failed for one event; the others have run as well.
#[derive(Debug)]
pub struct HandlerErrors {
    event: WebhookEvent,
    failures: Vec<HandlerFailure>,
}

/// One handler that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandlerFailure {
    /// The handler, as its registration named it.
    pub handler: HandlerId,
    /// What it failed with.
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
