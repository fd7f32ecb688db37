//! The keys before the first `[[endpoint]]`: addresses, ledger, log, limits and retention.

use super::declare::keys;
use super::destination::DestinationConfig;
use super::endpoint::{EndpointConfig, PATH};
use super::listen::{LISTEN, LISTEN_TCP, ListenAddress};
use super::nested::{List, nested};
use super::network::{Network, PROXIES};
use super::operator::OperatorConfig;
use super::secret::SecretSource;
use super::source::SECRET;
use super::value::{
    Choice, DURATION, DURATION_OR_FOREVER, FILE, HTTP_URL, SIZE, Value, choice, count, positive, quote, read_text,
    text, value,
};
use crate::postgres_address::PostgresAddress;
use crate::promise::Promise;
use crate::role::Role;
use crate::text::quoted;
use http::Uri;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

keys! {
    /// The configuration of a receiver.
    Config {
        /// Where webhooks arrive: an address or a name, and a port, or `unix:PATH`.
        listen: ListenAddress = (Ipv4Addr::LOCALHOST, 8080).into(), LISTEN, Restart;
        /// Where the admin API listens. An address other than loopback needs `admin_token` or an `[[operator]]`.
        admin: ListenAddress = (Ipv4Addr::LOCALHOST, 8081).into(), LISTEN_TCP, Restart;
        /// What operators present as `Authorization: Bearer ...`. Another value needs a restart.
        admin_token: Option<SecretSource> = None, SECRET, Reload;
        /// Where a browser finds the operator's page if a proxy stands in front of it, such as `https://ops.example.com/pylon/`.
        public_url: Option<Uri> = None, HTTP_URL, Restart;
        /// What the operator's page calls this receiver, such as `acme production`.
        instance: Option<String> = None, text::<String>(), Restart;
        /// Where events are stored: `sqlite:PATH`, or a PostgreSQL URL such as `postgres://pylon@db.example.com/pylon`.
        ledger: LedgerAddress = LedgerAddress::Sqlite("pylon.db".into()), LEDGER, Restart;
        /// The password of a PostgreSQL ledger, read anew for each connection. Without it, `PGPASSWORD` counts.
        ledger_password: Option<SecretSource> = None, SECRET, Restart;
        /// On how many disks an event is before its 200: `one_disk` or `two_disks`. While a PostgreSQL ledger does not keep that, webhooks get 503.
        promise: Promise = Promise::OneDisk, choice(), Restart;
        /// What this receiver does: `accept_and_deliver`, `accept` or `deliver`. Receivers that share a ledger can divide the work.
        role: Role = Role::AcceptAndDeliver, choice(), Restart;
        /// A SQLite file on this machine that accepts events while a ledger on PostgreSQL is away, and hands them over once the ledger is back.
        spool: Option<PathBuf> = None, FILE, Restart;
        /// What the events in the spool may take; a further event gets 503.
        spool_size: usize = 1 << 30, SIZE, Restart;
        /// A path at `listen` that answers GET with 200 while the receiver is ready, and with 503 otherwise, for load balancers.
        health: Option<String> = None, PATH, Restart;
        /// The format of the log on stderr: `text` or `json`.
        log: LogFormat = LogFormat::Text, choice(), Restart;
        /// Where traces go by OTLP over HTTP; needs a build with `--features otlp`.
        traces: Option<Uri> = None, HTTP_URL, Restart;
        /// Proxies whose `X-Forwarded-For` is believed: addresses and networks such as `10.0.0.0/8`. Empty: the address of the connection counts.
        trusted_proxies: Vec<Network> = Vec::new(), PROXIES, Reload;
        /// The certificate and key with which the receiver itself speaks TLS at `listen`; a reload reads the files again.
        tls: Option<Tls> = None, nested::<Tls>("[tls]"), Restart;
        /// Limits on what senders use.
        limits: Limits = Limits::default(), nested("[limits]"), Reload;
        /// How long data is kept.
        retention: Retention = Retention::default(), nested("[retention]"), Reload;
        /// Who reads and orders, beside who presents `admin_token`. A change needs a restart.
        operators as "operator": Vec<OperatorConfig> = Vec::new(), List("[[operator]]"), Reload;
        /// Where webhooks come in. Without any, there is one at `/webhook` with the secret in `PYLON_WEBHOOK_SECRET`.
        endpoints as "endpoint": Vec<EndpointConfig> = Vec::new(), List("[[endpoint]]"), Reload;
        /// Where events go.
        destinations as "destination": Vec<DestinationConfig> = Vec::new(), List("[[destination]]"), Reload;
    }
}

keys! {
    /// The files of a certificate chain and its key.
    Tls {
        /// The certificate chain, PEM, the server's own certificate first.
        certificate: PathBuf = PathBuf::new(), FILE.required(), Reload;
        /// The private key, PEM.
        key: PathBuf = PathBuf::new(), FILE.required(), Reload;
    }
}

keys! {
    /// Limits on what senders use.
    Limits {
        /// Connections at a time; further ones wait. One address can use half of them, so double it behind a proxy.
        connections: usize = 1024, positive(), Restart;
        /// Time for a request's head, from the connection, or on a connection in use from the head's first byte.
        header_timeout: Duration = Duration::from_secs(15), DURATION, Restart;
        /// Time that a connection may wait for its next request. Keep it longer than the same time-out of a proxy in front.
        idle_timeout: Duration = Duration::from_secs(75), DURATION, Restart;
        /// Time for a request's body.
        body_timeout: Duration = Duration::from_secs(15), DURATION, Reload;
        /// Memory for all bodies that are being received or stored; a further request gets 503.
        body_memory: usize = 256 * 1024 * 1024, SIZE, Restart;
        /// Requests on one connection before the receiver closes it.
        keep_alive_requests: u32 = 10_000, positive(), Restart;
        /// Events that wait for a commit; further ones get 503.
        queue: usize = 4096, positive(), Restart;
        /// Time from SIGTERM to the end.
        shutdown_timeout: Duration = Duration::from_secs(25), DURATION, Restart;
    }
}

keys! {
    /// How long data is kept.
    Retention {
        /// How long completed events are kept, counted from their arrival. Dead deliveries and parked events stay until an operator acts.
        delivered: Option<Duration> = Some(Duration::from_secs(30 * 24 * 3600)), DURATION_OR_FOREVER, Reload;
        /// Refused requests that are kept.
        refused: usize = 1000, count(), Restart;
    }
}

impl Tls {
    /// TLS with these files.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }
}

impl Config {
    /// Where a browser finds the operator's page of a receiver whose operators ask at this address; none: it is a Unix socket.
    ///
    /// ```
    /// use pylon_receiver::config::parse;
    ///
    /// let config = parse("")?;
    /// assert_eq!(config.page_url(&config.admin).as_deref(), Some("http://127.0.0.1:8081/ui/"));
    ///
    /// let config = parse("public_url = \"https://ops.example.com/pylon\"")?;
    /// assert_eq!(config.page_url(&config.admin).as_deref(), Some("https://ops.example.com/pylon/ui/"));
    /// # Ok::<(), pylon_receiver::config::ConfigFault>(())
    /// ```
    pub fn page_url(&self, admin: &ListenAddress) -> Option<String> {
        let base = self.public_url.as_ref().map_or_else(|| admin.url(), |url| Some(url.to_string()))?;
        Some(format!("{}/ui/", base.trim_end_matches('/')))
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Choice for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Choice for Role {
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::AcceptAndDeliver.name(), Self::AcceptAndDeliver),
        (Self::Accept.name(), Self::Accept),
        (Self::Deliver.name(), Self::Deliver),
    ];
}

impl Choice for Promise {
    const WORDS: &'static [(&'static str, Self)] = &[("one_disk", Self::OneDisk), ("two_disks", Self::TwoDisks)];
}

/// Where events are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerAddress {
    /// In a SQLite file: `sqlite:PATH`.
    Sqlite(PathBuf),
    /// In a PostgreSQL database: `postgres://USER@HOST/DATABASE`.
    Postgres(Box<PostgresAddress>),
}

impl FromStr for LedgerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if PostgresAddress::is_meant(text) {
            return Ok(Self::Postgres(Box::new(text.parse()?)));
        }
        let path = text.strip_prefix("sqlite:").ok_or_else(|| {
            // Another URL may hold a password.
            let found = if text.contains('@') { "another text".to_owned() } else { quoted(text) };
            format!("expected `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, found {found}")
        })?;
        let address = Self::Sqlite(path.into());
        ledger_fault(&address).map_or(Ok(address), Err)
    }
}

impl fmt::Display for LedgerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

const LEDGER: Value<LedgerAddress> =
    value("text", |value| Ok(read_ledger(&read_text(value)?)?), |address| Some(quote(&address.to_string())))
        .checked(ledger_fault);

/// Reads the address of a ledger in a configuration file, which holds no secret.
fn read_ledger(text: &str) -> Result<LedgerAddress, String> {
    let variable = |name: &str| std::env::var_os(name).filter(|_| name != "PGPASSWORD");
    if PostgresAddress::is_meant(text) && PostgresAddress::read(text, variable)?.password().is_some() {
        let advice = "name the environment variable or the file that has it with `ledger_password`";
        return Err(format!("expected a URL without a password, found one with a password; {advice}"));
    }
    text.parse()
}

fn ledger_fault(address: &LedgerAddress) -> Option<String> {
    let LedgerAddress::Sqlite(path) = address else { return None };
    // SQLite takes these for something other than the name of a file.
    let is_file = !path.as_os_str().is_empty()
        && path != Path::new(":memory:")
        && !path.as_os_str().as_encoded_bytes().starts_with(b"file:");
    (!is_file).then(|| format!("expected the path of a file after `sqlite:`, found {}", quoted(&address.to_string())))
}
