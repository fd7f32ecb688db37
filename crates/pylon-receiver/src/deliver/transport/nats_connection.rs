//! The connection to a NATS cluster, which all attempts of a destination share.
//!
//! The first attempt that needs it opens it, and others wait for the same one. A connection that breaks is never mended: the attempts
//! that wait on it fail at once, and the next attempt opens another one. So no message waits in a buffer that the ledger does not know
//! of, and each attempt can tell why it failed.

use super::code::Code;
use super::fault::TransportFault;
use super::line::fit;
use super::report::Report;
use super::shortage::Shortage;
use super::tls::Tls;
use super::unanswered::{Cause, of_causes};
use crate::config::{NatsTransport, SecretFault, SecretSource};
use crate::text::{NATS_PORT, parse_nats, show_duration, userinfo};
use crate::tls_cause::of_tls;
use async_nats::header::HeaderMap;
use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, RequestError, RequestErrorKind, ServerAddr,
    ServerError,
};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::Uri;
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, InvalidMessage};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use zeroize::Zeroizing;

/// How often an idle connection is tried: more often than a firewall forgets it.
const PING: Duration = Duration::from_secs(30);
/// How many words of a server may wait for an attempt to hear them.
const MOST_WORDS: usize = 64;
/// The name by which the server's own tools show the connection.
const NAME: &str = "pylon-receiver";

/// The connection of a destination, opened when it is needed.
pub(super) struct Connections {
    servers: Arc<Servers>,
    current: Mutex<Option<Opening>>,
}

/// A connection that opens or is open, or why it could not be opened.
type Opening = Shared<BoxFuture<'static, Result<Arc<Connection>, Report>>>;

/// The servers of a cluster, and how to log in.
struct Servers {
    destination: Arc<str>,
    addresses: Vec<ServerAddr>,
    /// The first one to try: the last one that was connected to.
    first: AtomicUsize,
    options: ConnectOptions,
    demands_tls: bool,
    shows_certificate: bool,
    tls: Tls,
    timeout: Duration,
}

/// An open connection, or one that has ended.
pub(super) struct Connection {
    client: Client,
    words: Arc<Words>,
}

/// What a server says that answers no message.
struct Words {
    destination: Arc<str>,
    server: Box<str>,
    /// Whether the connection has ended, or is of no use.
    is_over: AtomicBool,
    said: broadcast::Sender<Word>,
}

#[derive(Clone)]
enum Word {
    /// The connection has ended.
    Ended,
    /// The user may not publish to this subject.
    Denied(Box<str>),
    /// The user may not subscribe to where answers arrive.
    NoReplies,
}

/// Why JetStream answered nothing to a message.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// No stream takes the subject.
    NoStream {
        /// Whether the server has JetStream at all.
        has_jetstream: bool,
    },
    /// The server takes no message that large.
    TooLarge {
        /// In bytes.
        most: usize,
    },
    /// The user may not publish to the subject.
    Denied,
    /// The user may not subscribe to where answers arrive.
    NoReplies,
    /// The connection ended.
    BrokeOff,
}

impl Connections {
    /// Reads the secrets and the files; connects to nobody yet.
    ///
    /// # Errors
    /// [`TransportFault`]
    pub(super) fn new(
        destination: &Arc<str>,
        config: &NatsTransport,
        timeout: Duration,
    ) -> Result<Self, TransportFault> {
        let servers = Servers::read(destination, config, timeout)?;
        Ok(Self { servers: Arc::new(servers), current: Mutex::default() })
    }

    /// The open connection; opens one if there is none.
    ///
    /// # Errors
    /// What to report: no connection can be opened.
    pub(super) async fn get(&self) -> Result<Arc<Connection>, Report> {
        let present = self.current().clone();
        if let Some(Ok(connection)) = present.as_ref().and_then(Shared::peek)
            && connection.is_over()
        {
            self.give_up(Some(connection));
        }
        let opening = self.current().get_or_insert_with(|| self.servers.clone().open().boxed().shared()).clone();
        let opened = opening.clone().await;
        if opened.is_err() {
            self.give_up_opening(&opening);
        }
        opened
    }

    /// The next attempt opens another connection than this one, or than the one that does not open in time.
    pub(super) fn give_up(&self, connection: Option<&Arc<Connection>>) {
        let mut current = self.current();
        let open = current.as_ref().and_then(Shared::peek).and_then(|opened| opened.as_ref().ok());
        let is_meant = match (open, connection) {
            (Some(open), Some(connection)) => Arc::ptr_eq(open, connection),
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => true,
        };
        let given_up = if is_meant { current.take() } else { None };
        drop(current);
        drop(given_up);
    }

    fn give_up_opening(&self, opening: &Opening) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|current| current.ptr_eq(opening)) {
            *current = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Opening>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Servers {
    fn read(destination: &Arc<str>, config: &NatsTransport, timeout: Duration) -> Result<Self, TransportFault> {
        const EXPECTED: SecretFault = SecretFault::Malformed(
            "the URL of a NATS server such as `nats://user:password@127.0.0.1:4222`, or several with commas between them",
        );
        let text = config.servers.read().map_err(TransportFault::Secret)?;
        let urls = std::str::from_utf8(&text).ok().and_then(|text| parse_nats(text).ok());
        let urls = urls.ok_or(TransportFault::Secret(EXPECTED))?;
        let addresses: Option<Vec<ServerAddr>> = urls.iter().map(address).collect();
        let demands_tls = urls[0].scheme_str() == Some("tls");
        let options = login(config, userinfo(&urls[0]))?
            .name(NAME)
            .require_tls(demands_tls)
            .connection_timeout(patience(timeout, urls.len()))
            .request_timeout(None)
            .ping_interval(PING)
            // The client tries once to mend a connection, which by then nobody uses any more. None would mean for ever.
            .max_reconnects(1)
            // A server could name any others, and they would get the password.
            .ignore_discovered_servers();
        Ok(Self {
            destination: destination.clone(),
            addresses: addresses.ok_or(TransportFault::Secret(EXPECTED))?,
            first: AtomicUsize::new(0),
            options,
            demands_tls,
            shows_certificate: config.client.is_some(),
            tls: Tls::read(config.ca.as_deref(), config.client.as_ref()).map_err(TransportFault::Tls)?,
            timeout,
        })
    }

    /// Connects to the first server that lets the receiver in.
    async fn open(self: Arc<Self>) -> Result<Arc<Connection>, Report> {
        let count = self.addresses.len();
        let first = self.first.load(Ordering::Relaxed);
        let mut last = None;
        for at in (first..first + count).map(|at| at % count) {
            match self.connect(&self.addresses[at]).await {
                Ok(connection) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(Arc::new(connection));
                }
                Err(report) => last = Some(report),
            }
        }
        Err(last.unwrap_or_else(|| Report::failed(Code::MISSING, None, "there is no server to connect to")))
    }

    async fn connect(&self, address: &ServerAddr) -> Result<Connection, Report> {
        let tls = match self.tls.connector() {
            Ok(connector) => connector.config().as_ref().clone(),
            Err(missing) if self.demands_tls => {
                return Err(
                    Shortage::now().map_or_else(|| Report::failed(Code::MISSING, None, missing), Report::not_tried)
                );
            }
            // A server that demands TLS all the same is not believed.
            Err(_) => self.tls.of_nobody(),
        };
        let words = Arc::new(Words {
            destination: self.destination.clone(),
            server: address.as_url_str().into(),
            is_over: AtomicBool::new(false),
            said: broadcast::Sender::new(MOST_WORDS),
        });
        let hearing = words.clone();
        let options = self.options.clone().tls_client_config(tls).event_callback(move |event| {
            hearing.hear(event);
            std::future::ready(())
        });
        match options.connect(address.clone()).await {
            Ok(client) => {
                tracing::info!(destination = %words.destination, server = %words.server, "connected to NATS");
                Ok(Connection { client, words })
            }
            Err(error) => Err(self.unconnected(&error)),
        }
    }

    /// The report of a connection that could not be opened. No event was offered, so nothing of this speaks for the destination.
    fn unconnected(&self, error: &ConnectError) -> Report {
        const REFUSED: &str = "the server refuses the login: expected credentials that it knows, found none or others";
        let source = error.source();
        let of_server = source.and_then(|source| source.downcast_ref::<ServerError>());
        let of_system = source.and_then(|source| source.downcast_ref::<io::Error>());
        if let Some(shortage) = of_system.and_then(Shortage::of) {
            return Report::not_tried(shortage);
        }
        let (code, sentence): Cause = match (error.kind(), of_server, of_system) {
            (ConnectErrorKind::AuthorizationViolation, ..) => (Code::LOGIN, REFUSED.into()),
            (ConnectErrorKind::Authentication, ..) => {
                (Code::LOGIN, "the credentials of `nats_credentials` sign nothing".into())
            }
            (ConnectErrorKind::Dns, ..) => match Shortage::now() {
                Some(shortage) => return Report::not_tried(shortage),
                None => (Code::DNS, "the name does not resolve".into()),
            },
            (ConnectErrorKind::TimedOut, ..) => {
                (Code::TIMEOUT, format!("no connection within {}", show_duration(self.patience())).into())
            }
            (_, Some(ServerError::Other(said)), _) => {
                let sentence = "the server refuses the connection";
                let detail = format!("{sentence}: {}", fit(said));
                return Report::failed(Code::DENIED, None, sentence).with_detail(detail);
            }
            (ConnectErrorKind::Tls, ..) => {
                (Code::TLS, "TLS failed: the certificates of the system cannot be read".into())
            }
            (_, _, Some(error)) => match (tls_error(error), error.kind()) {
                (Some(error), _) => (Code::TLS, self.of_tls(error).into()),
                (None, ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
                    (Code::NOT_NATS, "the server does not speak NATS".into())
                }
                (None, _) => of_causes(error),
            },
            _ => (Code::CLOSED, "the connection broke off before the login".into()),
        };
        Report::failed(code, None, sentence)
    }

    fn of_tls(&self, error: &rustls::Error) -> &'static str {
        match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                "TLS failed: the server does not speak TLS; use nats://"
            }
            // Servers in Go say this of a certificate that is missing.
            rustls::Error::AlertReceived(AlertDescription::BadCertificate) if !self.shows_certificate => {
                of_tls(&rustls::Error::AlertReceived(AlertDescription::CertificateRequired))
            }
            error => of_tls(error),
        }
    }

    /// The time for one server.
    fn patience(&self) -> Duration {
        patience(self.timeout, self.addresses.len())
    }
}

impl Connection {
    /// Publishes a message, and waits for the answer.
    pub(super) async fn ask(&self, subject: &str, headers: HeaderMap, body: Bytes) -> Result<Bytes, Unanswered> {
        let mut said = self.words.said.subscribe();
        if self.is_over() {
            return Err(Unanswered::BrokeOff);
        }
        let request = async_nats::Request::new().headers(headers).payload(body).timeout(None);
        let mut answer = pin!(self.client.send_request(subject.to_owned(), request));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => {
                    return answer.map(|message| message.payload).map_err(|error| self.unanswered(&error));
                }
                word = said.recv() => match word {
                    Ok(Word::Ended) | Err(RecvError::Closed) => return Err(Unanswered::BrokeOff),
                    Ok(Word::NoReplies) => return Err(Unanswered::NoReplies),
                    Ok(Word::Denied(denied)) if *denied == *subject => return Err(Unanswered::Denied),
                    Ok(Word::Denied(_)) | Err(RecvError::Lagged(_)) => {}
                },
            }
        }
    }

    fn is_over(&self) -> bool {
        self.words.is_over.load(Ordering::Acquire)
    }

    fn unanswered(&self, error: &RequestError) -> Unanswered {
        match error.kind() {
            RequestErrorKind::NoResponders => {
                Unanswered::NoStream { has_jetstream: self.client.server_info().jetstream }
            }
            RequestErrorKind::MaxPayloadExceeded => Unanswered::TooLarge { most: self.client.max_payload() },
            // A template yields no other subjects than valid ones, and there is no time-out here.
            RequestErrorKind::InvalidSubject | RequestErrorKind::TimedOut | RequestErrorKind::Other => {
                Unanswered::BrokeOff
            }
        }
    }
}

impl Words {
    /// Takes an event of the client. Nothing that the server says goes into the log as it stands.
    fn hear(&self, event: Event) {
        let Self { destination, server, .. } = self;
        match event {
            Event::Disconnected if self.is_over.load(Ordering::Acquire) => {}
            Event::Disconnected => {
                tracing::warn!(%destination, %server, "the connection to NATS has ended: the next attempt opens another one");
                self.end(Word::Ended);
            }
            Event::LameDuckMode => {
                tracing::warn!(%destination, %server, "the NATS server is about to stop (lame duck mode)");
            }
            Event::ServerError(ServerError::Other(said)) => match denied(&said) {
                Some(Word::NoReplies) => self.end(Word::NoReplies),
                // The report of the attempt says so.
                Some(word) => drop(self.said.send(word)),
                None => {
                    let error = KNOWN.into_iter().find(|known| said.to_ascii_lowercase().starts_with(known));
                    let error = error.unwrap_or("one that the receiver does not know");
                    tracing::warn!(%destination, %server, error, "the NATS server reports an error");
                }
            },
            Event::ServerError(ServerError::AuthorizationViolation) => {
                tracing::warn!(%destination, %server, "the NATS server no longer knows the credentials");
            }
            // Nobody subscribes but for answers, and the connection is told of where it is opened and given up.
            Event::Connected
            | Event::Draining
            | Event::Closed
            | Event::SlowConsumer(_)
            | Event::ServerError(ServerError::SlowConsumer(_))
            | Event::ClientError(_) => {}
        }
    }

    fn end(&self, word: Word) {
        self.is_over.store(true, Ordering::Release);
        // An error means that no attempt is under way.
        drop(self.said.send(word));
    }
}

/// What servers say before they close a connection, in lower case.
const KNOWN: [&str; 8] = [
    "stale connection",
    "maximum connections exceeded",
    "maximum account active connections exceeded",
    "maximum payload violation",
    "user authentication expired",
    "user authentication revoked",
    "account authentication expired",
    "slow consumer",
];

/// What the user may not do, if the server says that.
fn denied(said: &str) -> Option<Word> {
    let denied = said.strip_prefix("Permissions Violation for ")?;
    if denied.starts_with("Subscription to ") {
        return Some(Word::NoReplies);
    }
    let subject = denied.strip_prefix("Publish to \"")?.strip_suffix('"')?;
    Some(Word::Denied(subject.into()))
}

/// How the receiver connects and logs in.
fn login(config: &NatsTransport, userinfo: Option<&str>) -> Result<ConnectOptions, TransportFault> {
    const EXPECTED: SecretFault = SecretFault::Malformed("text in UTF-8");
    let options = ConnectOptions::new();
    if (config.token.is_some() || config.credentials.is_some()) && userinfo.is_some() {
        let fault = "a URL without a user beside `nats_token` and `nats_credentials`";
        return Err(TransportFault::Secret(SecretFault::Malformed(fault)));
    }
    if let Some(path) = &config.credentials {
        return credentials(path, options);
    }
    if let Some(token) = &config.token {
        return Ok(options.token(text(token)?));
    }
    let Some(userinfo) = userinfo else { return Ok(options) };
    let decoded = |part: &str| {
        let decoded = percent_decode_str(part).decode_utf8().map(|part| part.into_owned());
        decoded.map_err(|_| TransportFault::Secret(EXPECTED))
    };
    Ok(match userinfo.split_once(':') {
        Some((user, password)) => options.user_and_password(decoded(user)?, decoded(password)?),
        // As all clients of NATS take it.
        None => options.token(decoded(userinfo)?),
    })
}

fn text(source: &SecretSource) -> Result<String, TransportFault> {
    const EXPECTED: SecretFault = SecretFault::Malformed("text in UTF-8");
    let secret = source.read().map_err(TransportFault::Secret)?;
    String::from_utf8(secret.to_vec()).map_err(|_| TransportFault::Secret(EXPECTED))
}

fn credentials(path: &Path, options: ConnectOptions) -> Result<ConnectOptions, TransportFault> {
    let fault = |found: String| TransportFault::Credentials { path: path.into(), found: found.into() };
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| fault(format!("that it cannot be read ({})", error.kind())))?;
    options.credentials(&text).map_err(|_| fault("something else".to_owned()))
}

/// A server without the user, which would be shown in the log of the client.
fn address(url: &Uri) -> Option<ServerAddr> {
    let (scheme, host) = (url.scheme_str()?, url.host()?);
    ServerName::try_from(host.trim_matches(['[', ']'])).ok()?;
    format!("{scheme}://{host}:{}", url.port_u16().unwrap_or(NATS_PORT)).parse().ok()
}

fn patience(timeout: Duration, servers: usize) -> Duration {
    timeout / u32::try_from(servers).unwrap_or(u32::MAX).max(1)
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
