//! Why a destination has no transport.

use crate::config::SecretFault;
use crate::pem::TlsFault;
use std::fmt;
use std::path::PathBuf;

/// Why nothing can be delivered to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFault {
    /// A secret for signing or authentication is missing or malformed.
    Secret(SecretFault),
    /// A certificate or a key cannot be used.
    Tls(TlsFault),
    /// The credentials file of a NATS user cannot be used.
    Credentials {
        /// The file.
        path: PathBuf,
        /// What was found, never the content itself.
        found: Box<str>,
    },
    /// This build lacks a cargo feature.
    NotBuilt(&'static str),
    /// The program gave no handlers for the destination.
    NoHandlers,
}

impl fmt::Display for TransportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(fault) => fault.fmt(f),
            Self::Tls(fault) => fault.fmt(f),
            Self::Credentials { path, found } => {
                write!(f, "no NATS credentials: expected a JWT and a seed in {}, found {found}", path.display())
            }
            Self::NotBuilt(feature) => write!(
                f,
                "expected a build with the feature `{feature}`, found one without; build with --features {feature}"
            ),
            Self::NoHandlers => f.write_str("expected handlers of the program, found none"),
        }
    }
}

impl std::error::Error for TransportFault {}
