//! The transports: each takes one attempt to a destination and reports its outcome.

mod attempt;
mod command;
mod contract;
mod handlers;
mod http;
mod json_lines;
mod line;
mod outgoing;
mod report;
mod signing;
mod unanswered;

pub use attempt::Attempt;
pub use contract::{Transport, TransportFuture};
pub use handlers::{DeliveredEvent, HandlerFuture, Handlers, handlers_of};
pub use report::{Delivered, Report};

use crate::config::{DestinationConfig, SecretFault, TransportConfig};
use command::Command;
use handlers::InProcess;
use http::Http;
use json_lines::JsonLines;
use std::sync::Arc;

/// The transport of a configured destination. Its secrets are read now, once.
///
/// # Errors
/// [`SecretFault`] when a secret for signing or authentication is missing or malformed.
pub fn transport(destination: &DestinationConfig) -> Result<Arc<dyn Transport>, SecretFault> {
    let timeout = destination.timeout;
    Ok(match &destination.transport {
        TransportConfig::Http { url, headers, signing } => {
            Arc::new(Http::new(url, headers, signing, timeout, destination.concurrency)?)
        }
        TransportConfig::Command { command, environment } => Arc::new(Command::new(command, environment, timeout)),
        TransportConfig::JsonLines { path } => Arc::new(JsonLines::new(path, timeout)),
        TransportConfig::Handlers(handlers) => Arc::new(InProcess::new(Arc::clone(handlers), timeout)),
    })
}
