//! From the socket to the ledger: limits, verification, commit, answer.

mod acceptor;
mod allowance;
mod beginning;
mod body;
mod client;
mod connection;
mod connection_refusal;
mod deduplication;
mod endpoint;
mod event_rate;
mod limits;
mod listener;
mod memory;
mod noted;
mod passed;
mod places;
mod progress;
mod refusal;
mod route;
mod settings;
mod socket;
mod sockets;
mod stored;
mod tls;
mod to_the_end;

pub use acceptor::{Acceptor, AcceptorParts};
pub use limits::ListenerLimits;
pub use listener::{Listener, Stopped};
pub(crate) use route::deliveries_of;
pub use sockets::InheritedSocket;
pub use tls::{Refreshed, TlsKeys};
