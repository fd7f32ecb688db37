//! Delivers by an HTTP POST of the raw body.
//!
//! A 2xx is a success, whatever becomes of its body, unless the body ends before it is whole. Everything else is a failure, redirects
//! included: if the app has moved, change the configuration.

use super::attempt::Attempt;
use super::code::Code;
use super::connection::Connection;
use super::connections::{Connections, InUse};
use super::contract::{Transport, TransportFuture};
use super::fault::TransportFault;
use super::outgoing::Outgoing;
use super::proxy::Proxy;
use super::report::Report;
use super::route::{Route, Way};
use super::tls::Tls;
use super::unanswered::{refused_by_proxy, report};
use crate::config::{DestinationConfig, HttpTransport};
use crate::ledger::AttemptAnswer;
use crate::text::show_duration;
use crate::time::Moment;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION, RETRY_AFTER, TRANSFER_ENCODING};
use http::uri::{Parts, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use jiff::fmt::rfc2822::DateTimeParser;
use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much of an answer is read, in bytes.
const MOST_OF_AN_ANSWER: u64 = 64 * 1024;
/// How long the answer to a failed attempt is waited for, once its head has come. An attempt must not take longer for it than need be.
const LONGEST_WAIT_FOR_AN_ANSWER: Duration = Duration::from_secs(1);
/// How long the end of a successful answer is waited for that declares no length: it may never come.
const LONGEST_WAIT_FOR_THE_END: Duration = Duration::from_secs(5);

/// One HTTP destination, with its connections.
pub(super) struct Http {
    url: Uri,
    /// The `Host` header.
    host: HeaderValue,
    target: PathAndQuery,
    passes_query: bool,
    outgoing: Outgoing,
    timeout: Duration,
    /// Whether the answers to failed attempts are read.
    keeps_answers: bool,
    /// Or what is missing, for the reports of all attempts.
    connections: Result<Connections, &'static str>,
}

/// What came of a request.
struct Exchanged {
    report: Report,
    /// An answer that is no success, of which only the head is read.
    unread: Option<(InUse, Response<Incoming>)>,
}

impl From<Report> for Exchanged {
    fn from(report: Report) -> Self {
        Self { report, unread: None }
    }
}

/// The head of an answer.
#[derive(Clone, Copy)]
struct Answered {
    status: StatusCode,
    retry_after: Option<Duration>,
    framing: Framing,
}

/// How an answer's body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// After this many bytes.
    Length(u64),
    /// With a last chunk.
    Chunks,
    /// With the connection.
    Connection,
}

impl Http {
    /// Reads the secrets and the files.
    pub(super) fn new(config: &HttpTransport, destination: &DestinationConfig) -> Result<Self, TransportFault> {
        let proxy = config.proxy.as_ref().map(Proxy::read).transpose().map_err(TransportFault::Secret)?;
        let tls = Tls::read(config.ca.as_deref(), config.client.as_ref()).map_err(TransportFault::Tls)?;
        let tls = tls.speaking(b"http/1.1");
        let route = Route::new(&config.url, Way::new(config, proxy), tls);
        Ok(Self {
            url: config.url.clone(),
            host: host(&config.url),
            target: config.url.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
            passes_query: config.query,
            outgoing: Outgoing::new(config).map_err(TransportFault::Secret)?,
            timeout: destination.timeout,
            keeps_answers: destination.keep_answer,
            connections: route.map(|route| Connections::new(route, destination.concurrency)),
        })
    }

    fn request(&self, attempt: &Attempt, forwarder: Option<&Proxy>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(attempt.body.clone()));
        *request.method_mut() = Method::POST;
        let mut headers = self.outgoing.headers(attempt);
        headers.entry(HOST).or_insert_with(|| self.host.clone());
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let target = self.target(attempt);
        *request.uri_mut() = match forwarder {
            None => target.into(),
            Some(proxy) => {
                if let Some(authorization) = &proxy.authorization {
                    headers.insert(PROXY_AUTHORIZATION, authorization.clone());
                }
                self.absolute(target)
            }
        };
        *request.headers_mut() = headers;
        request
    }

    /// The target as a proxy that forwards the request is asked for it.
    fn absolute(&self, target: PathAndQuery) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = self.url.scheme().cloned();
        parts.authority = self.url.authority().cloned();
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).expect("the parts of a URL, and a path, are a URL")
    }

    /// The configured path and query, with the original query behind its own where the query is passed on.
    fn target(&self, attempt: &Attempt) -> PathAndQuery {
        let original = attempt.query.as_deref().filter(|query| self.passes_query && !query.is_empty());
        let Some(original) = original else { return self.target.clone() };
        let own = self.target.query().filter(|own| !own.is_empty()).map(|own| format!("{own}&")).unwrap_or_default();
        let target = format!("{}?{own}{}", self.target.path(), encoded(original));
        PathAndQuery::try_from(target).unwrap_or_else(|_| self.target.clone())
    }

    /// Sends, and reads the answer. Once the answer's head is there, `answered` has it, for a time-out during the body.
    async fn exchange(&self, attempt: &Attempt, answered: &mut Option<Answered>) -> Exchanged {
        let connections = match &self.connections {
            Ok(connections) => connections,
            Err(missing) => return Report::failed(Code::MISSING, None, *missing).into(),
        };
        let forwarder = connections.route().forwarder();
        let (mut used, response) = match connections.send(|| self.request(attempt, forwarder)).await {
            Ok(answer) => answer,
            Err(fault) => {
                connections.give_up();
                return report(&fault).into();
            }
        };
        let answer = *answered.insert(Answered::new(&response, attempt.started_at));
        // The connection of a failed attempt is not used again: at its other end may be the one server of several that fails.
        if !answer.status.is_success() {
            if is_of_gateway(answer.status) {
                connections.give_up();
            }
            let report = match answer.status {
                StatusCode::PROXY_AUTHENTICATION_REQUIRED if forwarder.is_some() => {
                    Report::failed(Code::PROXY, None, refused_by_proxy(answer.status))
                }
                status if status.is_redirection() => answer.failed(", which is not followed"),
                _ => answer.failed(""),
            };
            return Exchanged { report, unread: Some((used, response)) };
        }
        match answer.read(response, &mut used.connection).await {
            Ok(end) => {
                if end == End::Whole {
                    connections.put(used);
                }
                answer.delivered().into()
            }
            Err(broken_off) => answer.reported(Code::CUT_OFF, broken_off).into(),
        }
    }

    /// The beginning of an answer that is no success, as far as it comes in time; none where nothing comes. The connection ends with it.
    async fn answer(&self, unread: (InUse, Response<Incoming>), deadline: Option<Instant>) -> Option<AttemptAnswer> {
        let (mut used, response) = unread;
        if !self.keeps_answers {
            return None;
        }
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let longest = Instant::now() + LONGEST_WAIT_FOR_AN_ANSWER;
        let deadline = deadline.map_or(longest, |deadline| deadline.min(longest));
        let (mut bytes, mut body) = (Vec::new(), response.into_body());
        let is_whole = loop {
            match timeout_at(deadline, used.connection.read(&mut body)).await {
                Ok(Some(Ok(piece))) => bytes.extend_from_slice(&piece[..piece.len().min(AttemptAnswer::MOST + 1)]),
                Ok(None) => break true,
                Ok(Some(Err(_))) | Err(_) => break false,
            }
            if bytes.len() > AttemptAnswer::MOST {
                break false;
            }
        };
        let content_type = content_type.as_ref().map(HeaderValue::as_bytes);
        (!bytes.is_empty()).then(|| AttemptAnswer::beginning(content_type, &bytes, !is_whole))
    }

    /// The time is over.
    fn late(&self, answered: Option<Answered>) -> Report {
        let limit = show_duration(self.timeout);
        match answered {
            Some(answer) if answer.status.is_success() && !matches!(answer.framing, Framing::Length(_)) => {
                answer.delivered()
            }
            Some(answer) => {
                let status = answer.status.as_u16();
                answer.reported(Code::TIMEOUT, format!("answered {status}, but not to the end within {limit}"))
            }
            None => {
                if let Ok(connections) = &self.connections {
                    connections.give_up();
                }
                Report::failed(Code::TIMEOUT, None, format!("no answer within {limit}"))
            }
        }
    }
}

impl Answered {
    fn new(response: &Response<Incoming>, now: Moment) -> Self {
        let headers = response.headers();
        Self { status: response.status(), retry_after: retry_after(headers, now), framing: Framing::of(response) }
    }

    fn delivered(self) -> Report {
        let status = self.status.as_u16();
        Report::delivered(Some(status.into()), format!("answered {status}"))
    }

    fn failed(self, addition: &str) -> Report {
        let status = self.status.as_u16();
        self.reported(Code::Http(status), format!("answered {status}{addition}"))
    }

    fn reported(self, code: Code, detail: String) -> Report {
        let report = match self.status {
            StatusCode::TOO_MANY_REQUESTS => Report::busy,
            status if is_of_gateway(status) => Report::failed,
            _ => Report::refused,
        };
        Report { retry_after: self.retry_after, ..report(code, Some(self.status.as_u16().into()), detail) }
    }

    /// Reads the answer's body to its end, or as far as it is worth it, and keeps nothing of it.
    ///
    /// # Errors
    /// The body ended before it was whole.
    async fn read(self, response: Response<Incoming>, connection: &mut Connection) -> Result<End, String> {
        let mut read = 0;
        let end = read_body(response.into_body(), connection, &mut read);
        let end = match self.framing {
            Framing::Length(_) => end.await,
            Framing::Chunks | Framing::Connection => {
                tokio::time::timeout(LONGEST_WAIT_FOR_THE_END, end).await.unwrap_or(Ok(End::Open))
            }
        };
        match (end, self.framing) {
            // Without a length, any end is the end.
            (_, Framing::Connection) => Ok(End::Open),
            (Ok(end), _) => Ok(end),
            (Err(error), Framing::Chunks) if is_malformed(&error) => Ok(End::Open),
            (Err(_), Framing::Chunks) => Err(format!("the answer broke off after {read} bytes")),
            (Err(_), Framing::Length(declared)) => {
                Err(format!("the answer broke off after {read} of {declared} bytes"))
            }
        }
    }
}

impl Framing {
    fn of(response: &Response<Incoming>) -> Self {
        let headers = response.headers();
        match response.body().size_hint().exact() {
            // A 204 may announce a body that it must not have; whatever follows is no answer to the next request.
            Some(0) if headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") => Self::Connection,
            Some(0) if headers.contains_key(TRANSFER_ENCODING) => Self::Connection,
            Some(length) => Self::Length(length),
            None if is_chunked(headers) => Self::Chunks,
            None => Self::Connection,
        }
    }
}

/// Whether chunked is the last transfer coding (RFC 9112, section 6.3).
fn is_chunked(headers: &HeaderMap) -> bool {
    let last = headers.get_all(TRANSFER_ENCODING).into_iter().next_back();
    let last = last.and_then(|codings| codings.as_bytes().rsplit(|&byte| byte == b',').next());
    last.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Whether the status is one that load balancers and proxies give when a server behind them is gone or busy.
fn is_of_gateway(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

impl Transport for Http {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let mut answered = None;
            let deadline = Instant::now().checked_add(self.timeout);
            match tokio::time::timeout(self.timeout, self.exchange(attempt, &mut answered)).await {
                Ok(Exchanged { report, unread: None }) => report,
                Ok(Exchanged { report, unread: Some(unread) }) => {
                    report.with_answer(self.answer(unread, deadline).await)
                }
                Err(_) => self.late(answered),
            }
        })
    }
}

/// How long to wait: a number of seconds, or the time until a date.
fn retry_after(headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit means for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Moment::from_unix_milliseconds(date.as_millisecond()).since(now))
}

/// How far an answer's body was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// To its end: the connection takes another request.
    Whole,
    /// Not to its end.
    Open,
}

async fn read_body(mut body: Incoming, connection: &mut Connection, read: &mut u64) -> Result<End, hyper::Error> {
    while *read < MOST_OF_AN_ANSWER {
        match connection.read(&mut body).await {
            Some(piece) => *read += piece?.len() as u64,
            None => return Ok(End::Whole),
        }
    }
    Ok(End::Open)
}

/// Whether chunks of a body have no valid form.
fn is_malformed(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData))
}

/// The query as a request line can hold it: unchanged if it came from one.
fn encoded(query: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>');
    if query.bytes().all(is_plain) {
        return query.into();
    }
    let mut encoded = String::with_capacity(3 * query.len());
    for byte in query.bytes().filter(|byte| !matches!(byte, b'\t' | b'\r' | b'\n')) {
        match is_plain(byte) {
            true => encoded.push(byte.into()),
            // Writing to a `String` never fails.
            false => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded.into()
}

/// The host and the port, unless that is the scheme's own.
fn host(url: &Uri) -> HeaderValue {
    let host = url.host().unwrap_or_default();
    let default = if url.scheme_str() == Some("https") { 443 } else { 80 };
    let port = url.port_u16().filter(|&port| port != default).map(|port| format!(":{port}")).unwrap_or_default();
    HeaderValue::try_from(format!("{host}{port}")).unwrap_or(HeaderValue::from_static(""))
}
