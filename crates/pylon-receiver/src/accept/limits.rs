//! The limits of a listener.

use crate::config::Limits;
use std::time::Duration;

/// The limits of a [`Listener`](super::Listener).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Maximum number of connections; further ones wait to be accepted.
    pub connections: usize,
    /// Maximum number of connections from one address; further ones are closed.
    pub connections_of_address: usize,
    /// Maximum time from the opening of a connection to the end of the first request's head, and from a further head's first byte to
    /// its end; also the maximum time of a TLS handshake, and the longest time in which a peer reads nothing of an answer.
    pub header_timeout: Duration,
    /// Maximum time from an answer to the first byte of the next request.
    pub idle_timeout: Duration,
    /// Maximum number of requests on one connection; then it is closed.
    pub keep_alive_requests: u32,
}

impl ListenerLimits {
    /// The limits that are configured, for this many connections.
    pub fn new(limits: &Limits, connections: usize) -> Self {
        Self {
            connections,
            // One address cannot keep out all others. A few connections are not shared.
            connections_of_address: (connections / 2).max(connections.min(16)),
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            keep_alive_requests: limits.keep_alive_requests,
        }
    }
}

impl From<&Limits> for ListenerLimits {
    fn from(limits: &Limits) -> Self {
        Self::new(limits, limits.connections)
    }
}
