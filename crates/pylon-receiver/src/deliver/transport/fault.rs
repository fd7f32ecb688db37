//! Why a destination has no transport.

use crate::config::SecretFault;
use crate::pem::TlsFault;
use std::fmt;

/// Why nothing can be delivered to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// A secret for signing or authentication is missing or malformed.
    Secret(SecretFault),
    /// A certificate or a key cannot be used.
    Tls(TlsFault),
    /// The program gave no handlers for the destination.
    NoHandlers,
}

impl fmt::Display for TransportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(fault) => fault.fmt(f),
            Self::Tls(fault) => fault.fmt(f),
            Self::NoHandlers => f.write_str("expected handlers of the program, found none"),
        }
    }
}

impl std::error::Error for TransportFault {}
