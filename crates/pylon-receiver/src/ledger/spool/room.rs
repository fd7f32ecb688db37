//! What is in the spool, and the room that is left. Counted in memory: to ask costs nothing.

use crate::ledger::LedgerError;
use crate::ledger::sqlite::Left;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is in the spool.
#[derive(Debug)]
pub(super) struct Room {
    size: u64,
    waiting: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
    handed_over: AtomicU64,
    is_full: AtomicBool,
}

/// What became of events that were handed over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HandedOver {
    /// How many the ledger has now.
    pub(super) taken: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// How many it refused.
    pub(super) refused: u64,
}

impl Room {
    pub(super) fn new(size: u64, left: Left) -> Self {
        let Left { events, not_taken, bytes } = left;
        Self {
            size,
            waiting: events.saturating_sub(not_taken).into(),
            refused: not_taken.into(),
            bytes: bytes.into(),
            handed_over: 0.into(),
            is_full: false.into(),
        }
    }

    /// Room for an event of this size.
    ///
    /// # Errors
    /// [`LedgerError::Full`].
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reserved<'_>, LedgerError> {
        let with = |taken: u64| taken.checked_add(bytes).filter(|&taken| taken <= self.size);
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with) {
            Ok(_) => Ok(Reserved { room: self, bytes }),
            Err(_) => {
                if !self.is_full.swap(true, Ordering::Relaxed) {
                    tracing::error!(size = self.size, "the spool is full: webhooks get 503 until the ledger is back");
                }
                Err(LedgerError::Full)
            }
        }
    }

    /// Events that waited left the spool, or were refused.
    pub(super) fn handed_over(&self, HandedOver { taken, bytes, refused }: HandedOver) {
        subtract(&self.waiting, taken + refused);
        self.refused.fetch_add(refused, Ordering::Relaxed);
        self.left(taken, bytes);
    }

    /// Events that had been refused left the spool after all.
    pub(super) fn taken_after_all(&self, HandedOver { taken, bytes, .. }: HandedOver) {
        subtract(&self.refused, taken);
        self.left(taken, bytes);
    }

    fn left(&self, taken: u64, bytes: u64) {
        subtract(&self.bytes, bytes);
        self.handed_over.fetch_add(taken, Ordering::Relaxed);
        if bytes > 0 {
            self.is_full.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How many events wait to be handed over.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many events the ledger refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many events were handed over.
    pub(super) fn total_handed_over(&self) -> u64 {
        self.handed_over.load(Ordering::Relaxed)
    }

    /// Whether an event had no room, and nothing left since.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

/// Room for an event; given back if the event does not come.
#[derive(Debug)]
pub(super) struct Reserved<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Reserved<'_> {
    /// The event is in the spool.
    pub(super) fn used(self) {
        self.room.waiting.fetch_add(1, Ordering::Relaxed);
        std::mem::forget(self);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        subtract(&self.room.bytes, self.bytes);
    }
}

/// A commit that counted as failed may be in the file all the same, and what it kept leaves the spool without having been counted.
fn subtract(from: &AtomicU64, count: u64) {
    let _ = from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| Some(before.saturating_sub(count)));
}
