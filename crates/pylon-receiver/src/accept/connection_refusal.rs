//! What is refused below the webhooks' own rules: connections, and what is no request. How it is counted, and what the log says.

use super::allowance::Allowance;
use crate::metrics::Metrics;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Lines in the log for each cause, a second: anybody can cause them.
const LOGGED: f64 = 1.0;

/// Why a connection, or what came over it, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionRefusal {
    /// All connections are in use; a further one waits.
    AllInUse,
    /// One address has its share of the connections.
    ShareInUse,
    /// The operating system gives no connection.
    NotAccepted,
    /// TLS, where none is expected.
    Tls,
    /// HTTP, where TLS is expected.
    PlainHttp,
    /// The header of the PROXY protocol.
    ProxyProtocol,
    /// HTTP/2.
    Http2,
    /// Another TLS handshake that failed.
    Handshake,
    /// A TLS handshake that did not end in time.
    HandshakeTimeout,
    /// The head of a request that did not end in time.
    HeadTimeout,
    /// The head of a request that the peer cut off.
    HeadCut,
    /// The head of a request with too many headers.
    TooManyHeaders,
    /// The head of a request with too many bytes.
    HeadTooLarge,
    /// Anything else that is no HTTP/1.1.
    Malformed,
    /// A request without a `Host`, or with several.
    Host,
}

/// Every refusal with its code, for the metrics, and its sentence, for the log.
const REFUSALS: [(ConnectionRefusal, &str, &str); 15] = {
    use ConnectionRefusal::*;
    [
        (
            AllInUse,
            "all_in_use",
            "too many connections: expected at most `limits.connections`, found one more, which waits; raise the limit",
        ),
        (
            ShareInUse,
            "share_in_use",
            "too many connections from one address: expected at most half of `limits.connections`, found one more, which was \
             closed; behind a proxy, double the limit",
        ),
        (
            NotAccepted,
            "not_accepted",
            "no connection can be accepted: expected one from the operating system, found an error; if no file descriptor is \
             left, raise the process's limit (`ulimit -n`, `LimitNOFILE=`) or lower `limits.connections`",
        ),
        (
            Tls,
            "tls",
            "TLS: expected plain HTTP, found a TLS handshake; use an http:// address here, or configure `[tls]`",
        ),
        (PlainHttp, "plain_http", "plain HTTP: expected TLS, found HTTP; use an https:// address here"),
        (
            ProxyProtocol,
            "proxy_protocol",
            "PROXY protocol: expected HTTP, found a header of the PROXY protocol; turn the protocol off in the load balancer",
        ),
        (Http2, "http2", "HTTP/2: expected HTTP/1.1, found HTTP/2; have the proxy speak HTTP/1.1 to the receiver"),
        (Handshake, "handshake", "TLS handshake: expected its end, found an error"),
        (
            HandshakeTimeout,
            "handshake_timeout",
            "slow TLS handshake: expected its end within `limits.header_timeout`, found it incomplete",
        ),
        (
            HeadTimeout,
            "head_timeout",
            "slow request: expected the end of the headers within `limits.header_timeout`, found them incomplete",
        ),
        (HeadCut, "head_cut", "incomplete request: the connection closed before the end of the headers"),
        (TooManyHeaders, "too_many_headers", "too many headers: expected at most 100, found more"),
        (HeadTooLarge, "head_too_large", "large headers: expected at most 32 KiB, found more"),
        (Malformed, "malformed", "malformed request: expected HTTP/1.1, found something else"),
        (Host, "host", "malformed request: expected one header host, found none or several"),
    ]
};

impl ConnectionRefusal {
    /// The code, for the metrics.
    fn code(self) -> &'static str {
        REFUSALS[self as usize].1
    }

    /// A sentence for the operator; nothing of what the peer said is in it.
    fn sentence(self) -> &'static str {
        REFUSALS[self as usize].2
    }
}

// The place in the table is the number of the variant.
const _: () = {
    let mut place = 0;
    while place < REFUSALS.len() {
        assert!(REFUSALS[place].0 as usize == place);
        place += 1;
    }
};

/// Counts and logs what a listener refuses.
pub(super) struct ConnectionRefusals {
    /// The listener's key in the configuration.
    listener: &'static str,
    metrics: Arc<Metrics>,
    allowances: [Allowance; REFUSALS.len()],
}

impl ConnectionRefusals {
    /// All counters of this listener are shown from the beginning, at zero.
    pub(super) fn new(listener: &'static str, metrics: Arc<Metrics>) -> Self {
        for (_, code, _) in REFUSALS {
            metrics.expect_connection_refused(listener, code);
        }
        let now = Instant::now();
        Self { listener, metrics, allowances: std::array::from_fn(|_| Allowance::new(LOGGED, now)) }
    }

    /// Counts a refusal, and logs it with its likely cause unless there are too many.
    pub(super) fn refuse(&self, refusal: ConnectionRefusal, remote: SocketAddr) {
        self.refuse_for(refusal, remote, None);
    }

    /// The same, where an error says more.
    pub(super) fn refuse_for(&self, refusal: ConnectionRefusal, remote: SocketAddr, error: Option<&dyn fmt::Display>) {
        self.metrics.connection_refused(self.listener, refusal.code());
        let Some(not_logged) = self.allowances[refusal as usize].take(Instant::now()) else { return };
        let (listener, cause, reason) = (self.listener, refusal.code(), refusal.sentence());
        let error = error.map(tracing::field::display);
        tracing::warn!(listener, cause, reason, %remote, error, not_logged, "a connection was refused");
    }

    /// Counts a connection that the operating system did not give. The log says so once, until one is given again.
    pub(super) fn not_accepted(&self, error: &std::io::Error, is_first: bool) {
        let refusal = ConnectionRefusal::NotAccepted;
        self.metrics.connection_refused(self.listener, refusal.code());
        if is_first {
            let (listener, reason) = (self.listener, refusal.sentence());
            tracing::error!(listener, %error, reason, "connections cannot be accepted");
        }
    }
}
