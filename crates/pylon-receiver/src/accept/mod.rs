//! From the socket to the ledger: limits, verification, commit, answer.

mod acceptor;
mod allowance;
mod body;
mod deduplication;
mod endpoint;
mod listener;
mod noted;
mod refusal;
mod route;
mod settings;
mod socket;
mod stored;
mod tls;
mod to_the_end;

pub use acceptor::{Acceptor, AcceptorParts};
pub use listener::{Listener, ListenerLimits, Stopped};
pub(crate) use route::deliveries_of;
pub use tls::{TlsFault, TlsKeys};
