//! One endpoint at work: how it authenticates requests, and how it reads their events.

use super::deduplication::DeduplicationRule;
use super::event_rate::EventRate;
use super::refusal::{self, WebhookRefusal};
use super::route::Route;
use crate::activity::Recorder;
use crate::config::{Config, EndpointConfig, SecretFault, SecretSource, SignatureRule, Source};
use crate::time::Moment;
use crate::wire::{EndpointActivity, SecretStatus};
use http::{HeaderMap, HeaderName};
use pylon_webhooks::{Admission, EventReader, Payload, Received, Verified, Verifier};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// An endpoint, its secrets read.
pub(super) struct Endpoint {
    pub(super) name: Arc<str>,
    pub(super) admission: Admission,
    pub(super) reader: EventReader,
    pub(super) routes: Vec<Route>,
    pub(super) deduplication: Option<DeduplicationRule>,
    pub(super) rate: Option<Arc<EventRate>>,
    path: String,
    secrets: Vec<SecretStatus>,
    sources: Vec<Source>,
    signature: Option<Result<Verifier, SecretFault>>,
    header: Option<(HeaderName, Result<[u8; 32], SecretFault>)>,
}

impl Endpoint {
    /// Reads the secrets.
    pub(super) fn new(endpoint: &EndpointConfig, config: &Config) -> Self {
        let mut secrets = Vec::new();
        let mut read = |source: &SecretSource| {
            let secret = source.read();
            let fault = secret.as_ref().err().map(ToString::to_string);
            secrets.push(SecretStatus { source: source.to_string(), fault });
            secret
        };
        let signature = endpoint.signature.as_ref().map(|rule| verifier(rule, &mut read));
        let header = endpoint.header.as_ref().map(|required| {
            // Digests are compared, so that the time taken does not even show the length.
            let digest = read(&required.value).map(|value| Sha256::digest(&*value).into());
            (required.name.clone(), digest)
        });
        // A configuration file cannot hold a source that the reader refuses; from a program, such a source finds nothing.
        let reader = EventReader::builder().name_source(endpoint.event_name.clone()).build().unwrap_or_default();
        Self {
            name: endpoint.name.clone(),
            admission: Admission::new().body_limit(endpoint.body_limit),
            reader,
            routes: config.destinations.iter().filter_map(|there| Route::new(&endpoint.name, there)).collect(),
            deduplication: DeduplicationRule::new(&endpoint.deduplication),
            rate: endpoint.rate.map(|rate| Arc::new(EventRate::new(rate, Instant::now()))),
            path: endpoint.path.clone(),
            secrets,
            sources: endpoint.sources.clone(),
            signature,
            header,
        }
    }

    /// A sentence for each missing secret.
    pub(super) fn unmet(&self) -> impl Iterator<Item = String> {
        let faults = self.secrets.iter().filter_map(|secret| secret.fault.as_ref());
        faults.map(|fault| format!("endpoint {:?}: {fault}", &*self.name))
    }

    /// How it authenticates, and what it did last.
    pub(super) fn shown(&self, recorder: &Recorder) -> EndpointActivity {
        let has_signature = self.signature.as_ref().is_none_or(Result::is_ok);
        let has_header = self.header.as_ref().is_none_or(|(_, value)| value.is_ok());
        EndpointActivity {
            name: self.name.to_string(),
            path: self.path.clone(),
            signature: self.signature.is_some(),
            header: self.header.as_ref().map(|(name, _)| name.to_string()),
            secrets: self.secrets.clone(),
            can_authenticate: has_signature && has_header,
            seen: recorder.endpoint(&self.name),
        }
    }

    /// The header that every request must have.
    pub(super) fn required_header(&self) -> Option<&HeaderName> {
        self.header.as_ref().map(|(name, _)| name)
    }

    /// Whether requests may come from the address.
    pub(super) fn is_source(&self, address: IpAddr) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|source| source.contains(address))
    }

    /// The codes of the refusals that can occur here.
    pub(super) fn refusals(&self) -> impl Iterator<Item = &'static str> {
        let given = |codes: &'static [&'static str], is_given: bool| if is_given { codes } else { &[] };
        [
            refusal::ALWAYS,
            given(refusal::OF_SOURCES, !self.sources.is_empty()),
            given(refusal::OF_HEADER, self.header.is_some()),
            given(refusal::OF_SIGNATURE, self.signature.is_some()),
            given(refusal::OF_RATE, self.rate.is_some()),
        ]
        .into_iter()
        .flatten()
        .copied()
    }

    /// Checks the required header, then the signature and its freshness, if the endpoint asks for them.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        received: Received<'static>,
        now: Moment,
    ) -> Result<Verified<Payload<'static>>, WebhookRefusal> {
        if let Some((name, expected)) = &self.header {
            let expected = expected.as_ref().map_err(WebhookRefusal::no_secret)?;
            // Without its secret the signature cannot be checked, so the header does not matter either.
            if let Some(Err(fault)) = &self.signature {
                return Err(WebhookRefusal::no_secret(fault));
            }
            check_header(headers, name, expected)?;
        }
        let now = now.unix_seconds();
        let Some(verifier) = &self.signature else {
            // The header authenticates the request, but not its timestamp.
            return Ok(received.accept_unsigned(now));
        };
        let verifier = verifier.as_ref().map_err(WebhookRefusal::no_secret)?;
        verifier.verify_received_at(received, || now).map_err(|error| WebhookRefusal::from(&error))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

/// A verifier with the secrets that can be read; if there are none, the fault of the first one.
fn verifier(
    rule: &SignatureRule,
    read: &mut impl FnMut(&SecretSource) -> Result<Zeroizing<Vec<u8>>, SecretFault>,
) -> Result<Verifier, SecretFault> {
    let mut builder = Verifier::builder().timestamp_rule(rule.timestamp).tolerance(rule.tolerance);
    let mut first_fault = None;
    for source in &rule.secrets {
        match read(source) {
            Ok(secret) => builder = builder.secret(&*secret),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    builder.build().map_err(|_| first_fault.unwrap_or(SecretFault::Malformed("at least one secret")))
}

fn check_header(headers: &HeaderMap, name: &HeaderName, expected: &[u8; 32]) -> Result<(), WebhookRefusal> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().ok_or_else(|| WebhookRefusal::header_missing(name))?;
    if values.next().is_some() {
        return Err(WebhookRefusal::header_repeated(name));
    }
    let found: [u8; 32] = Sha256::digest(value).into();
    if bool::from(found.ct_eq(expected)) { Ok(()) } else { Err(WebhookRefusal::header_mismatch(name)) }
}
