//! From the socket to the ledger: limits, verification, commit, answer.

mod acceptor;
mod allowance;
mod body;
mod client;
mod deduplication;
mod endpoint;
mod event_rate;
mod listener;
mod noted;
mod passed;
mod refusal;
mod route;
mod settings;
mod socket;
mod stored;
mod tls;
mod to_the_end;

pub use acceptor::{Acceptor, AcceptorParts};
pub use listener::{Listener, ListenerLimits, Stopped};
pub use tls::TlsKeys;
