//! Exchanges whose answer was lost: nobody knows whether they were committed.
//!
//! The courier asks again with the same settlements. What it had claimed before it never heard of: the next exchange gives that back.

use crate::ledger::Lease;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long it is remembered that a settlement's answer was lost, counted from the last time.
const ASKED_AGAIN_WITHIN: Duration = Duration::from_secs(3600);
/// How much longer than the lease itself a claim is remembered: its transaction may still be at work.
const COMMITTED_WITHIN: Duration = Duration::from_secs(60);

/// What one handle of the ledger has lost the answers of.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The tokens of claims by their destination, each until its leases have ended by themselves.
    claims: HashMap<Arc<str>, Vec<(i64, Instant)>>,
    /// Leases that may be settled, each with the moment when that may be forgotten.
    settlements: HashMap<Lease, Instant>,
}

impl Lost {
    /// The answer to the settlements of these leases was lost.
    pub(super) fn settlements(&self, leases: impl Iterator<Item = Lease>) {
        let now = Instant::now();
        let mut inner = self.inner();
        inner.settlements.retain(|_, until| *until > now);
        inner.settlements.extend(leases.map(|lease| (lease, now + ASKED_AGAIN_WITHIN)));
    }

    /// Takes the answer to a claim, with this token and for leases of this length, for lost, unless it is heard.
    pub(super) fn unless_heard(&self, destination: &Arc<str>, token: i64, length: Duration) -> Unheard<'_> {
        Unheard { lost: self, destination: destination.clone(), token, length, is_heard: false }
    }

    /// Whether the lease may be settled, and the caller asks once more.
    pub(super) fn may_be_settled(&self, lease: &Lease) -> bool {
        self.inner().settlements.contains_key(lease)
    }

    /// The tokens of claims for the destination of which nobody heard.
    pub(super) fn claims(&self, destination: &str) -> Vec<i64> {
        let now = Instant::now();
        let mut inner = self.inner();
        let Some(claims) = inner.claims.get_mut(destination) else { return Vec::new() };
        claims.retain(|(_, until)| *until > now);
        let tokens: Vec<_> = claims.iter().map(|(token, _)| *token).collect();
        if tokens.is_empty() {
            inner.claims.remove(destination);
        }
        tokens
    }

    /// The caller has got the answers for these leases.
    pub(super) fn answered(&self, leases: impl Iterator<Item = Lease>) {
        let mut inner = self.inner();
        if !inner.settlements.is_empty() {
            leases.for_each(|lease| {
                inner.settlements.remove(&lease);
            });
        }
    }

    /// The leases of these claims were given back. One that was seen is committed, and no other one can come of it.
    pub(super) fn given_back(&self, destination: &str, tokens: &[i64]) {
        if let Some(claims) = self.inner().claims.get_mut(destination) {
            claims.retain(|(token, _)| !tokens.contains(token));
        }
    }

    fn claim(&self, destination: &Arc<str>, token: i64, length: Duration) {
        let now = Instant::now();
        let until = now.checked_add(length.saturating_add(COMMITTED_WITHIN)).unwrap_or(now + ASKED_AGAIN_WITHIN);
        self.inner().claims.entry(destination.clone()).or_default().push((token, until));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim whose answer is awaited.
pub(super) struct Unheard<'a> {
    lost: &'a Lost,
    destination: Arc<str>,
    token: i64,
    length: Duration,
    is_heard: bool,
}

impl Unheard<'_> {
    /// It is known what came of it.
    pub(super) fn heard(mut self) {
        self.is_heard = true;
    }
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if !self.is_heard {
            self.lost.claim(&self.destination, self.token, self.length);
        }
    }
}
