//! Takes down what happens, by endpoint and by destination.

use super::destination::{AttemptOutcome, DestinationSeen, Remembered};
use super::endpoint::{EndpointSeen, LastAccepted, LastRefused};
use crate::time::Moment;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Takes down what happens in this process. What it keeps is bounded: a few facts for each name of the configuration.
///
/// A name that stays in the configuration keeps its facts when the configuration is loaded anew.
///
/// ```
/// use pylon_receiver::internals::{LastRefused, Recorder};
///
/// let recorder = Recorder::new();
/// let at = pylon_receiver::Moment::from_unix_milliseconds(0);
/// let refused = LastRefused { at, code: "no_secret".to_owned(), reason: "no secret".to_owned() };
/// recorder.refused(Some(&"support".into()), refused.clone());
/// assert_eq!(recorder.endpoint("support").unresolved(), Some(&refused));
/// ```
#[derive(Default)]
pub struct Recorder {
    endpoints: ByName<EndpointSeen>,
    destinations: ByName<Remembered>,
    elsewhere: Mutex<Option<LastRefused>>,
}

impl Recorder {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An endpoint accepted an event.
    pub fn accepted(&self, endpoint: &Arc<str>, accepted: LastAccepted) {
        self.endpoints.change(endpoint, |seen| seen.accepted = Some(accepted));
    }

    /// A request was refused; none: at a path without an endpoint.
    pub fn refused(&self, endpoint: Option<&Arc<str>>, refused: LastRefused) {
        match endpoint {
            Some(endpoint) => self.endpoints.change(endpoint, |seen| seen.refused = Some(refused)),
            None => *self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused),
        }
    }

    /// An attempt to deliver ended.
    pub fn ended(&self, destination: &Arc<str>, outcome: AttemptOutcome) {
        self.destinations.change(destination, |remembered| remembered.ended(outcome));
    }

    /// What an endpoint did last.
    pub fn endpoint(&self, name: &str) -> EndpointSeen {
        self.endpoints.read(name, EndpointSeen::clone)
    }

    /// The last request that was refused at a path without an endpoint.
    pub fn elsewhere(&self) -> Option<LastRefused> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How attempts to deliver to a destination ended, in the hour before this moment.
    pub fn destination(&self, name: &str, now: Moment) -> DestinationSeen {
        self.destinations.read(name, |remembered| remembered.shown(now))
    }

    /// Whether the latest attempts failed.
    pub fn is_failing(&self, destination: &str) -> bool {
        self.destinations.read(destination, Remembered::is_failing)
    }

    /// Forgets all endpoints and destinations but those.
    pub fn keep_only(&self, is_endpoint: impl Fn(&str) -> bool, is_destination: impl Fn(&str) -> bool) {
        self.endpoints.keep_only(is_endpoint);
        self.destinations.keep_only(is_destination);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

/// Facts by name. The lock over all is only read, unless a name is new, so that one busy name hardly waits for another.
#[derive(Default)]
struct ByName<T>(RwLock<HashMap<Arc<str>, Mutex<T>>>);

impl<T: Default> ByName<T> {
    fn change(&self, name: &Arc<str>, change: impl FnOnce(&mut T)) {
        let of = |facts: &Mutex<T>| change(&mut facts.lock().unwrap_or_else(PoisonError::into_inner));
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = known.get(name) {
            return of(facts);
        }
        drop(known);
        of(self.0.write().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default());
    }

    fn read<R>(&self, name: &str, read: impl FnOnce(&T) -> R) -> R {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match known.get(name) {
            Some(facts) => read(&facts.lock().unwrap_or_else(PoisonError::into_inner)),
            None => read(&T::default()),
        }
    }

    fn keep_only(&self, is_kept: impl Fn(&str) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_kept(name));
    }
}
