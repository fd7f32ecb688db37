//! The ledger that is copied.

use super::id::{CopyId, CopyPlace};
use super::rows::{EventCopy, KeyCopy, KeyName, RefusedCopy};
use crate::id::EventId;
use crate::ledger::LedgerFuture;
use std::time::Duration;

/// A ledger that can be copied, opened so that nobody serves it: as long as it is open, nothing of it changes but by these methods.
///
/// Who opens a ledger for this ends what leases there are, as interruptions. It refuses to be opened as long as somebody serves it, and
/// while a copy into it has not ended.
pub trait CopySource: Send + Sync {
    /// What it is, and where.
    fn source_place(&self) -> LedgerFuture<'_, CopyPlace>;

    /// Writes down that it is being copied to this target, and the moment from which due times and expiries are counted. Called again
    /// for the same target, it is the same copy; for another target, it is a new one.
    ///
    /// When it is served again before it [was moved](Self::mark_moved), it forgets the copy.
    fn hold(&self, target: CopyPlace) -> LedgerFuture<'_, Holding>;

    /// The deduplication keys behind this one, in the order of endpoint and key: a limited number at a call; empty: there are no more.
    /// Those that had expired at the moment of the copy are left out.
    fn key_page(&self, after: Option<KeyName>) -> LedgerFuture<'_, Vec<KeyCopy>>;

    /// The events behind this one, in the order of ids: a limited number of limited size at a call, but at least one; empty: there are
    /// no more.
    fn event_page(&self, after: Option<EventId>) -> LedgerFuture<'_, Vec<EventCopy>>;

    /// The refused requests behind this one, in the order of numbers: a limited number at a call; empty: there are no more.
    fn refused_page(&self, after: Option<u64>) -> LedgerFuture<'_, Vec<RefusedCopy>>;

    /// Writes down that everything was moved, with a summary to keep. From then on it refuses to be served.
    fn mark_moved(&self, copy: CopyId, summary: Box<str>) -> LedgerFuture<'_, ()>;

    /// Forgets that it is being copied, or was moved; says where it was moved to. From then on it can be served.
    fn unmark(&self) -> LedgerFuture<'_, Option<Box<str>>>;
}

/// The answer to [`CopySource::hold`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// It is being copied to the target, or was moved there.
    Held(Held),
    /// It was moved to another ledger, whose name this is.
    MovedElsewhere(Box<str>),
}

/// A ledger that is being copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The copy.
    pub copy: CopyId,
    /// How long ago, by its own time, the moment of the copy is.
    pub since_ago: Duration,
    /// The highest place of its deliveries.
    pub places: u64,
    /// What there is.
    pub totals: CopyTotals,
    /// The summary that was kept when it was moved; none: it was not.
    pub moved: Option<Box<str>>,
}

/// How much there is to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyTotals {
    /// Deduplication keys.
    pub keys: u64,
    /// Events.
    pub events: u64,
    /// Refused requests.
    pub refused: u64,
}
