//! Detects duplicates of deliveries, handled ones and those being handled.

use super::key::{ReplayKey, ReplayRule};
use super::store::ReplayStore;
use crate::config_error::ConfigError;
use crate::event::WebhookEvent;
use crate::handler_error::HandlerError;
use crate::told_names::ToldNames;
use crate::verified::Verified;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Detects duplicates by a rule and a store. A duplicate is answered 200, and no handler runs.
///
/// ```
/// use pylon_webhooks::{Endpoint, MemoryReplayStore, ReplayGuard, WebhookHandler};
/// use std::time::Duration;
///
/// let store = MemoryReplayStore::new(100_000);
/// let guard = ReplayGuard::body_hash(Duration::from_secs(300), store);
/// let handler = WebhookHandler::new("your-webhook-secret")?;
/// let endpoint = Endpoint::builder(handler).replay_guard(guard).build();
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ReplayGuard {
    rule: ReplayRule,
    store: Arc<dyn ReplayStore>,
    in_flight: InFlight,
    unguarded: Arc<ToldNames>,
}

impl ReplayGuard {
    /// A guard with this rule.
    pub fn new(rule: ReplayRule, store: impl ReplayStore) -> Self {
        Self { rule, store: Arc::new(store), in_flight: InFlight::default(), unguarded: Arc::default() }
    }

    /// Deliveries with the same timestamp and body are duplicates. A delivery is remembered while its timestamp is
    /// fresh; without a timestamp, for ever.
    pub fn exact_request(store: impl ReplayStore) -> Self {
        Self::new(ReplayRule::ExactRequest, store)
    }

    /// Events of the same kind or name with the same value at this JSON pointer (RFC 6901) are duplicates. An event is
    /// remembered for the window; without a window, for ever. An event without such a value is never a duplicate.
    ///
    /// # Errors
    /// [`ConfigError::Pointer`] when the pointer does not start with `/`.
    pub fn pointer(
        pointer: impl Into<Box<str>>,
        window: Option<Duration>,
        store: impl ReplayStore,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(ReplayRule::pointer(pointer, window)?, store))
    }

    /// Deliveries with the same body within the window are duplicates, whatever their timestamps.
    pub fn body_hash(window: Duration, store: impl ReplayStore) -> Self {
        Self::new(ReplayRule::BodyHash { window }, store)
    }

    /// The rule that decides whether two deliveries are the same.
    pub fn rule(&self) -> &ReplayRule {
        &self.rule
    }

    /// Claims the event, unless it was claimed before.
    pub(crate) async fn claim(&self, event: &Verified<WebhookEvent>) -> Result<Claim, HandlerError> {
        let Some(key) = self.rule.key(event) else {
            self.warn_of(event.event_type());
            return Ok(Claim::Free);
        };
        let ReplayKey { key, expires } = key;
        let Some(landing) = self.in_flight.enter(&key) else {
            return Ok(Claim::InFlight);
        };
        // From here on, ending early gives the key back: the store may have remembered it.
        let taken = Taken { key: Some(key), store: Arc::clone(&self.store), landing: Some(landing) };
        match self.store.first_seen(taken.key(), expires).await {
            Ok(true) => Ok(Claim::Taken(taken)),
            Ok(false) => {
                taken.keep();
                Ok(Claim::Duplicate)
            }
            Err(error) => {
                taken.give_back().await;
                Err(error)
            }
        }
    }

    /// Warns once for each event name that its events have no key.
    fn warn_of(&self, name: &str) {
        if let Some(name) = self.unguarded.first(name) {
            tracing::warn!(
                event = ?name,
                "the replay guard finds no key in events of this name: their duplicates are handled again"
            );
        }
    }
}

impl fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayGuard").field("rule", &self.rule).finish_non_exhaustive()
    }
}

/// The guard's verdict on an event.
pub(crate) enum Claim {
    /// The event has no key.
    Free,
    /// The event is new.
    Taken(Taken),
    /// The event is a duplicate.
    Duplicate,
    /// A copy of the event is being handled, and may still fail.
    InFlight,
}

/// A claimed key: kept when its event was handled, given back when not. Dropped, it is given back as far as possible
/// without waiting.
pub(crate) struct Taken {
    /// None once the key is kept or given back.
    key: Option<String>,
    store: Arc<dyn ReplayStore>,
    #[cfg_attr(not(feature = "background"), expect(dead_code, reason = "it is held until this is dropped"))]
    landing: Option<Landing>,
}

impl Taken {
    /// The event was accepted: copies are duplicates from now on.
    #[cfg(feature = "background")]
    pub(crate) fn accept(&mut self) {
        self.landing = None;
    }

    /// The event was handled.
    pub(crate) fn keep(mut self) {
        self.key = None;
    }

    /// Gives the key back. A failure of the store goes to the log.
    pub(crate) async fn give_back(mut self) {
        if let Some(key) = self.key.clone() {
            let forgotten = self.store.forget(&key).await;
            // Set only now: if this is dropped while waiting, `drop` tries again.
            self.key = None;
            if let Err(error) = forgotten {
                not_forgotten(&error.to_string());
            }
        }
    }

    fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else {
            return;
        };
        let mut context = Context::from_waker(Waker::noop());
        // A panic may have led here, and a second one would end the process.
        match catch_unwind(AssertUnwindSafe(|| self.store.forget(&key).as_mut().poll(&mut context))) {
            Ok(Poll::Ready(Ok(()))) => {}
            Ok(Poll::Ready(Err(error))) => not_forgotten(&error.to_string()),
            Ok(Poll::Pending) => not_forgotten("the handler was dropped, and nothing waits for the store"),
            Err(_) => not_forgotten("it panicked"),
        }
    }
}

fn not_forgotten(reason: &str) {
    tracing::error!(?reason, "the replay store did not forget a failed delivery: a retry of it counts as a duplicate");
}

/// The keys of events that are being handled.
#[derive(Clone, Default)]
struct InFlight(Arc<Mutex<HashSet<String>>>);

impl InFlight {
    /// Adds the key, unless it is there.
    fn enter(&self, key: &str) -> Option<Landing> {
        let is_alone = self.keys().insert(key.into());
        is_alone.then(|| Landing { key: key.into(), in_flight: self.clone() })
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<String>> {
        // Nothing panics while it is locked but a failed allocation, which ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the key when dropped.
struct Landing {
    key: String,
    in_flight: InFlight,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.in_flight.keys().remove(&self.key);
    }
}
