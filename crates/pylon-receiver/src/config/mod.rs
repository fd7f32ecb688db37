//! What a receiver is told to do, checked: nothing in here can be of a wrong form.

mod address;
mod check;
mod fault;
mod file;
mod nearest;
mod place;
mod secret;
mod show;
mod table;
mod unit;
mod value;

pub use address::parse_url;
pub use check::check;
pub use fault::ConfigFault;
pub use file::parse;
pub(crate) use nearest::nearest;
pub use secret::{SecretFault, SecretSource};
pub use show::show;
pub use unit::{parse_bytes, parse_duration, show_bytes, show_duration};

use crate::deliver::Handlers;
use http::{HeaderName, Uri};
use pylon_webhooks::{DEFAULT_BODY_LIMIT, DEFAULT_TOLERANCE, NameSource, ReplayRule, TimestampRule};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything a receiver is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where webhooks come in.
    pub listen: SocketAddr,
    /// Where operators ask; loopback unless there is a token. A proxy in front takes a token on loopback too.
    pub admin: SocketAddr,
    /// What an operator has to present; on loopback it may be left out. Another value takes a restart.
    pub admin_token: Option<SecretSource>,
    /// Where events are kept.
    pub ledger: LedgerAddress,
    /// How the log is written.
    pub log: LogFormat,
    /// Where traces go, by OTLP over HTTP; needs the feature `otlp`.
    pub traces: Option<Uri>,
    /// Certificate and key, where TLS is spoken.
    pub tls: Option<Tls>,
    /// How much a sender may take.
    pub limits: Limits,
    /// How long things are kept.
    pub retention: Retention,
    /// Where webhooks come in, by path; at least one.
    pub endpoints: Vec<EndpointConfig>,
    /// Where events go.
    pub destinations: Vec<DestinationConfig>,
}

/// The path of the endpoint that there is unless others are configured.
pub const DEFAULT_PATH: &str = "/webhook";

/// The environment variable in which that endpoint's secret stands.
pub const DEFAULT_SECRET_VARIABLE: &str = "PYLON_WEBHOOK_SECRET";

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            admin: (Ipv4Addr::LOCALHOST, 8081).into(),
            admin_token: None,
            ledger: LedgerAddress::Sqlite("pylon.db".into()),
            log: LogFormat::Text,
            traces: None,
            tls: None,
            limits: Limits::default(),
            retention: Retention::default(),
            endpoints: Vec::new(),
            destinations: Vec::new(),
        }
    }
}

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerAddress {
    /// In a SQLite file: `sqlite:PATH`.
    Sqlite(PathBuf),
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Files of a certificate chain and its key, PEM; read again on reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How much a sender may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait to be accepted. One address may have half of them, but never fewer than
    /// 16 where there are so many. Times the largest [`body_limit`](EndpointConfig::body_limit), they are the memory that bodies may take.
    pub connections: usize,
    /// From the opening of a connection, or its last answer, to the end of the next request's head.
    pub header_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// Requests on one connection, after which it is closed.
    pub keep_alive_requests: u32,
    /// Events waiting to be committed; further ones are answered 503.
    pub queue: usize,
    /// From the signal to stop to the end.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(15),
            keep_alive_requests: 10_000,
            queue: 4096,
            shutdown_timeout: Duration::from_secs(25),
        }
    }
}

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Events of which nothing is left to be done, from their arrival; none: for ever. What is dead stays in any case, and so does a
    /// parked event that was never redelivered.
    pub delivered: Option<Duration>,
    /// How many refused requests.
    pub refused: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { delivered: Some(Duration::from_secs(30 * 24 * 3600)), refused: 1000 }
    }
}

/// Where webhooks come in.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Its name, in everything that is told of it.
    pub name: Arc<str>,
    /// The path, exactly.
    pub path: String,
    /// What proves that a request is genuine.
    pub authentication: Authentication,
    /// How large a body may be, in bytes.
    pub body_limit: usize,
    /// Where an event's name stands; 256 bytes of it are kept.
    pub kind: NameSource,
    /// What makes two events the same.
    pub deduplication: Deduplication,
    /// Genuine requests a second, beyond which the answer is 429; none: as many as come.
    pub rate: Option<f64>,
}

impl EndpointConfig {
    /// An endpoint that takes Pylon's signatures, made with any of the secrets. Its name is its path without the outer slashes,
    /// or `webhook` where nothing is left of that.
    pub fn signed(path: impl Into<String>, secrets: impl IntoIterator<Item = SecretSource>) -> Self {
        let path = path.into();
        Self {
            name: Some(path.trim_matches('/')).filter(|name| !name.is_empty()).unwrap_or("webhook").into(),
            path,
            authentication: Authentication {
                signature: Some(SignatureRule {
                    secrets: secrets.into_iter().collect(),
                    timestamp: TimestampRule::Optional,
                    tolerance: DEFAULT_TOLERANCE,
                }),
                header: None,
            },
            body_limit: DEFAULT_BODY_LIMIT,
            kind: NameSource::Keys,
            deduplication: Deduplication::default(),
            rate: None,
        }
    }
}

/// What proves that a request is genuine: a signature, a header, or both. The configuration file cannot leave out both.
#[derive(Debug, Clone)]
pub struct Authentication {
    /// Pylon's signature.
    pub signature: Option<SignatureRule>,
    /// A header that always has the same value.
    pub header: Option<RequiredHeader>,
}

/// Which signatures are taken.
#[derive(Debug, Clone)]
pub struct SignatureRule {
    /// Made with any of these.
    pub secrets: Vec<SecretSource>,
    /// Whether there must be a timestamp.
    pub timestamp: TimestampRule,
    /// How far a timestamp may lie from now.
    pub tolerance: Duration,
}

/// A header that every request must have, with this value. It is stored at no endpoint.
#[derive(Debug, Clone)]
pub struct RequiredHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its whole value, for instance `Bearer abc`.
    pub value: SecretSource,
}

/// What makes two events of an endpoint the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Deduplication {
    /// Nothing.
    Off,
    /// Timestamp and body, where there is a timestamp; nothing where there is none, since small templates give the same
    /// body for different events.
    #[default]
    ExactRequest,
    /// What the rule says; it is never [`ReplayRule::ExactRequest`].
    Rule(ReplayRule),
}

/// Where events go.
#[derive(Debug, Clone)]
pub struct DestinationConfig {
    /// Its name; what is to be delivered is kept under it.
    pub name: Arc<str>,
    /// How they go there.
    pub transport: TransportConfig,
    /// Only events of these kinds; empty: of every kind.
    pub kinds: Vec<String>,
    /// Only events of these endpoints; empty: of every endpoint.
    pub endpoints: Vec<String>,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Attempts at a time.
    pub concurrency: usize,
    /// Attempts begun a second; none: as many as there are.
    pub rate: Option<f64>,
    /// Events with the same value here go one after the other: a field's name or a key, or a JSON pointer.
    pub order_by: Option<String>,
    /// When an attempt failed.
    pub retry: RetryPolicy,
    /// When many events in a row failed.
    pub circuit: CircuitPolicy,
}

impl DestinationConfig {
    /// A destination that takes every event.
    pub fn new(name: impl Into<Arc<str>>, transport: TransportConfig) -> Self {
        Self {
            name: name.into(),
            transport,
            kinds: Vec::new(),
            endpoints: Vec::new(),
            timeout: Duration::from_secs(15),
            concurrency: 8,
            rate: None,
            order_by: None,
            retry: RetryPolicy::default(),
            circuit: CircuitPolicy::default(),
        }
    }
}

/// How events go to a destination.
#[derive(Clone)]
pub enum TransportConfig {
    /// By an HTTP POST of the raw body.
    Http {
        /// To this address. It is shown with the configuration: a secret belongs into `headers`.
        url: Uri,
        /// With these headers beside the original ones, in their place where names are the same.
        headers: Vec<(HeaderName, SecretSource)>,
        /// Signed so.
        signing: Signing,
    },
    /// To the standard input of a command.
    Command {
        /// The program, and its arguments; no shell is in between. It runs as the receiver's user.
        command: Vec<String>,
        /// The variables of the receiver's environment that it sees beside `PATH`, `HOME`, `LANG` and `TZ`.
        environment: Vec<String>,
    },
    /// As lines of JSON at the end of a file.
    JsonLines {
        /// The file; it is made where there is none.
        path: PathBuf,
    },
    /// To handlers in this process.
    Handlers(Arc<dyn Handlers>),
}

impl fmt::Debug for TransportConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, headers, signing } => {
                f.debug_struct("Http").field("url", url).field("headers", headers).field("signing", signing).finish()
            }
            Self::Command { command, environment } => {
                f.debug_struct("Command").field("command", command).field("environment", environment).finish()
            }
            Self::JsonLines { path } => f.debug_struct("JsonLines").field("path", path).finish(),
            Self::Handlers(_) => f.write_str("Handlers"),
        }
    }
}

impl TransportConfig {
    /// The secrets that it needs.
    pub fn secrets(&self) -> Vec<&SecretSource> {
        match self {
            Self::Http { headers, signing, .. } => {
                let signing = match signing {
                    Signing::AsReceived => None,
                    Signing::Pylon(secret) | Signing::StandardWebhooks(secret) => Some(secret),
                };
                headers.iter().map(|(_, value)| value).chain(signing).collect()
            }
            Self::Command { .. } | Self::JsonLines { .. } | Self::Handlers(_) => Vec::new(),
        }
    }
}

/// What an HTTP delivery is signed with.
#[derive(Debug, Clone)]
pub enum Signing {
    /// Nothing: the headers go out as they came in, Pylon's own signature among them.
    AsReceived,
    /// As Pylon signs, with a timestamp of now: an app that verifies Pylon's webhooks verifies this, however late it comes.
    Pylon(SecretSource),
    /// As Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`); the secret is `whsec_` and base64.
    StandardWebhooks(SecretSource),
}

/// When an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// So many attempts, and then the delivery is dead.
    pub attempts: u32,
    /// At the first failure so long after the delivery was made it is dead, once it has had five attempts; no wait that begins
    /// before that goes past it.
    pub age: Duration,
    /// The longest wait before the second attempt; the wait is a random part of it, and it doubles from attempt to attempt.
    pub first_delay: Duration,
    /// It doubles up to this. A `Retry-After` counts up to this too.
    pub longest_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 30,
            age: Duration::from_secs(3 * 24 * 3600),
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(3600),
        }
    }
}

/// When many events in a row failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// After this many different events without a success in between, the destination is down: nothing more is attempted.
    pub failures: u32,
    /// For so long, then one delivery goes out as a probe. Each probe that fails doubles the pause.
    pub first_pause: Duration,
    /// It doubles up to this.
    pub longest_pause: Duration,
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        Self { failures: 10, first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(60) }
    }
}
