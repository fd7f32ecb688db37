//! The configuration of a receiver: data that everything else reads.
//!
//! Each key is declared once, in [`Config`], [`EndpointConfig`], [`DestinationConfig`] and the structs in them.

mod condition;
mod declare;
mod destination;
mod endpoint;
mod fault;
mod file;
mod listen;
mod nested;
mod network;
mod operator;
mod pointer;
mod receiver;
mod rules;
mod secret;
mod source;
mod subject;
mod table;
mod value;

pub use condition::Condition;
pub use destination::{
    CircuitPolicy, ClientCertificate, CommandTransport, DestinationConfig, HttpTransport, JsonLinesTransport,
    NatsTransport, RetryPolicy, Signing, TransportConfig,
};
pub use endpoint::{
    DEFAULT_PATH, DEFAULT_SECRET_VARIABLE, Deduplication, EndpointConfig, RequiredHeader, SignatureRule,
};
pub use fault::ConfigFault;
pub use file::{parse, reference, restarts, show};
pub use listen::ListenAddress;
pub(crate) use listen::is_localhost;
pub use network::{Network, Source};
pub use operator::OperatorConfig;
pub use receiver::{Config, LedgerAddress, Limits, LogFormat, Retention, Tls};
pub use rules::check;
pub use secret::{SecretFault, SecretSource};
pub use subject::SubjectTemplate;
