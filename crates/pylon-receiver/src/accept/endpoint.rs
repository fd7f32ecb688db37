//! One endpoint at work: who is believed there, and what an event of it is.

use super::refusal::Refusal;
use super::route::Route;
use crate::config::{Config, Deduplication, EndpointConfig, RequiredHeader, SecretFault, SignatureRule};
use crate::ledger::DeduplicationKey;
use crate::rate::Rate;
use crate::time::Moment;
use http::{HeaderMap, HeaderName};
use pylon_webhooks::{
    Admission, EventReader, Payload, Received, ReplayKey, ReplayRule, Verified, Verifier, WebhookEvent,
};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// An endpoint, its secrets read.
pub(super) struct Endpoint {
    pub(super) name: Arc<str>,
    pub(super) admission: Admission,
    pub(super) reader: EventReader,
    pub(super) routes: Vec<Route>,
    rate: Option<(f64, Mutex<Rate>)>,
    signature: Option<Result<Verifier, SecretFault>>,
    header: Option<(HeaderName, Result<[u8; 32], SecretFault>)>,
    deduplication: Option<ReplayRule>,
    /// A sentence for each secret that is missing.
    pub(super) unmet: Vec<String>,
}

impl Endpoint {
    /// Reads the secrets.
    pub(super) fn new(endpoint: &EndpointConfig, config: &Config) -> Self {
        let mut unmet = Vec::new();
        let mut missing = |fault: &SecretFault| unmet.push(format!("endpoint {:?}: {fault}", &*endpoint.name));
        let signature = endpoint.authentication.signature.as_ref().map(|rule| verifier(rule, &mut missing));
        let header = endpoint.authentication.header.as_ref().map(|required| {
            let digest = digest_of(required);
            digest.as_ref().inspect_err(|fault| missing(fault)).ok();
            (required.name.clone(), digest)
        });
        // A pointer or a name that no configuration file would have let through finds nothing either.
        let reader = EventReader::builder().name_source(endpoint.kind.clone()).build().unwrap_or_default();
        Self {
            name: endpoint.name.clone(),
            admission: Admission::new().body_limit(endpoint.body_limit),
            reader,
            routes: config.destinations.iter().filter_map(|there| Route::new(&endpoint.name, there)).collect(),
            rate: endpoint.rate.map(|rate| (rate, Mutex::new(Rate::new(rate, Instant::now())))),
            signature,
            header,
            deduplication: match &endpoint.deduplication {
                Deduplication::Off => None,
                Deduplication::ExactRequest => Some(ReplayRule::ExactRequest),
                Deduplication::Rule(rule) => Some(rule.clone()),
            },
            unmet,
        }
    }

    /// The header that every request must have.
    pub(super) fn required_header(&self) -> Option<&HeaderName> {
        self.header.as_ref().map(|(name, _)| name)
    }

    /// Counts one genuine request more: whoever cannot sign uses up nothing that others need.
    pub(super) fn count(&self, now: Instant) -> Result<(), Refusal> {
        let Some((per_second, rate)) = &self.rate else {
            return Ok(());
        };
        // What is counted stays whole whatever panics.
        let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
        if rate.available(now) == 0 {
            return Err(Refusal::rate_limited(*per_second, rate.wait(now)));
        }
        rate.take(1);
        Ok(())
    }

    /// Decides whether a request is believed: by its header, then by its signature, where each is required.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        received: Received<'static>,
        now: Moment,
    ) -> Result<Verified<Payload<'static>>, Refusal> {
        if let Some((name, expected)) = &self.header {
            let expected = expected.as_ref().map_err(Refusal::no_secret)?;
            // Both are looked for before either decides.
            if let Some(Err(fault)) = &self.signature {
                return Err(Refusal::no_secret(fault));
            }
            check_header(headers, name, expected)?;
        }
        let now = now.unix_seconds();
        let Some(verifier) = &self.signature else {
            // The header vouches for it, and for no timestamp.
            return Ok(received.accept_unsigned(now));
        };
        let verifier = verifier.as_ref().map_err(Refusal::no_secret)?;
        verifier.verify_received_at(received, || now).map_err(|error| Refusal::from(&error))
    }

    /// What makes an event the same as another; without an event, for its body is not JSON, the rules that look at nothing but
    /// the bytes hold all the same.
    pub(super) fn deduplication_key(
        &self,
        body: &Verified<Payload<'_>>,
        event: Option<&Verified<WebhookEvent>>,
    ) -> Option<DeduplicationKey> {
        let rule = self.deduplication.as_ref()?;
        let signed = body.signed()?;
        if *rule == ReplayRule::ExactRequest && signed.timestamp.is_none() {
            return None;
        }
        let key = match event {
            Some(event) => rule.key(event),
            None => rule.key_of_body(body),
        };
        let ReplayKey { key, expires, .. } = key?;
        let lasts = expires.map(|expires| Duration::from_secs(expires.saturating_sub(signed.now)));
        Some(DeduplicationKey { key: key.into(), lasts })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).field("unmet", &self.unmet).finish_non_exhaustive()
    }
}

/// A verifier with those of the secrets that can be read; where none can, why the first one cannot.
fn verifier(rule: &SignatureRule, missing: &mut impl FnMut(&SecretFault)) -> Result<Verifier, SecretFault> {
    let mut builder = Verifier::builder().timestamp_rule(rule.timestamp).tolerance(rule.tolerance);
    let mut first_fault = None;
    for source in &rule.secrets {
        match source.read() {
            Ok(secret) => builder = builder.secret(&*secret),
            Err(fault) => {
                missing(&fault);
                first_fault = first_fault.or(Some(fault));
            }
        }
    }
    builder.build().map_err(|_| first_fault.unwrap_or(SecretFault::Malformed("at least one secret")))
}

/// Digests are compared, so that the time taken does not even tell the length.
fn digest_of(required: &RequiredHeader) -> Result<[u8; 32], SecretFault> {
    required.value.read().map(|value| Sha256::digest(&*value).into())
}

fn check_header(headers: &HeaderMap, name: &HeaderName, expected: &[u8; 32]) -> Result<(), Refusal> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().ok_or_else(|| Refusal::header_missing(name))?;
    if values.next().is_some() {
        return Err(Refusal::header_repeated(name));
    }
    let found: [u8; 32] = Sha256::digest(value).into();
    if bool::from(found.ct_eq(expected)) { Ok(()) } else { Err(Refusal::header_mismatch(name)) }
}
