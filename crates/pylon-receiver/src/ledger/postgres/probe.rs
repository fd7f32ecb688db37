//! What is known of the worth of a commit.

use super::durability::{Terms, Verdict};
use super::error::Fault;
use crate::ledger::Durability;
use crate::promise::Promise;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What is known of the worth of a commit.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) promise: Option<Promise>,
    verdict: Mutex<Option<Verdict>>,
    /// Rung when somebody doubts what is known.
    pub(super) doubt: Notify,
    /// Whether a session that records has another `synchronous_commit` than the one that looks: what is set for a role or a database holds
    /// for sessions that begin later.
    sessions_differ: AtomicBool,
}

impl Probe {
    pub(super) fn new(promise: Option<Promise>) -> Self {
        Self { promise, verdict: Mutex::default(), doubt: Notify::new(), sessions_differ: AtomicBool::new(false) }
    }

    /// Whether an event may be recorded: the promise is kept, and commits come to an end.
    pub(super) fn pass(&self) -> Result<(), Fault> {
        self.verdict().as_ref().and_then(|verdict| verdict.barred.clone()).map_or(Ok(()), Err)
    }

    /// Whether a commit that met these settings is worth what was promised. What was looked at may be another server, or older.
    pub(super) fn meets(&self, met: Option<Terms>) -> Result<(), Fault> {
        let (verdict, Some(promise), Some(met)) = (self.verdict(), self.promise, met) else { return Ok(()) };
        let Some(seen) = verdict.as_ref().map(|verdict| &verdict.seen) else { return Ok(()) };
        // The look that found these settings may have come after the commit had begun.
        let too_little = if seen.terms == met {
            seen.too_little(promise)
        } else {
            if seen.terms.synchronous_commit != met.synchronous_commit {
                self.sessions_differ.store(true, Ordering::Relaxed);
            }
            self.doubt.notify_one();
            seen.under(met).too_little(promise)
        };
        too_little.map_or(Ok(()), |text| Err(Fault::Unconfirmed(text.into())))
    }

    /// Whether the next look is to be that of a new session, which has what was set last.
    pub(super) fn wants_new_session(&self) -> bool {
        let is_too_little = |promise| self.verdict().as_ref().is_some_and(|it| it.seen.too_little(promise).is_some());
        self.sessions_differ.load(Ordering::Relaxed) || self.promise.is_some_and(is_too_little)
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
        self.verdict().as_ref().map(|verdict| verdict.durability.clone())
    }

    /// Keeps what was found; says whether sessions that began earlier may have another `synchronous_commit`.
    pub(super) fn set(&self, verdict: Verdict) -> bool {
        let now = verdict.seen.terms.synchronous_commit.clone();
        let before = self.verdict().replace(verdict);
        let is_news = before.is_some_and(|before| before.seen.terms.synchronous_commit != now);
        self.sessions_differ.swap(false, Ordering::Relaxed) || is_news
    }

    fn verdict(&self) -> MutexGuard<'_, Option<Verdict>> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
