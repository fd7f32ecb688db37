//! Answers webhook requests.

use super::allowance::{Allowance, Allowances};
use super::body::{self, Reading};
use super::client::Client;
use super::endpoint::Endpoint;
use super::event_rate::EventRate;
use super::memory::Memory;
use super::noted::{Noted, shown};
use super::passed;
use super::refusal::{WebhookRefusal, json};
use super::settings::{Prepared, Settings};
use super::sockets::shared_by;
use super::stored::{self, ReadAs};
use super::to_the_end::ToTheEnd;
use crate::activity::{LastAccepted, LastRefused, Recorder};
use crate::config::Config;
use crate::headers::PASSED;
use crate::id::EventId;
use crate::ledger::{Ledger, NewEvent, NewRefused, Recorded};
use crate::metrics::Metrics;
use crate::random::Randomness;
use crate::time::WallClock;
use crate::traces;
use crate::wire::EndpointActivity;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::Full;
use pylon_webhooks::Received;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use tracing::Span;

/// How much of a refused request's body is kept, in bytes.
const REFUSED_BODY: usize = 4096;
/// How much of an event's name is kept, in bytes.
const LONGEST_NAME: usize = 256;
/// The longest query that is kept, in bytes. Part of a query may mean something else, so a longer one is dropped.
const LONGEST_QUERY: usize = 4096;
/// Refusals that are logged and kept, of each reason at each endpoint, a second; further ones are counted.
const REFUSALS_LOGGED: f64 = 25.0;
/// The same at all other paths.
const ELSEWHERE_LOGGED: f64 = 10.0;

/// What an [`Acceptor`] works with.
#[derive(Clone)]
pub struct AcceptorParts {
    /// Where events are kept.
    pub ledger: Arc<dyn Ledger>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What operators see of the last requests.
    pub recorder: Arc<Recorder>,
    /// The present time, for the freshness of timestamps and for the ids of events.
    pub clock: Arc<dyn WallClock>,
    /// The random part of the ids of events.
    pub randomness: Arc<dyn Randomness>,
}

impl fmt::Debug for AcceptorParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptorParts")
    }
}

/// Answers webhook requests. An authentic event is on the disk before its request is answered 200; every other request is refused.
///
/// A request is checked in this order: its path, its client's address, its method, its declared length, its body's length and time, the
/// required header, the signature and its freshness, the receivers that it has passed, the endpoint's rate; then, in the ledger, whether
/// it has been here before and whether it is a duplicate. The rate counts what is stored as new, so forged requests and duplicates use up
/// nothing of it. An authentic body that is not JSON is kept and parked. An endpoint whose secret cannot be read answers 503.
///
/// If the sender hangs up during the commit, the event is kept all the same.
pub struct Acceptor {
    shared: Arc<Shared>,
    settings: RwLock<Arc<Settings>>,
}

struct Shared {
    parts: AcceptorParts,
    /// What all bodies share.
    memory: Memory,
    /// The endpoint's name at a path without an endpoint.
    nowhere: Arc<str>,
    /// How many refusals at endpoints are logged and kept.
    refusals: Allowances,
    /// How many at other paths: scanners ask for many.
    elsewhere: Allowance,
}

/// A refused request, with what was read of its body.
struct Refused {
    refusal: WebhookRefusal,
    body: Bytes,
}

impl From<WebhookRefusal> for Refused {
    fn from(refusal: WebhookRefusal) -> Self {
        Self { refusal, body: Bytes::new() }
    }
}

impl Acceptor {
    /// An acceptor for the configured endpoints and destinations. It reads the endpoints' secrets; missing secrets go to the log and
    /// to [`unmet`](Self::unmet).
    pub fn new(config: &Config, parts: AcceptorParts) -> Self {
        let elsewhere = Allowance::new(ELSEWHERE_LOGGED, Instant::now());
        let memory = Memory::new(config.limits.body_memory);
        let refusals = Allowances::new(REFUSALS_LOGGED);
        let shared = Shared { parts, memory, nowhere: "".into(), refusals, elsewhere };
        let settings = Settings::new(config);
        settings.expect(&shared.parts.metrics);
        settings.warn_of_missing_secrets();
        Self { shared: Arc::new(shared), settings: RwLock::new(Arc::new(settings)) }
    }

    /// Reads the secrets of another configuration, to install it later.
    pub fn prepare(config: &Config) -> Prepared {
        Prepared(Arc::new(Settings::new(config)))
    }

    /// Uses a prepared configuration from now on. Rates begin anew; requests under way keep what they began with. The limits of
    /// connections belong to the [`Listener`](super::Listener) and stay.
    pub fn install(&self, Prepared(settings): Prepared) {
        settings.expect(&self.shared.parts.metrics);
        settings.warn_of_missing_secrets();
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// The missing secrets, a sentence each.
    pub fn unmet(&self) -> Vec<String> {
        self.settings().unmet()
    }

    /// The endpoints, by name: how they authenticate, and whether they can.
    pub fn endpoints(&self) -> Vec<EndpointActivity> {
        self.settings().endpoints().map(|endpoint| endpoint.shown(&self.shared.parts.recorder)).collect()
    }

    /// Answers one request from this address.
    pub async fn answer<B: Body>(&self, request: Request<B>, remote: SocketAddr) -> Response<Full<Bytes>> {
        let settings = self.settings();
        let span = traces::webhook();
        let (head, body) = request.into_parts();
        let endpoint = settings.by_path.get(head.uri.path());
        let client = Client::of(remote, &head.headers, &settings.trusted_proxies);
        let accepted = match endpoint {
            Some(endpoint) if !endpoint.is_source(client.address) => {
                Err(WebhookRefusal::forbidden_source(client.is_behind_unknown_proxy(&head.headers)).into())
            }
            Some(endpoint) => self.accept(endpoint, &settings, &head, body, shared_by(remote), &span).await,
            None => Err(WebhookRefusal::unknown_path().into()),
        };
        let response = match accepted {
            Ok(response) => response,
            Err(refused) => self.refuse(&settings, endpoint, &head, refused, client, &span),
        };
        if head.method == Method::HEAD { response.map(|_| Full::default()) } else { response }
    }

    async fn accept<B: Body>(
        &self,
        endpoint: &Endpoint,
        settings: &Settings,
        head: &Parts,
        body: B,
        address: Option<IpAddr>,
        span: &Span,
    ) -> Result<Response<Full<Bytes>>, Refused> {
        let admitted = endpoint.admission.admit(head.method.as_str(), &head.headers).map_err(WebhookRefusal::from)?;
        let Reading { bytes, end } =
            body::read(body, admitted, settings.body_timeout, &self.shared.memory, address).await;
        let refused = |refusal| Refused { refusal, body: bytes.clone() };
        let received = end.map_err(|fault| refused(fault.into()))?;
        let event = self.event(endpoint, settings, head, received).map_err(refused)?;
        self.record(endpoint.name.clone(), endpoint.rate.clone(), event, span.clone()).await.map_err(refused)
    }

    /// The event of a request that is authentic.
    fn event(
        &self,
        endpoint: &Endpoint,
        settings: &Settings,
        head: &Parts,
        received: Received<'static>,
    ) -> Result<NewEvent, WebhookRefusal> {
        let Shared { parts: AcceptorParts { clock, randomness, .. }, .. } = &*self.shared;
        let now = clock.now();
        let body = endpoint.authenticate(&head.headers, received, now)?;
        let passed = passed::of(&head.headers)?;
        endpoint.rate.as_ref().map_or(Ok(()), |rate| rate.check(Instant::now()))?;
        let read = endpoint.reader.read(body.clone());
        let mut random = [0; 10];
        randomness.fill(&mut random);
        let deduplication = endpoint.deduplication.as_ref().and_then(|rule| rule.key(&body, read.as_ref().ok()));
        let (name, kind, parked, deliveries) = match &read {
            Ok(event) => {
                let kind = event.kind().map(|kind| kind.name().into());
                let deliveries = endpoint.routes.iter().filter_map(|route| route.delivery(event)).collect();
                (beginning(event.event_type(), LONGEST_NAME).into(), kind, None, deliveries)
            }
            Err(error) => ("".into(), None, Some(error.fault().to_string().into()), Vec::new()),
        };
        let read_as = if read.is_ok() { ReadAs::Json } else { ReadAs::Bytes };
        let (headers, dropped) = stored::of_event(&head.headers, read_as, |header| settings.is_required(header));
        if dropped > 0 {
            let endpoint = &endpoint.name;
            tracing::warn!(%endpoint, dropped, "headers of a webhook are too many or too long: some were not kept");
        }
        let headers = match passed::header(&passed) {
            Some(value) => headers.with(&PASSED, &value),
            None => headers,
        };
        Ok(NewEvent {
            id: EventId::new(now, random),
            endpoint: endpoint.name.clone(),
            name,
            kind,
            method: head.method.as_str().into(),
            target: head.uri.path().into(),
            query: kept_query(&head.uri, &endpoint.name),
            headers,
            passed,
            body,
            parked,
            deduplication,
            deliveries,
        })
    }

    /// Keeps an event and makes the answer, even if nobody waits for it any more.
    async fn record(
        &self,
        endpoint: Arc<str>,
        rate: Option<Arc<EventRate>>,
        event: NewEvent,
        span: Span,
    ) -> Result<Response<Full<Bytes>>, WebhookRefusal> {
        let shared = self.shared.clone();
        ToTheEnd::new(async move {
            let Shared { parts: AcceptorParts { ledger, metrics, recorder, clock, .. }, .. } = &*shared;
            let id = event.id;
            let kind = event.kind.as_deref().map(str::to_owned);
            let noted = Noted::of(&event);
            let kept = ledger.record(event).await.map_err(|error| WebhookRefusal::not_kept(&error))?;
            let (status, kept_id) = match kept {
                Recorded::Stored => {
                    rate.iter().for_each(|rate| rate.count());
                    metrics.accepted(&endpoint);
                    noted.accepted(id, &endpoint);
                    ("accepted", id)
                }
                Recorded::Duplicate(earlier) => {
                    metrics.duplicate(&endpoint);
                    noted.duplicate(earlier, &endpoint);
                    ("duplicate", earlier)
                }
                Recorded::Looped(earlier) => return Err(WebhookRefusal::looped(earlier)),
            };
            let duplicate = matches!(kept, Recorded::Duplicate(_));
            recorder.accepted(&endpoint, LastAccepted { at: clock.now(), event: kept_id, kind, duplicate });
            if !span.is_disabled() {
                span.record("endpoint", &*endpoint)
                    .record("outcome", status)
                    .record("event_id", tracing::field::display(kept_id));
            }
            let body = format!(r#"{{"status":"{status}","id":"{kept_id}"}}"#);
            Ok(json(StatusCode::OK, body.into()))
        })
        .await
    }

    /// Logs a refusal, keeps it for the operator, and makes the answer.
    fn refuse(
        &self,
        settings: &Settings,
        endpoint: Option<&Endpoint>,
        head: &Parts,
        Refused { refusal, body }: Refused,
        client: Client,
        span: &Span,
    ) -> Response<Full<Bytes>> {
        let AcceptorParts { ledger, metrics, recorder, clock, .. } = &self.shared.parts;
        let WebhookRefusal { code, reason, .. } = &refusal;
        let name = endpoint.map_or(&self.shared.nowhere, |endpoint| &endpoint.name);
        let path = head.uri.path();
        metrics.refused(name, code);
        let now = Instant::now();
        let allowed = match endpoint {
            Some(_) => self.shared.refusals.take(name, code, now),
            None => self.shared.elsewhere.take(now),
        };
        let Some(not_logged) = allowed else {
            return refusal.response();
        };
        span.record("endpoint", &**name).record("outcome", "refused").record("code", code);
        tracing::warn!(endpoint = %name, code, reason = %reason, path = ?shown(path), remote = %client, not_logged, "a request was refused");
        let at = clock.now();
        // As few as are logged: a flood costs nothing here.
        let (code_text, reason_text) = ((*code).to_owned(), reason.as_ref().to_owned());
        recorder
            .refused(endpoint.map(|endpoint| &endpoint.name), LastRefused { at, code: code_text, reason: reason_text });
        ledger.keep_refused(NewRefused {
            at,
            endpoint: endpoint.map(|endpoint| endpoint.name.clone()),
            code,
            reason: reason.as_ref().into(),
            status: refusal.status(),
            method: shown(head.method.as_str()).into(),
            path: shown(path).into(),
            remote: client.to_string().into(),
            headers: stored::of_refused(&head.headers, |header| settings.is_required(header)),
            // A copy, because a slice would keep the whole body in memory.
            body: Bytes::copy_from_slice(&body[..body.len().min(REFUSED_BODY)]),
            body_length: body.len() as u64,
        });
        refusal.response()
    }

    fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("endpoints", &self.settings().by_path).finish_non_exhaustive()
    }
}

/// The query, unless it is too long.
fn kept_query(uri: &Uri, endpoint: &str) -> Option<Box<str>> {
    let query = uri.query()?;
    if query.len() > LONGEST_QUERY {
        let (bytes, most) = (query.len(), LONGEST_QUERY);
        tracing::warn!(endpoint, bytes, most, "the query of a webhook is too long and was not kept");
        return None;
    }
    Some(query.into())
}

/// The beginning of a text, with this many bytes at most.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}
