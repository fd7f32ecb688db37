//! The app behind the receiver.

use pylon_test_support::http::{Reply, Request, Server};
use std::net::{SocketAddr, TcpListener};

/// An attempt that fails.
pub(super) const FAILS: Reply = Reply::status(500);

/// A server that remembers the attempts.
pub(super) struct Destination {
    pub(super) url: String,
    server: Server,
}

impl Destination {
    /// Replies to each attempt as the function says; the function also gets the number of earlier attempts.
    pub(super) fn start(reply: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), reply)
    }

    /// Takes everything.
    pub(super) fn well() -> Self {
        Self::start(|_, _| Reply::OK)
    }

    pub(super) fn at(address: SocketAddr, reply: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let server = Server::at(address, reply);
        Self { url: format!("{}/hook", server.url), server }
    }

    /// An address at which nothing listens, and nobody else will: others use `127.0.0.1`.
    pub(super) fn nowhere() -> SocketAddr {
        TcpListener::bind("127.83.7.1:0").unwrap().local_addr().unwrap()
    }

    pub(super) fn arrived(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// The numbers of an event's attempts, in the order of arrival.
    pub(super) fn attempts_of(&self, event: &str) -> Vec<u32> {
        self.arrived().iter().filter(|arrived| arrived.event_id() == event).map(Request::attempt).collect()
    }
}
