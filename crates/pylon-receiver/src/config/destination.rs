//! The keys of `[[destination]]`: where events go.

use super::condition::{CONDITIONS, Condition};
use super::declare::{Entry, Format, Key, Section, Shown, key, keys};
use super::endpoint::name_fault;
use super::fault::Place;
use super::nested::nested;
use super::pointer::pointer_fault;
use super::secret::SecretSource;
use super::source::{HEADERS, NATS, PROXY, SECRET, VARIABLES};
use super::subject::{SUBJECT, SubjectTemplate};
use super::table::Table;
use super::value::{BOOLEAN, Choice, DURATION, FILE, HTTP_URL, RATE, TEXTS, positive, quote, read_choice, text};
use crate::text::one_of;
use http::{HeaderName, Uri};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The longest path of a Unix socket on every system, in bytes.
const LONGEST_SOCKET: usize = 103;

keys! {
    /// Where events go, and how hard the receiver tries.
    DestinationConfig {
        /// The name that deliveries are stored under; required. Renaming a destination orphans its pending deliveries; `deliveries move` moves them.
        name: Arc<str> = "".into(), text().checked(name_fault).required(), Reload;
        /// How events go to the destination.
        transport: TransportConfig = TransportConfig::InProcess, TransportKeys, Reload;
        /// Only events of these kinds, by name or type; empty for all. Case, `.`, `-` and spaces do not count in a name.
        kinds: Vec<String> = Vec::new(), TEXTS.checked(|kinds| kinds_fault(kinds)), Reload;
        /// Only events of the endpoints with these names; empty for all.
        endpoints: Vec<String> = Vec::new(), TEXTS, Reload;
        /// Only events whose body has one of these values at each of these JSON pointers: `{ "/issue_status" = ["closed", "on_hold"] }`. Numbers and booleans are compared as text.
        conditions as "where": Vec<Condition> = Vec::new(), CONDITIONS, Reload;
        /// Time for one attempt.
        timeout: Duration = Duration::from_secs(15), DURATION, Reload;
        /// Attempts at a time.
        concurrency: usize = 8, positive(), Reload;
        /// Attempts started per second.
        rate: Option<f64> = None, RATE, Reload;
        /// A field, key or JSON pointer: events with the same value there are delivered one at a time, in order of arrival.
        order_by: Option<String> = None, text().checked(|key: &String| order_by_fault(key)), Reload;
        /// Keep the beginning of the answer to a failed attempt, 2 KiB at most, for operators to see; of a command, the end of its standard error.
        keep_answer: bool = true, BOOLEAN, Reload;
        /// When to try again after a failure.
        retry: RetryPolicy = RetryPolicy::default(), nested("[destination.retry]"), Reload;
        /// When to leave a failing destination alone.
        circuit: CircuitPolicy = CircuitPolicy::default(), nested("[destination.circuit]"), Reload;
    }
}

impl DestinationConfig {
    /// A destination for every event.
    pub fn new(name: impl Into<Arc<str>>, transport: TransportConfig) -> Self {
        Self::default().name(name.into()).transport(transport)
    }
}

fn kinds_fault(kinds: &[String]) -> Option<String> {
    let has_blank = kinds.iter().any(|kind| kind.trim().is_empty());
    has_blank.then(|| "expected names of kinds, found a blank one".to_owned())
}

fn order_by_fault(key: &str) -> Option<String> {
    if key.starts_with('/') {
        return pointer_fault(key);
    }
    let is_blank = key.trim().is_empty();
    is_blank.then(|| "expected a field's name, a key or a JSON pointer, found a blank text".to_owned())
}

keys! {
    /// When to try a delivery again.
    RetryPolicy {
        /// Give up after this many attempts. One that is answered 429 does not count.
        attempts: u32 = 30, positive(), Reload;
        /// Give up at this age once five attempts were made.
        age: Duration = Duration::from_secs(3 * 24 * 3600), DURATION, Reload;
        /// The longest wait before the second attempt; the wait is a random part of it.
        first_delay: Duration = Duration::from_secs(1), DURATION, Reload;
        /// What the wait doubles up to. A `Retry-After` counts up to this too, and up to an hour.
        longest_delay: Duration = Duration::from_secs(3600), DURATION, Reload;
    }
}

keys! {
    /// When to leave a failing destination alone.
    CircuitPolicy {
        /// Events without an answer, or with 502, 503 or 504, before the destination is paused. Any other answer starts the count anew.
        failures: u32 = 10, positive(), Reload;
        /// The first pause; then one delivery is a probe.
        first_pause: Duration = Duration::from_secs(1), DURATION, Reload;
        /// What the pause doubles up to.
        longest_pause: Duration = Duration::from_secs(60), DURATION, Reload;
    }
}

/// How events go to a destination.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TransportConfig {
    /// By HTTP POST.
    Http(HttpTransport),
    /// To the standard input of a command.
    Command(CommandTransport),
    /// To a file of JSON lines.
    JsonLines(JsonLinesTransport),
    /// To JetStream of a NATS server. Needs the cargo feature `nats`.
    Nats(NatsTransport),
    /// To the handlers that the program gives to [`ReceiverBuilder::handlers`](crate::ReceiverBuilder::handlers) under the
    /// destination's name. A file cannot say this.
    InProcess,
}

keys! {
    /// An HTTP POST of the raw body.
    HttpTransport {
        /// Forward events to this URL by HTTP POST. Give one of `url`, `command`, `jsonl` and `nats`. Put a credential into `headers`, because commands show the URL.
        url: Uri = Uri::default(), HTTP_URL.without_default(), Reload;
        /// How deliveries are signed.
        signing: Signing = Signing::AsReceived, SigningKeys, Reload;
        /// Headers of forwarded requests; they replace original headers of the same name.
        headers: Vec<(HeaderName, SecretSource)> = Vec::new(), HEADERS, Reload;
        /// Pass the query of the original request on.
        query: bool = false, BOOLEAN, Reload;
        /// Trust these authorities (certificates in a PEM file) and no others, in place of those that the system trusts.
        ca: Option<PathBuf> = None, FILE, Reload;
        /// The certificate that the receiver shows to the server.
        client: Option<ClientCertificate> = None, ClientKeys, Reload;
        /// Send through this proxy, `http://127.0.0.1:3128`. A URL with a user and a password must come from `env` or `file`.
        proxy: Option<SecretSource> = None, PROXY, Reload;
        /// Connect to this Unix socket. The `url` still says the scheme, the `Host` header and the path.
        socket: Option<PathBuf> = None, FILE.checked(|path| socket_fault(path)), Reload;
    }
}

/// A certificate that the receiver shows, with its key; both are PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The file of the certificate chain.
    pub certificate: PathBuf,
    /// The file of the private key.
    pub key: PathBuf,
}

impl ClientCertificate {
    /// The certificate chain in one file, its key in another, or both in the same.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }
}

fn socket_fault(path: &Path) -> Option<String> {
    let length = path.as_os_str().len();
    let text = format!("expected at most {LONGEST_SOCKET} bytes, as systems demand of a socket's path, found {length}");
    if length > LONGEST_SOCKET { Some(text) } else { (FILE.check)(&path.to_owned()) }
}

keys! {
    /// A command that gets the body on its standard input.
    CommandTransport {
        /// Run this program with these arguments for each event, without a shell.
        command: Vec<String> = Vec::new(), TEXTS.checked(|command| command_fault(command)).without_default(), Reload;
        /// Environment variables that the program gets besides `PATH`, `HOME`, `LANG` and `TZ`.
        environment: Vec<String> = Vec::new(), VARIABLES, Reload;
    }
}

keys! {
    /// A file that gets a line of JSON for each event.
    JsonLinesTransport {
        /// Append events to this file as lines of JSON.
        path as "jsonl": PathBuf = PathBuf::new(), FILE.without_default(), Reload;
    }
}

keys! {
    /// A NATS server with JetStream.
    NatsTransport {
        /// Publish events to JetStream of this NATS server, `nats://127.0.0.1:4222`; of a cluster, name all servers with commas between them. `tls://` demands TLS. A URL with a user and a password must come from `env` or `file`.
        servers as "nats": SecretSource = SecretSource::Plain(String::new()), NATS.without_default(), Reload;
        /// The subject of each message. `{kind}`, `{endpoint}` and `{name}` become the event's own; what a subject cannot hold becomes `_`.
        subject: SubjectTemplate = SubjectTemplate::default(), SUBJECT, Reload;
        /// The token that the NATS server asks for.
        token as "nats_token": Option<SecretSource> = None, SECRET, Reload;
        /// The credentials file (`.creds`) of the NATS user, with its JWT and its seed.
        credentials as "nats_credentials": Option<PathBuf> = None, FILE, Reload;
        /// Trust these authorities (certificates in a PEM file) and no others, in place of those that the system trusts.
        ca: Option<PathBuf> = None, FILE, Reload;
        /// The certificate that the receiver shows to the server.
        client: Option<ClientCertificate> = None, ClientKeys, Reload;
    }
}

impl HttpTransport {
    /// Sends to this URL.
    pub fn new(url: Uri) -> Self {
        Self::default().url(url)
    }
}

impl CommandTransport {
    /// Runs this program with these arguments.
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::default().command(command.into_iter().map(Into::into).collect())
    }
}

impl JsonLinesTransport {
    /// Appends to this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::default().path(path.into())
    }
}

impl NatsTransport {
    /// Publishes to these servers: one URL, or several with commas between them.
    pub fn new(servers: SecretSource) -> Self {
        Self::default().servers(servers)
    }
}

impl TransportConfig {
    /// The secrets that the transport needs.
    pub fn needed_secrets(&self) -> Vec<&SecretSource> {
        match self {
            Self::Http(HttpTransport { headers, signing, proxy, .. }) => {
                headers.iter().map(|(_, value)| value).chain(signing.secret()).chain(proxy).collect()
            }
            Self::Nats(NatsTransport { servers, token, .. }) => [servers].into_iter().chain(token).collect(),
            Self::Command(_) | Self::JsonLines(_) | Self::InProcess => Vec::new(),
        }
    }

    /// The certificate that the receiver shows to the server.
    pub fn client_certificate(&self) -> Option<&ClientCertificate> {
        match self {
            Self::Http(http) => http.client.as_ref(),
            Self::Nats(nats) => nats.client.as_ref(),
            Self::Command(_) | Self::JsonLines(_) | Self::InProcess => None,
        }
    }
}

fn command_fault(command: &[String]) -> Option<String> {
    if command.first().is_none_or(String::is_empty) {
        return Some("expected a program and its arguments, found none".to_owned());
    }
    let has_zero = command.iter().any(|part| part.contains('\0'));
    has_zero.then(|| "expected texts without a zero byte, found one".to_owned())
}

/// The keys of all transports, of which a destination has one.
struct TransportKeys;

impl Format<TransportConfig> for TransportKeys {
    fn read(&self, _: &'static Key, transport: &mut TransportConfig, table: &mut Table<'_, '_>) {
        let transports =
            [HttpTransport::names(), CommandTransport::names(), JsonLinesTransport::names(), NatsTransport::names()];
        // The first key of a transport chooses it.
        let given: Vec<_> = transports.iter().map(|keys| keys[0]).filter(|key| table.has(key)).collect();
        let chosen = if let [one] = *given { Some(one) } else { None };
        if let Some(own) = transports.iter().find(|keys| chosen == Some(keys[0])) {
            for &key in transports.iter().flat_map(|keys| &keys[1..]).filter(|key| !own.contains(key)) {
                let owners = transports.iter().filter(|keys| keys.contains(&key)).map(|keys| keys[0]);
                table.refuse(key, &format!("expected only beside {}, found beside `{}`", one_of(owners), own[0]));
            }
        }
        if chosen.is_none() {
            let found = if given.is_empty() { "none".to_owned() } else { format!("`{}`", given.join("` and `")) };
            table.fault(None, format!("expected one of `url`, `command`, `jsonl` and `nats`, found {found}"));
        }
        // All are read, so that every fault is reported. A key that two of them have belongs to the chosen one.
        let nats = (chosen == Some("nats")).then(|| NatsTransport::read(table));
        let (http, command) = (HttpTransport::read(table), CommandTransport::read(table));
        let json_lines = JsonLinesTransport::read(table);
        let nats = nats.unwrap_or_else(|| NatsTransport::read(table));
        *transport = match chosen {
            Some("command") => TransportConfig::Command(command),
            Some("jsonl") => TransportConfig::JsonLines(json_lines),
            Some("nats") => TransportConfig::Nats(nats),
            _ => TransportConfig::Http(http),
        };
    }

    fn visit(&self, key: &'static Key, transport: &TransportConfig, place: Place, entries: &mut Vec<Entry>) {
        match transport {
            TransportConfig::Http(http) => http.visit(place, entries),
            TransportConfig::Command(command) => command.visit(place, entries),
            TransportConfig::JsonLines(json_lines) => json_lines.visit(place, entries),
            TransportConfig::Nats(nats) => nats.visit(place, entries),
            TransportConfig::InProcess => entries.push(Entry::new(place, key, "handlers", Shown::Given)),
        }
    }
}

/// The keys `client_certificate` and `client_key`.
struct ClientKeys;

const CLIENT_CERTIFICATE: &Key = key!(
    "The certificate (PEM) that the receiver shows to the server; needs `client_key`.",
    Reload,
    client_certificate
);

const CLIENT_KEY: &Key = key!("The private key (PEM) of `client_certificate`.", Reload, client_key);

impl Format<Option<ClientCertificate>> for ClientKeys {
    fn read(&self, _: &'static Key, client: &mut Option<ClientCertificate>, table: &mut Table<'_, '_>) {
        let names = [CLIENT_CERTIFICATE.name, CLIENT_KEY.name];
        let has = names.map(|name| table.has(name));
        let files = names.map(|name| table.get(name, FILE.read));
        match (files, has) {
            ([Some(certificate), Some(key)], _) => *client = Some(ClientCertificate { certificate, key }),
            (_, [true, false]) => {
                table.fault(Some(names[0]), format!("expected a `{}` beside it, found none", names[1]))
            }
            (_, [false, true]) => {
                table.fault(Some(names[1]), format!("expected a `{}` beside it, found none", names[0]))
            }
            _ => {}
        }
    }

    fn visit(&self, _: &'static Key, client: &Option<ClientCertificate>, place: Place, entries: &mut Vec<Entry>) {
        let (certificate, key) = client.clone().map(|client| (client.certificate, client.key)).unzip();
        FILE.visit(CLIENT_CERTIFICATE, &certificate, place, entries);
        FILE.visit(CLIENT_KEY, &key, place, entries);
    }
}

/// How an HTTP delivery is signed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Signing {
    /// Not anew: the original headers, with Pylon's own signature.
    AsReceived,
    /// As Pylon signs, with the present timestamp, so that an app verifies a late delivery as it verifies Pylon's webhooks.
    Pylon(SecretSource),
    /// As Standard Webhooks does (`webhook-id`, `webhook-timestamp`, `webhook-signature`). The secret is `whsec_` and base64.
    StandardWebhooks(SecretSource),
}

impl Signing {
    fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::AsReceived => None,
            Self::Pylon(secret) | Self::StandardWebhooks(secret) => Some(secret),
        }
    }
}

/// The keys `sign` and `secret`.
struct SigningKeys;

const SIGN: &Key = key!(
    "How forwarded requests are signed: `pylon` (default with a `secret`), `standard-webhooks`, or `as-received` (default without).",
    Reload,
    sign
);

const SIGNING_SECRET: &Key = key!("The secret that signs forwarded requests.", Reload, secret);

/// The words of the key `sign`.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Pylon,
    StandardWebhooks,
    AsReceived,
}

impl Choice for Sign {
    const WORDS: &'static [(&'static str, Self)] =
        &[("pylon", Self::Pylon), ("standard-webhooks", Self::StandardWebhooks), ("as-received", Self::AsReceived)];
}

impl Format<Signing> for SigningKeys {
    fn read(&self, _: &'static Key, signing: &mut Signing, table: &mut Table<'_, '_>) {
        let (has_sign, has_secret) = (table.has(SIGN.name), table.has(SIGNING_SECRET.name));
        let (sign, secret) = (table.get(SIGN.name, read_choice), table.get(SIGNING_SECRET.name, SECRET.read));
        match (sign, secret) {
            (Some(Sign::AsReceived), _) if has_secret => {
                table.fault(Some(SIGNING_SECRET.name), "expected none beside `sign = \"as-received\"`, found one");
            }
            (Some(Sign::Pylon | Sign::StandardWebhooks), None) if !has_secret => {
                table.fault(Some(SIGN.name), "expected a `secret` to sign with, found none");
            }
            (Some(Sign::StandardWebhooks), Some(secret)) => *signing = Signing::StandardWebhooks(secret),
            (Some(Sign::Pylon), Some(secret)) => *signing = Signing::Pylon(secret),
            (None, Some(secret)) if !has_sign => *signing = Signing::Pylon(secret),
            _ => {}
        }
    }

    fn visit(&self, _: &'static Key, signing: &Signing, place: Place, entries: &mut Vec<Entry>) {
        let sign = match signing {
            Signing::AsReceived => "as-received",
            Signing::Pylon(_) => "pylon",
            Signing::StandardWebhooks(_) => "standard-webhooks",
        };
        let entry = Entry::new(place, SIGN, "word", Shown::Value(quote(sign)));
        entries.push(Entry { has_default: false, ..entry });
        SECRET.visit(SIGNING_SECRET, &signing.secret().cloned(), place, entries);
    }
}
