//! A collector of traces on loopback.

use super::protobuf::{self, Span};
use pylon_test_support::http::{Reply, Server};

/// A server that answers these statuses, and the last of them from then on.
pub(super) fn answering(statuses: &'static [u16]) -> Server {
    Server::start(|_, number| Reply::status(statuses[number.min(statuses.len() - 1)]))
}

/// The spans that it got.
pub(super) fn spans(collector: &Server) -> Vec<Span> {
    collector.requests().iter().flat_map(|request| protobuf::spans(&request.body)).collect()
}
