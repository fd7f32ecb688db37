//! Why a request got no answer, in one sentence. Neither address nor answer is quoted: an address may hold a token, an answer anything.

use super::code::Code;
use super::report::Report;
use super::shortage::Shortage;
use crate::tls_cause::of_tls;
use http::StatusCode;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The receiver lacked something of its own.
    Short(Shortage),
    /// Something that every connection needs is missing.
    Missing(&'static str),
    /// The name does not resolve.
    Name,
    /// The proxy's name does not resolve.
    Proxy(ProxyFault),
    /// The Unix socket cannot be connected to.
    Socket(io::Error),
    /// The connection could not be opened, or TLS failed.
    Connect(io::Error),
    /// The connection broke off, or the answer was not HTTP.
    Http(hyper::Error),
}

/// Why a proxy opened no way to the server.
#[derive(Debug)]
pub(super) enum ProxyFault {
    /// Its name does not resolve.
    Name,
    /// It could not be connected to.
    Connect(io::Error),
    /// It answered with this status.
    Refused(StatusCode),
    /// It sent more than an answer to CONNECT.
    Spoke,
    /// It gave no answer.
    Http(hyper::Error),
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_proxy(self))
    }
}

impl Error for ProxyFault {}

/// What happened: as a stable word, and as a sentence.
pub(super) type Cause = (Code, Cow<'static, str>);

/// The report of a request that got no answer.
pub(super) fn report(fault: &Unanswered) -> Report {
    let (code, sentence): Cause = match fault {
        Unanswered::Short(shortage) => return Report::not_tried(*shortage),
        Unanswered::Missing(missing) => (Code::MISSING, (*missing).into()),
        Unanswered::Name => (Code::DNS, "the name does not resolve".into()),
        Unanswered::Proxy(fault) => (Code::PROXY, of_proxy(fault)),
        Unanswered::Socket(error) => match error.kind() {
            ErrorKind::NotFound => (Code::SOCKET, "the socket does not exist".into()),
            ErrorKind::PermissionDenied => (Code::SOCKET, "the socket may not be used: permission denied".into()),
            ErrorKind::WouldBlock => (Code::SOCKET, "the socket takes no more connections".into()),
            _ => of_causes(error),
        },
        Unanswered::Connect(error) => of_causes(error),
        Unanswered::Http(error) => of_causes(error),
    };
    Report::failed(code, None, sentence)
}

/// The sentence for a proxy that refuses a request which it was to forward.
pub(super) fn refused_by_proxy(status: StatusCode) -> Cow<'static, str> {
    of_proxy(&ProxyFault::Refused(status))
}

fn of_proxy(fault: &ProxyFault) -> Cow<'static, str> {
    match fault {
        ProxyFault::Name => "the proxy's name does not resolve".into(),
        ProxyFault::Connect(error) => format!("no connection to the proxy: {}", of_causes(error).1).into(),
        ProxyFault::Refused(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
            "the proxy answered 407: expected a user and a password that it knows in `proxy`, found none or others"
                .into()
        }
        ProxyFault::Refused(status) => format!("the proxy answered {} to CONNECT", status.as_u16()).into(),
        ProxyFault::Spoke => {
            "expected a server behind the proxy that waits for the client, found one that speaks first".into()
        }
        ProxyFault::Http(error) => format!("no answer of the proxy: {}", of_causes(error).1).into(),
    }
}

/// What an error means, or what caused it.
pub(super) fn of_causes(first: &(dyn Error + 'static)) -> Cause {
    let mut next = Some(first);
    while let Some(cause) = next {
        if let Some(fault) = cause.downcast_ref::<ProxyFault>() {
            return (Code::PROXY, of_proxy(fault));
        }
        if let Some((code, sentence)) = of_cause(cause) {
            return (code, sentence.into());
        }
        // The `source` of an I/O error skips the error that it wraps.
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = within.map(|within| within as &(dyn Error + 'static)).or_else(|| cause.source());
    }
    (Code::FAILED, "the request failed".into())
}

/// Says the limits of `connection`.
const TOO_LARGE: &str = "the answer has more than 500 headers, or more than 256 KiB of them";

fn of_cause(cause: &(dyn Error + 'static)) -> Option<(Code, &'static str)> {
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some((Code::TLS, of_tls(tls)));
    }
    if let Some(protocol) = cause.downcast_ref::<hyper::Error>() {
        return if protocol.is_parse_too_large() {
            Some((Code::NOT_HTTP, TOO_LARGE))
        } else if protocol.is_parse() {
            Some((Code::NOT_HTTP, "the answer is not HTTP"))
        } else if protocol.is_incomplete_message() {
            Some((Code::CLOSED, "the connection was closed without an answer"))
        } else if protocol.is_canceled() {
            Some((Code::CLOSED, "the connection ended before the request was sent"))
        } else {
            None
        };
    }
    match cause.downcast_ref::<io::Error>()?.kind() {
        ErrorKind::ConnectionRefused => Some((Code::REFUSED, "connection refused")),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Some((Code::UNREACHABLE, "the host cannot be reached"))
        }
        ErrorKind::TimedOut => Some((Code::TIMEOUT, "the connection timed out")),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Some((Code::CLOSED, "the connection broke off before an answer")),
        _ => None,
    }
}
