//! Why a receiver did not start.

use crate::config::{ConfigFault, ListenAddress, SecretFault};
use crate::ledger::LedgerError;
use crate::pem::TlsFault;
use std::fmt;
use std::sync::Arc;

/// Why a receiver did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartFault {
    /// The configuration is not in order.
    Config(ConfigFault),
    /// Operators need a token, and it is not there.
    Token {
        /// The key, or the operator, that names it.
        whose: String,
        /// Why it cannot be read.
        fault: SecretFault,
    },
    /// Two operators have the same token.
    SameToken {
        /// The first one's name.
        one: Arc<str>,
        /// The other one's name.
        other: Arc<str>,
    },
    /// Certificate or key are not in order.
    Tls(TlsFault),
    /// An address cannot be listened at.
    Bind {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: ListenAddress,
        /// What the operating system said.
        kind: std::io::ErrorKind,
    },
    /// A socket from the service manager has no address.
    Inherited {
        /// The key of the configuration in whose place the socket is.
        key: &'static str,
        /// What the operating system said.
        kind: std::io::ErrorKind,
    },
    /// The ledger needs a password, and it is not there.
    Password(SecretFault),
    /// The ledger cannot be opened.
    Ledger(LedgerError),
}

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(fault) => fault.fmt(f),
            Self::Token { whose, fault } => write!(f, "{whose}: {fault}"),
            Self::SameToken { one, other } => {
                write!(f, "expected a token of its own for each operator, found one that `{one}` and `{other}` share")
            }
            Self::Password(fault) => write!(f, "ledger_password: {fault}"),
            Self::Tls(fault) => fault.fmt(f),
            Self::Bind { key, address, kind } => {
                write!(
                    f,
                    "`{key}`: expected to listen at {address}, found that it cannot be ({kind}); choose another address"
                )
            }
            Self::Inherited { key, kind } => {
                write!(f, "`{key}`: expected a socket with an address from the service manager, found none ({kind})")
            }
            Self::Ledger(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartFault {}
