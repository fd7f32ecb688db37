//! Replay rules, and the store in memory.

use crate::clock::{self, unix_seconds};
use pylon_webhooks::SystemClock;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use std::time::Duration;

/// The rule that decides whether two deliveries are the same.
#[pyclass(frozen, module = "pylon_webhooks._native")]
pub(crate) struct ReplayRule(pub(crate) pylon_webhooks::ReplayRule);

#[pymethods]
impl ReplayRule {
    #[staticmethod]
    fn exact_request() -> Self {
        Self(pylon_webhooks::ReplayRule::ExactRequest)
    }

    #[staticmethod]
    fn pointer(pointer: &str, window_seconds: Option<u64>) -> PyResult<Self> {
        let rule = pylon_webhooks::ReplayRule::pointer(pointer, window_seconds.map(Duration::from_secs));
        rule.map(Self).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    #[staticmethod]
    fn body_hash(window_seconds: u64) -> Self {
        Self(pylon_webhooks::ReplayRule::BodyHash { window: Duration::from_secs(window_seconds) })
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}

/// Remembers a bounded number of keys in this process. They are lost when the process ends, and not shared between
/// processes.
#[pyclass(frozen, module = "pylon_webhooks.replay")]
pub(crate) struct MemoryReplayStore {
    store: pylon_webhooks::MemoryReplayStore,
    clock: Option<Py<PyAny>>,
}

#[pymethods]
impl MemoryReplayStore {
    #[new]
    #[pyo3(signature = (capacity = 100_000, *, clock = None))]
    fn new(capacity: usize, clock: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        if capacity == 0 {
            return Err(PyValueError::new_err("capacity must be at least 1"));
        }
        clock::check(clock.as_ref())?;
        Ok(Self { store: pylon_webhooks::MemoryReplayStore::new(capacity), clock: clock.map(Bound::unbind) })
    }

    /// Remember the key until `expires`. Returns whether it was new.
    fn first_seen(&self, py: Python<'_>, key: &str, expires: Option<u64>) -> PyResult<bool> {
        let now = match &self.clock {
            None => pylon_webhooks::Clock::unix_seconds(&SystemClock),
            Some(clock) => unix_seconds(clock.bind(py))?,
        };
        Ok(pylon_webhooks::bindings::is_first_at(&self.store, key, expires, now))
    }

    /// Forget the key.
    fn forget(&self, key: &str) {
        self.store.remove(key);
    }

    fn __len__(&self) -> usize {
        self.store.len()
    }

    fn __repr__(&self) -> String {
        format!("<MemoryReplayStore, {} keys>", self.store.len())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.clock)
    }
}
