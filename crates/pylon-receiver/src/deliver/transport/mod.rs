//! The ways to a destination: each takes one attempt and reports what came of it.

mod attempt;
mod command;
mod handlers;
mod http;
mod json_lines;
mod line;
mod refusal;
mod signing;

pub use attempt::{Attempt, Delivered, Report, Transport, TransportFuture};
pub use handlers::{DeliveredEvent, HandlerFuture, Handlers, handlers_of};

use crate::config::{CommandTransport, DestinationConfig, JsonLinesTransport, SecretFault, TransportConfig};
use command::Command;
use handlers::InProcess;
use http::Http;
use json_lines::JsonLines;
use std::fmt;
use std::sync::Arc;

/// The way to a configured destination, with its secrets read once. A destination in this process goes to the handlers.
///
/// # Errors
/// [`TransportFault`].
pub fn transport(
    destination: &DestinationConfig,
    handlers: Option<&Arc<dyn Handlers>>,
) -> Result<Arc<dyn Transport>, TransportFault> {
    let timeout = destination.timeout;
    Ok(match &destination.transport {
        TransportConfig::Http(http) => {
            Arc::new(Http::new(http, timeout, destination.concurrency).map_err(TransportFault::Secret)?)
        }
        TransportConfig::Command(CommandTransport { command, environment, .. }) => {
            Arc::new(Command::new(command, environment, timeout))
        }
        TransportConfig::JsonLines(JsonLinesTransport { path, .. }) => Arc::new(JsonLines::new(path, timeout)),
        TransportConfig::InProcess => {
            let handlers = handlers.ok_or(TransportFault::NoHandlers)?;
            Arc::new(InProcess::new(Arc::clone(handlers), timeout))
        }
    })
}

/// Why nothing can be delivered to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// A secret for signing or authentication is missing or malformed.
    Secret(SecretFault),
    /// The program gave no handlers for the destination.
    NoHandlers,
}

impl fmt::Display for TransportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(fault) => fault.fmt(f),
            Self::NoHandlers => f.write_str("expected handlers of the program, found none"),
        }
    }
}

impl std::error::Error for TransportFault {}
