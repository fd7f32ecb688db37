//! Delivers by an HTTP POST of the raw body.
//!
//! A 2xx whose body arrives whole is a success; of a long body the first 64 KiB are enough. Everything else is a failure, redirects
//! included: if the app has moved, change the configuration.

use super::attempt::Attempt;
use super::connection::Connection;
use super::connections::Connections;
use super::contract::{Transport, TransportFuture};
use super::outgoing::Outgoing;
use super::report::Report;
use super::shortage::Shortage;
use super::unanswered;
use crate::config::{HttpTransport, SecretFault};
use crate::text::show_duration;
use crate::time::Moment;
use futures_util::FutureExt;
use http::header::{ACCEPT, HOST, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use jiff::fmt::rfc2822::DateTimeParser;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Duration;

/// How much of an answer is read, in bytes.
const MOST_OF_AN_ANSWER: u64 = 64 * 1024;

/// One HTTP destination, with its connections.
pub(super) struct Http {
    url: Uri,
    /// The `Host` header.
    host: HeaderValue,
    target: PathAndQuery,
    passes_query: bool,
    outgoing: Outgoing,
    timeout: Duration,
    concurrency: usize,
    connections: OnceLock<Connections>,
}

/// The head of an answer.
#[derive(Clone, Copy)]
struct Answered {
    status: u16,
    retry_after: Option<Duration>,
}

impl Http {
    /// Reads the secrets.
    pub(super) fn new(config: &HttpTransport, timeout: Duration, concurrency: usize) -> Result<Self, SecretFault> {
        let http = Self {
            url: config.url.clone(),
            host: host(&config.url),
            target: config.url.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
            passes_query: config.query,
            outgoing: Outgoing::new(config)?,
            timeout,
            concurrency,
            connections: OnceLock::new(),
        };
        // If something is missing now, it may be there at an attempt; that attempt reports what is missing.
        let _ = http.connections();
        Ok(http)
    }

    /// The connections, made ready at the first call.
    fn connections(&self) -> Result<&Connections, &'static str> {
        match self.connections.get() {
            Some(connections) => Ok(connections),
            None => {
                let connections = Connections::new(&self.url, self.concurrency)?;
                Ok(self.connections.get_or_init(|| connections))
            }
        }
    }

    fn request(&self, attempt: &Attempt) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(attempt.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target(attempt).into();
        let mut headers = self.outgoing.headers(attempt);
        headers.entry(HOST).or_insert_with(|| self.host.clone());
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        *request.headers_mut() = headers;
        request
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
    async fn exchange(&self, attempt: &Attempt, answered: &mut Option<Answered>) -> Report {
        let connections = match self.connections() {
            Ok(connections) => connections,
            Err(missing) => return Shortage::now().map_or_else(|| Report::failed(None, missing), Report::not_tried),
        };
        let (mut connection, response) = match connections.send(self.request(attempt)).await {
            Ok(answer) => answer,
            Err(fault) => return unanswered::report(&fault),
        };
        let status = response.status();
        let retry_after = retry_after(response.headers(), attempt.started_at);
        let answer = *answered.insert(Answered { status: status.as_u16(), retry_after });
        if !status.is_success() {
            // The answer is known; the connection is used again if the rest of it is there already.
            if let Some(Ok(End::Whole)) = read_whole(response, &mut connection).now_or_never() {
                connections.put(connection);
            }
            return answer.failed(if status.is_redirection() { ", which is not followed" } else { "" });
        }
        match read_whole(response, &mut connection).await {
            Ok(end) => {
                if end == End::Whole {
                    connections.put(connection);
                }
                Report::delivered(Some(answer.status.into()), format!("answered {}", answer.status))
            }
            Err(broken_off) => answer.reported(broken_off),
        }
    }

    fn no_answer(&self) -> Report {
        Report::failed(None, format!("no answer within {}", show_duration(self.timeout)))
    }

    fn late(&self, answered: Option<Answered>) -> Report {
        match answered {
            Some(answer) => answer.failed(&format!(", but not to the end within {}", show_duration(self.timeout))),
            None => self.no_answer(),
        }
    }
}

impl Answered {
    fn failed(self, addition: &str) -> Report {
        self.reported(format!("answered {}{addition}", self.status))
    }

    fn reported(self, detail: String) -> Report {
        let report = match self.status {
            429 => Report::busy,
            // From whatever stands in front of an app that is down, or is about to be up.
            502..=504 => Report::failed,
            _ => Report::refused,
        };
        Report { retry_after: self.retry_after, ..report(Some(self.status.into()), detail) }
    }
}

impl Transport for Http {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let mut answered = None;
            let in_time = tokio::time::timeout(self.timeout, self.exchange(attempt, &mut answered)).await;
            in_time.unwrap_or_else(|_| self.late(answered))
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
    Whole,
    Limit,
}

/// Reads the answer's body to its end, or to the limit, and keeps nothing of it.
async fn read_whole(response: Response<Incoming>, connection: &mut Connection) -> Result<End, String> {
    let mut body = response.into_body();
    let declared = body.size_hint().exact();
    let mut read = 0;
    while read < MOST_OF_AN_ANSWER {
        match connection.read(&mut body).await {
            Some(Ok(length)) => read += length as u64,
            None => return Ok(End::Whole),
            Some(Err(_)) => {
                let of = declared.map(|declared| format!(" of {declared}")).unwrap_or_default();
                return Err(format!("the answer broke off after {read}{of} bytes"));
            }
        }
    }
    Ok(End::Limit)
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
