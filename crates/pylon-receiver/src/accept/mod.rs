//! From the socket to the ledger: limits, verification, commit, answer.

mod allowance;
mod body;
mod endpoint;
mod listener;
mod refusal;
mod route;
mod socket;
mod stored;
mod tls;
mod to_the_end;

pub use listener::{Listener, ListenerLimits, Stopped};
pub use tls::{TlsFault, TlsKeys};

use crate::config::Config;
use crate::id::EventId;
use crate::ledger::{Ledger, NewEvent, NewRefused, Recorded};
use crate::metrics::Metrics;
use crate::random::Randomness;
use crate::time::WallClock;
use crate::traces;
use allowance::Allowance;
use body::Reading;
use bytes::Bytes;
use endpoint::Endpoint;
use http::request::Parts;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use pylon_webhooks::Received;
use refusal::{Refusal, json};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use to_the_end::ToTheEnd;
use tracing::Span;

/// How much of a refused request's body is kept, in bytes.
const REFUSED_BODY: usize = 4096;
/// How much of a sender's own words is told: in a line of the log, or of a path; in characters.
const SHOWN: usize = 200;
/// How much of an event's name is kept, in bytes.
const NAME: usize = 256;
/// Refusals at endpoints that are told and kept, a second; further ones are counted.
const REFUSALS_TOLD: f64 = 100.0;
/// The same at other paths.
const ELSEWHERE_TOLD: f64 = 10.0;

/// What an [`Acceptor`] works with.
#[derive(Clone)]
pub struct AcceptorParts {
    /// Where events are kept.
    pub ledger: Arc<dyn Ledger>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The present time; a timestamp's freshness and an event's name go by it.
    pub clock: Arc<dyn WallClock>,
    /// Where the random part of an event's name comes from.
    pub randomness: Arc<dyn Randomness>,
}

impl fmt::Debug for AcceptorParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptorParts")
    }
}

/// Answers webhook requests: what is authentic is on the disk before it is answered 200, and everything else is refused.
///
/// A request is held to, in this order: its path, its method, the endpoint's rate, its declared length, its body's length and
/// time, the required header, the signature and its freshness. An authentic body that is not JSON is kept and parked.
/// Where a secret cannot be read, its endpoint answers 503 until it can.
///
/// What is being committed when the sender hangs up is committed all the same.
pub struct Acceptor {
    shared: Arc<Shared>,
    settings: RwLock<Arc<Settings>>,
}

struct Shared {
    parts: AcceptorParts,
    /// The endpoint's name where there is none.
    nowhere: Arc<str>,
    /// How many refusals at endpoints are told and kept.
    refusals: Allowance,
    /// How many at other paths: whoever looks for holes asks for many.
    elsewhere: Allowance,
}

/// What a configuration says, ready for work.
struct Settings {
    by_path: HashMap<String, Endpoint>,
    required: Vec<HeaderName>,
    body_timeout: Duration,
}

/// A configuration that an [`Acceptor`] does not go by yet.
pub struct Prepared(Arc<Settings>);

impl Prepared {
    /// The secrets that are missing, a sentence each.
    pub fn unmet(&self) -> Vec<String> {
        self.0.unmet()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("endpoints", &self.0.by_path).finish_non_exhaustive()
    }
}

/// A request that was refused, with what was read of its body.
struct Refused {
    refusal: Refusal,
    body: Bytes,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, body: Bytes::new() }
    }
}

impl Acceptor {
    /// An acceptor for the configured endpoints and destinations. Reads the endpoints' secrets; where some are missing, the log
    /// says so, and so does [`unmet`](Self::unmet).
    pub fn new(config: &Config, parts: AcceptorParts) -> Self {
        let now = Instant::now();
        let (refusals, elsewhere) = (Allowance::new(REFUSALS_TOLD, now), Allowance::new(ELSEWHERE_TOLD, now));
        let shared = Shared { parts, nowhere: "".into(), refusals, elsewhere };
        let settings = Settings::new(config);
        settings.tell_what_is_missing();
        Self { shared: Arc::new(shared), settings: RwLock::new(Arc::new(settings)) }
    }

    /// Goes by another configuration from now on, its secrets read anew and its rates begun anew; requests under way keep what they
    /// began with. What bounds connections is the [`Listener`]'s, and stays.
    pub fn replace(&self, config: &Config) {
        self.install(Self::prepare(config));
    }

    /// Another configuration, its secrets read, to go by once it is installed.
    pub fn prepare(config: &Config) -> Prepared {
        Prepared(Arc::new(Settings::new(config)))
    }

    /// Goes by it from now on.
    pub fn install(&self, Prepared(settings): Prepared) {
        settings.tell_what_is_missing();
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// The secrets that are missing, a sentence each.
    pub fn unmet(&self) -> Vec<String> {
        self.settings().unmet()
    }

    /// Answers one request that came from this address.
    pub async fn answer<B: Body>(&self, request: Request<B>, remote: SocketAddr) -> Response<Full<Bytes>> {
        let settings = self.settings();
        let span = traces::webhook();
        let (head, body) = request.into_parts();
        let endpoint = settings.by_path.get(head.uri.path());
        let accepted = match endpoint {
            Some(endpoint) => self.accept(endpoint, &settings, &head, body, &span).await,
            None => Err(Refusal::unknown_path().into()),
        };
        let response = match accepted {
            Ok(response) => response,
            Err(refused) => self.refuse(&settings, endpoint, &head, refused, remote, &span),
        };
        if head.method == Method::HEAD { response.map(|_| Full::default()) } else { response }
    }

    async fn accept<B: Body>(
        &self,
        endpoint: &Endpoint,
        settings: &Settings,
        head: &Parts,
        body: B,
        span: &Span,
    ) -> Result<Response<Full<Bytes>>, Refused> {
        let admitted = endpoint.admission.admit(head.method.as_str(), &head.headers).map_err(Refusal::from)?;
        let Reading { bytes, end } = body::read(body, admitted, settings.body_timeout).await;
        let refused = |refusal| Refused { refusal, body: bytes.clone() };
        let received = end.map_err(|fault| refused(fault.into()))?;
        let event = self.event(endpoint, settings, head, received).map_err(refused)?;
        self.record(endpoint.name.clone(), event, span.clone()).await.map_err(refused)
    }

    /// What a request holds, once it is believed.
    fn event(
        &self,
        endpoint: &Endpoint,
        settings: &Settings,
        head: &Parts,
        received: Received<'static>,
    ) -> Result<NewEvent, Refusal> {
        let Shared { parts: AcceptorParts { clock, randomness, .. }, .. } = &*self.shared;
        let now = clock.now();
        let body = endpoint.authenticate(&head.headers, received, now)?;
        endpoint.count(Instant::now())?;
        let read = endpoint.reader.read(body.clone());
        let mut random = [0; 10];
        randomness.fill(&mut random);
        let deduplication = endpoint.deduplication_key(&body, read.as_ref().ok());
        let (name, kind, parked, deliveries) = match &read {
            Ok(event) => {
                let deliveries = endpoint.routes.iter().filter_map(|route| route.delivery(event)).collect();
                let kind = event.kind().map(|kind| kind.name().into());
                (beginning(event.event_type(), NAME).into(), kind, None, deliveries)
            }
            Err(error) => ("".into(), None, Some(error.fault().to_string().into()), Vec::new()),
        };
        Ok(NewEvent {
            id: EventId::new(now, random),
            endpoint: endpoint.name.clone(),
            name,
            kind,
            method: head.method.as_str().into(),
            target: head.uri.path().into(),
            query: head.uri.query().map(Into::into),
            headers: stored::of_event(&head.headers, |header| settings.is_required(header)),
            body,
            parked,
            deduplication,
            deliveries,
        })
    }

    /// Keeps an event and gives the answer, whether or not anybody still waits for it.
    async fn record(&self, endpoint: Arc<str>, event: NewEvent, span: Span) -> Result<Response<Full<Bytes>>, Refusal> {
        let shared = self.shared.clone();
        ToTheEnd::new(async move {
            let Shared { parts: AcceptorParts { ledger, metrics, .. }, .. } = &*shared;
            let id = event.id;
            let noted = Noted::of(&event);
            let kept = ledger.record(event).await.map_err(|error| Refusal::not_kept(&error))?;
            let (status, kept_id) = match kept {
                Recorded::Stored => {
                    metrics.accepted(&endpoint);
                    noted.accepted(id, &endpoint);
                    ("accepted", id)
                }
                Recorded::Duplicate(earlier) => {
                    metrics.duplicate(&endpoint);
                    noted.duplicate(earlier, &endpoint);
                    ("duplicate", earlier)
                }
            };
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

    /// Tells of a refusal, keeps it for the operator to see, and gives the answer.
    fn refuse(
        &self,
        settings: &Settings,
        endpoint: Option<&Endpoint>,
        head: &Parts,
        Refused { refusal, body }: Refused,
        remote: SocketAddr,
        span: &Span,
    ) -> Response<Full<Bytes>> {
        let AcceptorParts { ledger, metrics, clock, .. } = &self.shared.parts;
        let Refusal { code, reason, .. } = &refusal;
        let name = endpoint.map_or(&self.shared.nowhere, |endpoint| &endpoint.name);
        let path = head.uri.path();
        metrics.refused(name, code);
        let allowance = if endpoint.is_some() { &self.shared.refusals } else { &self.shared.elsewhere };
        let Some(not_told) = allowance.take(Instant::now()) else {
            return refusal.response();
        };
        span.record("endpoint", &**name).record("outcome", "refused").record("code", code);
        tracing::warn!(endpoint = %name, code, reason = %reason, path = ?shown(path), %remote, not_told, "a request was refused");
        ledger.keep_refused(NewRefused {
            at: clock.now(),
            endpoint: endpoint.map(|endpoint| endpoint.name.clone()),
            code,
            reason: reason.as_ref().into(),
            status: refusal.status(),
            method: shown(head.method.as_str()).into(),
            path: shown(path).into(),
            remote: remote.to_string().into(),
            headers: stored::of_refused(&head.headers, |header| settings.is_required(header)),
            // A copy: a slice would hold on to the whole body.
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

impl Settings {
    fn new(config: &Config) -> Self {
        let by_path: HashMap<_, _> =
            config.endpoints.iter().map(|endpoint| (endpoint.path.clone(), Endpoint::new(endpoint, config))).collect();
        let required = by_path.values().filter_map(Endpoint::required_header).cloned().collect();
        Self { by_path, required, body_timeout: config.limits.body_timeout }
    }

    fn unmet(&self) -> Vec<String> {
        let mut endpoints: Vec<_> = self.by_path.values().collect();
        endpoints.sort_by(|one, other| one.name.cmp(&other.name));
        endpoints.into_iter().flat_map(|endpoint| endpoint.unmet.iter().cloned()).collect()
    }

    fn tell_what_is_missing(&self) {
        for unmet in self.unmet() {
            tracing::warn!("a secret is missing: {unmet}");
        }
    }

    /// Whether some endpoint requires this header: elsewhere, too, its value is a secret.
    fn is_required(&self, header: &HeaderName) -> bool {
        self.required.contains(header)
    }
}

/// What is told of an event once it is kept; the event itself is the ledger's by then.
struct Noted {
    kind: Box<str>,
    parked: Option<Box<str>>,
    deliveries: usize,
}

impl Noted {
    fn of(event: &NewEvent) -> Self {
        let kind = event.kind.as_deref().unwrap_or(&event.name);
        Self { kind: shown(kind).into(), parked: event.parked.clone(), deliveries: event.deliveries.len() }
    }

    // Kinds are the sender's words: escaped.
    fn accepted(&self, event_id: EventId, endpoint: &str) {
        let (kind, deliveries) = (&self.kind, self.deliveries);
        match &self.parked {
            None => tracing::info!(%event_id, endpoint, ?kind, deliveries, "a webhook was accepted"),
            Some(reason) => {
                tracing::warn!(%event_id, endpoint, %reason, "a webhook was accepted and parked: it is not JSON");
            }
        }
    }

    fn duplicate(&self, event_id: EventId, endpoint: &str) {
        let kind = &self.kind;
        tracing::info!(%event_id, endpoint, ?kind, "a duplicate of an accepted webhook was answered, and not kept");
    }
}

/// The beginning of a text, at most so many bytes.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}

/// The beginning of a sender's own words.
fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN).map_or(text, |(end, _)| &text[..end])
}
