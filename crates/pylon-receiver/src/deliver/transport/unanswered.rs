//! Why a request got no answer, in one sentence. Neither address nor answer is quoted: an address may hold a token, an answer anything.

use super::report::Report;
use super::shortage::Shortage;
use rustls::CertificateError;
use std::error::Error;
use std::io::{self, ErrorKind};

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The receiver lacked something of its own.
    Short(Shortage),
    /// The name does not resolve.
    Name,
    /// The connection could not be opened, or TLS failed.
    Connect(io::Error),
    /// The connection broke off, or the answer was not HTTP.
    Http(hyper::Error),
}

/// The report of a request that got no answer.
pub(super) fn report(fault: &Unanswered) -> Report {
    match fault {
        Unanswered::Short(shortage) => Report::not_tried(*shortage),
        Unanswered::Name => Report::failed(None, "the name does not resolve"),
        Unanswered::Connect(error) => Report::failed(None, describe(error)),
        Unanswered::Http(error) => Report::failed(None, describe(error)),
    }
}

/// The sentence for a failed request.
fn describe(first: &(dyn Error + 'static)) -> &'static str {
    let mut next = Some(first);
    while let Some(cause) = next {
        if let Some(sentence) = of_cause(cause) {
            return sentence;
        }
        // The `source` of an I/O error skips the error that it wraps.
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = within.map(|within| within as &(dyn Error + 'static)).or_else(|| cause.source());
    }
    "the request failed"
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(tls));
    }
    if let Some(protocol) = cause.downcast_ref::<hyper::Error>() {
        return if protocol.is_parse() {
            Some("the answer is not HTTP")
        } else if protocol.is_incomplete_message() {
            Some("the connection was closed without an answer")
        } else if protocol.is_canceled() {
            Some("the connection ended before the request was sent")
        } else {
            None
        };
    }
    match cause.downcast_ref::<io::Error>()?.kind() {
        ErrorKind::ConnectionRefused => Some("connection refused"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some("the host cannot be reached"),
        ErrorKind::TimedOut => Some("the connection timed out"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Some("the connection broke off before an answer"),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(fault) = error else {
        return "TLS failed";
    };
    match fault {
        CertificateError::UnknownIssuer => "TLS failed: the issuer of the certificate is not known here",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "TLS failed: the certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "TLS failed: the certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "TLS failed: the certificate is for another name"
        }
        _ => "TLS failed: the certificate is not valid",
    }
}
