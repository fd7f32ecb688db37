//! What is known of the worth of a commit.

use super::durability::Verdict;
use super::error::Fault;
use crate::ledger::Durability;
use crate::promise::Promise;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// What is known of the worth of a commit.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) promise: Option<Promise>,
    verdict: Mutex<Option<Verdict>>,
    /// Rung when somebody doubts what is known.
    pub(super) doubt: Notify,
}

impl Probe {
    pub(super) fn new(promise: Option<Promise>) -> Self {
        Self { promise, verdict: Mutex::default(), doubt: Notify::new() }
    }

    /// Whether an event may be recorded: the promise is kept, and commits come to an end.
    pub(super) fn pass(&self) -> Result<(), Fault> {
        let verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.as_ref().and_then(|verdict| verdict.barred.clone()).map_or(Ok(()), Err)
    }

    /// Whether every commit shows that standbys have all that was committed before it.
    pub(super) fn is_strict(&self) -> bool {
        self.promise.is_some_and(|promise| promise.disks() > 1)
    }

    /// A commit for which the wait for a standby was given up, if it was to wait, counts for nothing.
    pub(super) fn confirm<T>(&self, result: Result<T, Fault>, is_warned: bool) -> Result<T, Fault> {
        if matches!(result, Err(Fault::Away(_))) || is_warned {
            self.doubt.notify_one();
        }
        match result {
            Ok(_) if is_warned && self.is_strict() => Err(Fault::Unconfirmed(
                "the wait for a standby was given up on the server; find out who cancels commits there".into(),
            )),
            result => result,
        }
    }

    /// What was found last.
    pub(super) fn durability(&self) -> Option<Durability> {
        let verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.as_ref().map(|verdict| verdict.durability.clone())
    }

    /// Keeps what was found.
    pub(super) fn set(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }
}
