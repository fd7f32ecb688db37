//! Delivers by an HTTP POST of the raw body.
//!
//! A 2xx whose body arrives whole is a success; of a long body the first 64 KiB are enough. Everything else is a failure, redirects
//! included: if the app has moved, change the configuration.

use super::attempt::Attempt;
use super::contract::{Transport, TransportFuture};
use super::outgoing::Outgoing;
use super::report::Report;
use super::unanswered::describe;
use crate::config::{HttpTransport, SecretFault};
use crate::text::show_duration;
use crate::time::Moment;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method};
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response, Url};
use std::sync::OnceLock;
use std::time::Duration;

/// How much of an answer is read, in bytes.
const MOST_OF_AN_ANSWER: u64 = 64 * 1024;

/// One HTTP destination, with its connections.
pub(super) struct Http {
    url: Option<Url>,
    passes_query: bool,
    outgoing: Outgoing,
    timeout: Duration,
    concurrency: usize,
    client: OnceLock<Client>,
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
        let url = Url::parse(&config.url.to_string()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let outgoing = Outgoing::new(config)?;
        let http = Self { url, passes_query: config.query, outgoing, timeout, concurrency, client: OnceLock::new() };
        // If something is missing now, it may be there at an attempt; that attempt reports what is missing.
        let _ = http.ready();
        Ok(http)
    }

    /// The URL and the client, which is made at the first call.
    fn ready(&self) -> Result<(&Url, &Client), &'static str> {
        let url =
            self.url.as_ref().ok_or("expected an address with http:// or https:// in front, found another one")?;
        if let Some(client) = self.client.get() {
            return Ok((url, client));
        }
        // The provider that the program has installed is used; an error means that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(self.timeout)
            .pool_max_idle_per_host(self.concurrency);
        // Plain HTTP needs no root certificates, and a system may have none.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build().map_err(|_| "TLS failed: the system has no root certificates")?;
        Ok((url, self.client.get_or_init(|| client)))
    }

    fn request(&self, url: &Url, attempt: &Attempt) -> Request {
        let mut request = Request::new(Method::POST, self.target(url, attempt));
        *request.headers_mut() = self.outgoing.headers(attempt);
        *request.body_mut() = Some(attempt.body.clone().into());
        request
    }

    /// The configured URL, with the original query behind its own where the query is passed on.
    fn target(&self, url: &Url, attempt: &Attempt) -> Url {
        let mut url = url.clone();
        if let Some(original) = attempt.query.as_deref().filter(|query| self.passes_query && !query.is_empty()) {
            let both = url.query().filter(|own| !own.is_empty()).map(|own| format!("{own}&{original}"));
            url.set_query(Some(both.as_deref().unwrap_or(original)));
        }
        url
    }

    /// Sends, and reads the answer. Once the answer's head is there, `answered` has it, for a time-out during the body.
    async fn exchange(&self, attempt: &Attempt, answered: &mut Option<Answered>) -> Report {
        let (url, client) = match self.ready() {
            Ok(ready) => ready,
            Err(missing) => return Report::failed(None, missing),
        };
        let response = match client.execute(self.request(url, attempt)).await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return self.no_answer(),
            Err(error) => return Report::failed(None, describe(&error)),
        };
        let status = response.status();
        let retry_after = retry_after(response.headers(), attempt.started_at);
        let answer = *answered.insert(Answered { status: status.as_u16(), retry_after });
        if status.is_redirection() {
            return answer.failed(", which is not followed");
        }
        if !status.is_success() {
            return answer.failed("");
        }
        match read_whole(response).await {
            Ok(()) => Report::delivered(Some(answer.status.into()), format!("answered {}", answer.status)),
            Err(broken_off) => Report { detail: broken_off.into(), ..answer.failed("") },
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
        let detail = format!("answered {}{addition}", self.status);
        Report { retry_after: self.retry_after, ..Report::failed(Some(self.status.into()), detail) }
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

/// Reads the answer's body to its end, or to the limit, and keeps nothing of it.
async fn read_whole(mut response: Response) -> Result<(), String> {
    let declared = response.content_length();
    let mut read = 0;
    while read < MOST_OF_AN_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len() as u64,
            Ok(None) => return Ok(()),
            Err(_) => {
                let of = declared.map(|declared| format!(" of {declared}")).unwrap_or_default();
                return Err(format!("the answer broke off after {read}{of} bytes"));
            }
        }
    }
    Ok(())
}
