//! The ledger that a copy goes into.

use super::id::{CopyId, CopyPlace};
use super::rows::{EventCopy, KeyCopy, KeyName, RefusedCopy};
use crate::id::EventId;
use crate::ledger::LedgerFuture;
use std::time::Duration;

/// A ledger that takes everything of another one.
///
/// # What a copy must not do
/// Until a copy is [released](Self::release_copy), its deliveries are waiting for nobody: no claim finds them, no line is held up by them,
/// no order changes them, and nothing of them is pruned. A ledger that cannot promise this while it is served refuses to be served
/// until the copy has ended. Deduplication keys count at once, so that a ledger that is served meanwhile takes no duplicate for new.
///
/// # Calls that are repeated
/// Each call is one commit, or a few of which each is whole. A caller that lost an answer asks again: what is there already is
/// answered as [`Put::There`], and changes nothing.
pub trait CopyTarget: Send + Sync {
    /// What it is, and where.
    fn target_place(&self) -> LedgerFuture<'_, CopyPlace>;

    /// The copies into it that it knows, those that have ended included.
    fn copies(&self) -> LedgerFuture<'_, Vec<Incoming>>;

    /// How many events it has.
    fn count_events(&self) -> LedgerFuture<'_, u64>;

    /// Begins a copy. Reserves its deliveries' places in the order of deliveries: all of them go before what is made from now on, in
    /// their own order. Called again for the same copy, it does nothing.
    fn begin_copy(&self, head: CopyHead) -> LedgerFuture<'_, ()>;

    /// Puts deduplication keys, and answers for each. A key that has expired here may be taken over.
    fn put_keys(&self, copy: CopyId, keys: Vec<KeyCopy>) -> LedgerFuture<'_, Vec<PutKey>>;

    /// Puts events, and answers for each.
    fn put_events(&self, copy: CopyId, events: Vec<EventCopy>) -> LedgerFuture<'_, Vec<Put>>;

    /// Puts refused requests in their order, and answers for each. None gives way to them, not even where there are too many now.
    fn put_refused(&self, copy: CopyId, refused: Vec<RefusedCopy>) -> LedgerFuture<'_, Vec<Put>>;

    /// What it has of these keys, counted from the moment of the copy.
    fn found_keys(&self, copy: CopyId, names: Vec<KeyName>) -> LedgerFuture<'_, Vec<Option<KeyCopy>>>;

    /// What it has of these events: places and due times counted as those of the copy.
    fn found_events(&self, copy: CopyId, ids: Vec<EventId>) -> LedgerFuture<'_, Vec<Option<EventCopy>>>;

    /// What it has of the refused requests that have these numbers in the source.
    fn found_refused(&self, copy: CopyId, numbers: Vec<u64>) -> LedgerFuture<'_, Vec<Option<RefusedCopy>>>;

    /// Writes down that everything is there. From then on no other copy of the source takes this one's place.
    fn seal_copy(&self, copy: CopyId) -> LedgerFuture<'_, ()>;

    /// Lets the deliveries of a sealed copy go, and what they need: a limited number of rows at a call; says how many. Zero: all go, and
    /// the copy is in use, and stays so.
    ///
    /// What was waiting is due when it was due in the source. In a line, places say who goes first; where this ledger has a delivery
    /// waiting or delivering in the same line already, that one stays in front, and everything of the copy is held.
    fn release_copy(&self, copy: CopyId) -> LedgerFuture<'_, u64>;

    /// Takes out what an unreleased copy has put here, and nothing else, a limited number of events at a call; says how many. Zero:
    /// nothing is left of it.
    fn discard_copy(&self, copy: CopyId) -> LedgerFuture<'_, u64>;
}

/// What a copy begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyHead {
    /// The copy.
    pub copy: CopyId,
    /// The ledger that it comes from.
    pub source: CopyPlace,
    /// How long ago the moment of the copy is.
    pub since_ago: Duration,
    /// The highest place of its deliveries.
    pub places: u64,
}

/// A copy into a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The copy.
    pub copy: CopyId,
    /// The ledger that it comes from.
    pub source: CopyPlace,
    /// How far it is.
    pub state: CopyState,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// Not everything is there.
    UnderWay,
    /// Everything is there, and nothing of it is in use.
    Sealed,
    /// It is in use, or its release has begun.
    InUse,
}

/// What came of an event or a refused request that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    New,
    /// It was there before, the same in everything.
    There,
    /// One with this id or number was there before, and differs.
    Differs,
}

/// What came of a deduplication key that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutKey {
    /// It is there now.
    New,
    /// It was there before, for the same event.
    There,
    /// Another event has it here, and keeps it.
    Taken,
}
