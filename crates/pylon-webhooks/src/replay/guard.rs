//! Tells deliveries that come again, before and while their handlers run.

use super::key::{ReplayKey, ReplayRule};
use super::store::ReplayStore;
use crate::config_error::ConfigError;
use crate::event::WebhookEvent;
use crate::failure::HandlerError;
use crate::verified::Verified;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Tells deliveries that come again, by a rule and a store; the second one is answered 200 and no handler runs.
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
    unguarded: Arc<Mutex<HashSet<String>>>,
}

/// Of how many event names the log says that a guard finds nothing in them; senders choose names.
const MOST_NAMES: usize = 100;

impl ReplayGuard {
    /// A guard by a rule.
    pub fn new(rule: ReplayRule, store: impl ReplayStore) -> Self {
        Self { rule, store: Arc::new(store), in_flight: InFlight::default(), unguarded: Arc::default() }
    }

    /// The same request is a duplicate: the same timestamp, where it bears one, and the same body. Remembered while the
    /// timestamp is fresh; without one, for ever.
    pub fn exact_request(store: impl ReplayStore) -> Self {
        Self::new(ReplayRule::ExactRequest, store)
    }

    /// An event of the same name that has the same value where this JSON pointer (RFC 6901) leads is a duplicate; remembered
    /// for the window, for ever where there is none. An event without such a value is never one.
    ///
    /// # Errors
    /// [`ConfigError::Pointer`] when the pointer does not begin with `/`.
    pub fn pointer(
        pointer: impl Into<Box<str>>,
        window: Option<Duration>,
        store: impl ReplayStore,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(ReplayRule::pointer(pointer, window)?, store))
    }

    /// The same body within the window is a duplicate, whatever its timestamp.
    pub fn body_hash(window: Duration, store: impl ReplayStore) -> Self {
        Self::new(ReplayRule::BodyHash { window }, store)
    }

    /// What makes two deliveries the same.
    pub fn rule(&self) -> &ReplayRule {
        &self.rule
    }

    /// Takes the event for this machine, unless it has been taken before.
    pub(crate) async fn claim(&self, event: &Verified<WebhookEvent>) -> Result<Claim, HandlerError> {
        let Some(key) = self.rule.key(event) else {
            self.warn_of(event.event_type());
            return Ok(Claim::Free);
        };
        let ReplayKey { key, expires } = key;
        let Some(landing) = self.in_flight.enter(&key) else {
            return Ok(Claim::InFlight);
        };
        // From here on, whatever ends this early gives the key back: the store may have remembered it all the same.
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

    /// Says once for each event name that its events are not guarded.
    fn warn_of(&self, name: &str) {
        let mut names = self.unguarded.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < MOST_NAMES && names.insert(name.into()) {
            tracing::warn!(
                event = ?name,
                "the replay guard finds nothing to go by in events of this name: each is handled as often as it comes"
            );
        }
    }
}

impl fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayGuard").field("rule", &self.rule).finish_non_exhaustive()
    }
}

/// What a guard says of an event.
pub(crate) enum Claim {
    /// It has no key: nothing to compare it by.
    Free,
    /// It is new.
    Taken(Taken),
    /// It has been here before.
    Duplicate,
    /// A copy of it is being handled, and nobody knows yet whether that will succeed.
    InFlight,
}

/// A key that was taken, to be kept when its event was handled, and to be given back when not; dropped, it is given back as far
/// as that goes without waiting.
pub(crate) struct Taken {
    /// None once that is done.
    key: Option<String>,
    store: Arc<dyn ReplayStore>,
    #[cfg_attr(not(feature = "background"), expect(dead_code, reason = "it is held until this is dropped"))]
    landing: Option<Landing>,
}

impl Taken {
    /// The sender has been told that it is taken care of: a copy is a duplicate from now on.
    #[cfg(feature = "background")]
    pub(crate) fn accept(&mut self) {
        self.landing = None;
    }

    /// It was handled.
    pub(crate) fn keep(mut self) {
        self.key = None;
    }

    /// Gives the key back; a store that cannot is told of in the log.
    pub(crate) async fn give_back(mut self) {
        if let Some(key) = self.key.clone() {
            let forgotten = self.store.forget(&key).await;
            // Only now: dropped while it waits, it is tried again.
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
            Ok(Poll::Pending) => {
                not_forgotten("what handled it was dropped, and nothing is left to wait for the store")
            }
            Err(_) => not_forgotten("it panicked"),
        }
    }
}

fn not_forgotten(reason: &str) {
    tracing::error!(
        ?reason,
        "the replay store did not forget a delivery that failed: sent again, it is taken for a duplicate"
    );
}

/// The keys of which nobody knows yet whether their events will be handled.
#[derive(Clone, Default)]
struct InFlight(Arc<Mutex<HashSet<String>>>);

impl InFlight {
    /// Takes the key in, unless it is there.
    fn enter(&self, key: &str) -> Option<Landing> {
        let is_alone = self.keys().insert(key.into());
        is_alone.then(|| Landing { key: key.into(), in_flight: self.clone() })
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<String>> {
        // Nothing panics while it is locked but a failed allocation, which ends the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a key out when it is dropped.
struct Landing {
    key: String,
    in_flight: InFlight,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.in_flight.keys().remove(&self.key);
    }
}
