//! The transports: each takes one attempt to a destination and reports its outcome.

mod attempt;
mod code;
mod command;
mod connection;
mod connections;
mod contract;
mod dial;
mod fault;
mod handlers;
mod hearing;
mod http;
mod json_lines;
mod line;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
mod nats_connection;
mod outgoing;
mod proxy;
mod report;
mod route;
mod shortage;
mod signing;
mod stream;
mod tls;
mod unanswered;

pub use attempt::Attempt;
pub use code::Code;
pub use contract::{Transport, TransportFuture};
pub use dial::dial;
pub use fault::TransportFault;
pub use handlers::{DeliveredEvent, HandlerFuture, Handlers, handlers_of};
pub(crate) use json_lines::examine as examine_json_lines;
pub use report::{Delivered, Report};
pub use shortage::Shortage;

use crate::config::{CommandTransport, DestinationConfig, JsonLinesTransport, TransportConfig};
use command::Command;
use handlers::InProcess;
use http::Http;
use json_lines::JsonLines;
#[cfg(feature = "nats")]
use nats::Nats;
use std::sync::Arc;

/// The transport of a configured destination, with its secrets read once. A destination in this process goes to the handlers.
///
/// # Errors
/// [`TransportFault`].
pub fn transport(
    destination: &DestinationConfig,
    handlers: Option<&Arc<dyn Handlers>>,
) -> Result<Arc<dyn Transport>, TransportFault> {
    let timeout = destination.timeout;
    Ok(match &destination.transport {
        TransportConfig::Http(http) => Arc::new(Http::new(http, destination)?),
        TransportConfig::Command(CommandTransport { command, environment, .. }) => {
            Arc::new(Command::new(command, environment, destination))
        }
        TransportConfig::JsonLines(JsonLinesTransport { path, .. }) => Arc::new(JsonLines::new(path, timeout)),
        #[cfg(feature = "nats")]
        TransportConfig::Nats(nats) => Arc::new(Nats::new(&destination.name, nats, timeout)?),
        #[cfg(not(feature = "nats"))]
        TransportConfig::Nats(_) => return Err(TransportFault::NotBuilt("nats")),
        TransportConfig::InProcess => {
            let handlers = handlers.ok_or(TransportFault::NoHandlers)?;
            Arc::new(InProcess::new(Arc::clone(handlers), timeout))
        }
    })
}
