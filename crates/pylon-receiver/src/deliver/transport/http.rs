//! Delivers by an HTTP POST of the raw body.
//!
//! # What goes out
//! The headers with which the event came in, but for those that concern one connection only, and `x-receiver-*`, which a sender could
//! forge. Then, in this order, each replacing what is there under the same name:
//!
//! | header | value |
//! | --- | --- |
//! | `X-Receiver-Event-Id` | the event's id, the same on every attempt and every delivery: what an app deduplicates by |
//! | `X-Receiver-Attempt` | which attempt this is, from 1 |
//! | `X-Receiver-Endpoint` | the endpoint at which it came in |
//! | `X-Receiver-Kind` | the event's kind |
//! | `X-Receiver-Redelivery-Of` | the id of the delivery that this one repeats, when an operator asked for that |
//! | the configured ones | whatever they are |
//! | the signature's | as configured |
//!
//! Kind and endpoint are left out where they are empty, longer than 256 bytes, or anything but visible ASCII with spaces in between: the
//! kind is a text from the body, and no header can say it faithfully then. Where no `accept` came in, `*/*` is added.
//!
//! # What counts
//! A 2xx whose body arrives whole is a success; of a long body the first 64 KiB are enough. All else is a failure, redirects
//! included: whoever moved the app has to say so in the configuration.

use super::attempt::{Attempt, Report, Transport, TransportFuture};
use super::refusal::describe;
use super::signing::Signer;
use crate::config::{HttpTransport, SecretFault, SecretSource};
use crate::headers::{OWN_PREFIX, is_hop_by_hop, is_named_by_connection};
use crate::id::DeliveryId;
use crate::text::show_duration;
use crate::time::Moment;
use http::header::{CONTENT_LENGTH, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use std::sync::OnceLock;
use std::time::Duration;

const EVENT_ID: HeaderName = HeaderName::from_static("x-receiver-event-id");
const ATTEMPT: HeaderName = HeaderName::from_static("x-receiver-attempt");
const ENDPOINT: HeaderName = HeaderName::from_static("x-receiver-endpoint");
const KIND: HeaderName = HeaderName::from_static("x-receiver-kind");
const REDELIVERY_OF: HeaderName = HeaderName::from_static("x-receiver-redelivery-of");

/// How much of an answer is read, in bytes.
const MOST_OF_AN_ANSWER: u64 = 64 * 1024;
/// The longest text that goes into a header, in bytes.
const LONGEST_TEXT: usize = 256;

/// One HTTP destination, with its connections.
pub(super) struct Http {
    url: Option<Url>,
    /// Whether the query of the original request goes along.
    passes_query: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    signer: Signer,
    timeout: Duration,
    concurrency: usize,
    client: OnceLock<Client>,
}

impl Http {
    /// Reads the secrets. Of the configured headers, those of one connection are not sent, but `host` is.
    pub(super) fn new(config: &HttpTransport, timeout: Duration, concurrency: usize) -> Result<Self, SecretFault> {
        let sent = config.headers.iter().filter(|(name, _)| !is_of_one_message(name) || name == HOST);
        let headers = sent.map(|(name, source)| Ok((name.clone(), secret_value(source)?)));
        let headers = headers.collect::<Result<_, _>>()?;
        let url = Url::parse(&config.url.to_string()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let signer = Signer::new(&config.signing)?;
        let passes_query = config.query;
        let http = Self { url, passes_query, headers, signer, timeout, concurrency, client: OnceLock::new() };
        // What is not there now may be there at an attempt, which then says what is missing.
        let _ = http.ready();
        Ok(http)
    }

    /// The address, and the client, made unless it is there.
    fn ready(&self) -> Result<(&Url, &Client), &'static str> {
        let url =
            self.url.as_ref().ok_or("expected an address with http:// or https:// in front, found another one")?;
        if let Some(client) = self.client.get() {
            return Ok((url, client));
        }
        // Whichever provider the program has installed is taken; an error says that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(self.timeout)
            .pool_max_idle_per_host(self.concurrency);
        // Where no TLS is spoken, a system without root certificates will do.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build().map_err(|_| "TLS failed: the system has no root certificates")?;
        Ok((url, self.client.get_or_init(|| client)))
    }

    /// The destination's URL, its own query in front of that of the original request.
    fn url_for(&self, url: &Url, attempt: &Attempt) -> Url {
        let mut url = url.clone();
        if let (true, Some(query)) = (self.passes_query, &attempt.query) {
            let joined = url.query().map_or_else(|| query.to_string(), |own| format!("{own}&{query}"));
            url.set_query(Some(&joined));
        }
        url
    }

    fn headers_for(&self, attempt: &Attempt) -> HeaderMap {
        let mut headers = attempt.headers.to_map();
        remove_what_does_not_travel(&mut headers);
        headers.insert(EVENT_ID, plain(&attempt.event().to_string()).expect("an id is plain ASCII"));
        headers.insert(ATTEMPT, attempt.number.into());
        let repeated = attempt.redelivery_of.map(|number| DeliveryId { number, ..attempt.delivery }.to_string());
        let texts = [
            (ENDPOINT, Some(&*attempt.endpoint)),
            (KIND, Some(attempt.kind_or_name())),
            (REDELIVERY_OF, repeated.as_deref()),
        ];
        for (name, text) in texts {
            if let Some(value) = text.and_then(plain) {
                headers.insert(name, value);
            }
        }
        for (name, _) in &self.headers {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        self.signer.sign(&mut headers, attempt);
        // Without it nothing says of an empty body that there is one, and there are servers that answer 411 then.
        headers.insert(CONTENT_LENGTH, attempt.body.len().into());
        headers
    }

    /// Sends, and reads the answer; what is to be reported should the time be up meanwhile is left in `answered`.
    async fn exchange(&self, attempt: &Attempt, answered: &mut Option<Report>) -> Report {
        let (url, client) = match self.ready() {
            Ok(ready) => ready,
            Err(missing) => return Report::failed(None, missing),
        };
        let request =
            client.post(self.url_for(url, attempt)).headers(self.headers_for(attempt)).body(attempt.body.clone());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return self.no_answer(),
            Err(error) => return Report::failed(None, describe(&error)),
        };
        let status = response.status();
        let retry_after = retry_after(response.headers(), attempt.started_at);
        let code = Some(i32::from(status.as_u16()));
        let failed = |detail: String| Report { retry_after, ..Report::failed(code, detail) };
        let within = show_duration(self.timeout);
        *answered = Some(failed(format!("answered {}, but not to the end within {within}", status.as_u16())));
        if status.is_redirection() {
            return failed(format!("answered {}, which is not followed", status.as_u16()));
        }
        if !status.is_success() {
            return failed(format!("answered {}", status.as_u16()));
        }
        match read_whole(response).await {
            Ok(()) => Report::delivered(code, format!("answered {}", status.as_u16())),
            Err(broken_off) => failed(broken_off),
        }
    }

    fn no_answer(&self) -> Report {
        Report::failed(None, format!("no answer within {}", show_duration(self.timeout)))
    }
}

impl Transport for Http {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let mut answered = None;
            let in_time = tokio::time::timeout(self.timeout, self.exchange(attempt, &mut answered)).await;
            in_time.unwrap_or_else(|_| answered.unwrap_or_else(|| self.no_answer()))
        })
    }
}

/// A value that is shown nowhere.
fn secret_value(source: &SecretSource) -> Result<HeaderValue, SecretFault> {
    let mut value = HeaderValue::from_bytes(&source.read()?)
        .map_err(|_| SecretFault::Malformed("the value of a header, without line ends and other control characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether the client makes the header anew for each connection or message.
fn is_of_one_message(name: &HeaderName) -> bool {
    is_hop_by_hop(name) || name == HOST || name == CONTENT_LENGTH
}

fn remove_what_does_not_travel(headers: &mut HeaderMap) {
    let leaves = |name: &&HeaderName| {
        is_of_one_message(name) || is_named_by_connection(headers, name) || name.as_str().starts_with(OWN_PREFIX)
    };
    let leaving: Vec<HeaderName> = headers.keys().filter(leaves).cloned().collect();
    for name in leaving {
        headers.remove(name);
    }
}

/// The text as a header's value, where it arrives as it is.
fn plain(text: &str) -> Option<HeaderValue> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim().len() == text.len();
    if text.is_empty() || text.len() > LONGEST_TEXT || !is_plain {
        return None;
    }
    HeaderValue::from_str(text).ok()
}

/// How long to wait: a number of seconds, or the time until a date.
fn retry_after(headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than fit are for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Moment::from_unix_milliseconds(date.as_millisecond()).since(now))
}

/// Reads the answer's body to its end, or as far as counts, and keeps nothing of it.
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
