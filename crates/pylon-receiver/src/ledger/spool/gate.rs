//! Which way new events go.
//!
//! Whoever puts an event into the spool holds the gate open meanwhile. The drain shuts it to hand over what is left: nothing comes in
//! behind that, so that the next event may go directly.

use crate::ledger::LedgerError;
use crate::time::Moment;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A spell that begins so soon after one that was told is told only if it lasts.
const FLAPPING: Duration = Duration::from_secs(10);

/// Which way new events go.
#[derive(Debug)]
pub(super) struct Gate {
    passage: RwLock<()>,
    is_spooling: AtomicBool,
    spell: Mutex<Spell>,
    begun: Notify,
}

/// A time of spooling.
#[derive(Debug, Clone, Default)]
struct Spell {
    /// None: events go directly.
    since: Option<Moment>,
    last_error: Option<LedgerError>,
    /// Why new events are refused all the same: the ledger is there, and does not keep its promise.
    denied: Option<LedgerError>,
    /// Whether the log has its beginning.
    is_told: bool,
    told_at: Option<Instant>,
}

/// The right to put an event into the spool.
pub(super) struct Open<'a>(#[expect(dead_code, reason = "held, not read")] RwLockReadGuard<'a, ()>);

/// Nothing goes into the spool as long as this lives.
pub(super) struct Shut<'a>(#[expect(dead_code, reason = "held, not read")] RwLockWriteGuard<'a, ()>);

/// Whether the log is to say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    No,
}

impl Gate {
    /// Events go directly.
    pub(super) fn new() -> Self {
        Self {
            passage: RwLock::new(()),
            is_spooling: AtomicBool::new(false),
            spell: Mutex::default(),
            begun: Notify::new(),
        }
    }

    pub(super) fn is_spooling(&self) -> bool {
        self.is_spooling.load(Ordering::SeqCst)
    }

    /// Waits until nothing keeps an event from the spool.
    pub(super) async fn open(&self) -> Open<'_> {
        Open(self.passage.read().await)
    }

    /// Waits until no event is on its way into the spool, and keeps others out.
    pub(super) async fn shut(&self) -> Shut<'_> {
        Shut(self.passage.write().await)
    }

    /// From now on events go into the spool, for this reason; says whether the log is to have it.
    pub(super) fn begin(&self, _: &Open<'_>, now: Moment, why: Option<LedgerError>) -> Told {
        let mut spell = self.spell();
        if why.is_some() {
            spell.last_error = why;
        }
        if self.is_spooling.swap(true, Ordering::SeqCst) {
            return Told::No;
        }
        spell.since = Some(now);
        spell.is_told = spell.told_at.is_none_or(|told_at| told_at.elapsed() >= FLAPPING);
        if spell.is_told {
            spell.told_at = Some(Instant::now());
        }
        self.begun.notify_one();
        if spell.is_told { Told::Yes } else { Told::No }
    }

    /// From now on events go directly; says since when they did not, and whether the log is to have it.
    pub(super) fn end(&self, _: Shut<'_>) -> (Option<Moment>, Told) {
        let mut spell = self.spell();
        self.is_spooling.store(false, Ordering::SeqCst);
        let is_told = std::mem::take(&mut spell.is_told);
        spell.last_error = None;
        spell.denied = None;
        (spell.since.take(), if is_told { Told::Yes } else { Told::No })
    }

    /// A try to hand over failed.
    pub(super) fn failed(&self, error: LedgerError) {
        let mut spell = self.spell();
        spell.denied = matches!(error, LedgerError::Unconfirmed(_)).then(|| error.clone());
        spell.last_error = Some(error);
    }

    /// A try to hand over succeeded.
    pub(super) fn worked(&self) {
        let mut spell = self.spell();
        spell.last_error = None;
        spell.denied = None;
    }

    /// The log has what waits.
    pub(super) fn told(&self) {
        self.spell().is_told = true;
    }

    /// Why new events are refused although they would have room.
    ///
    /// # Errors
    /// [`LedgerError::Unconfirmed`]: the spool stands in for a ledger that is away, not for a standby that is.
    pub(super) fn admits(&self) -> Result<(), LedgerError> {
        self.spell().denied.clone().map_or(Ok(()), Err)
    }

    /// Since when events go into the spool, and what failed last.
    pub(super) fn state(&self) -> (Option<Moment>, Option<LedgerError>) {
        let spell = self.spell();
        (spell.since, spell.last_error.clone())
    }

    /// Waits until events go into the spool.
    pub(super) async fn spooling(&self) {
        while !self.is_spooling() {
            self.begun.notified().await;
        }
    }

    fn spell(&self) -> MutexGuard<'_, Spell> {
        self.spell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
