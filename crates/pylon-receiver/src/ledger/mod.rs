//! Where acknowledged events are kept until they are delivered: one trait, and what goes in and out of it.
//!
//! Nothing here says how; SQL and its types stand in the folders of the implementations alone.

mod error;
mod null;
mod read;
mod sqlite;

pub use error::LedgerError;
pub use null::NullLedger;
pub use read::{
    AttemptRecord, DeliveryFilter, DeliveryRecord, DestinationStats, EventDetail, EventFilter, EventRecord, EventState,
    Order, Page, RefusedFilter, RefusedRecord, Stats,
};
pub use sqlite::{CommitObserver, SqliteLedger, SqliteOptions};

use crate::headers::Headers;
use crate::id::{DeliveryId, EventId};
use crate::time::Moment;
use bytes::Bytes;
use pylon_webhooks::{Payload, Verified};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What a ledger answers, as a future.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Keeps events, what is to be delivered of them, and what became of it.
///
/// What a method has answered with `Ok` is on the disk. Every method may be called from many tasks at once. A caller who
/// stops waiting is no error: the work is done all the same.
///
/// Order holds for each destination and order key: of the deliveries that share both, only the first unfinished one is
/// ever [waiting](DeliveryState::Waiting) or [delivering](DeliveryState::Delivering); those after it are
/// [held](DeliveryState::Held). When it is delivered, dead or dropped, the next becomes waiting, due at once.
pub trait Ledger: Send + Sync + 'static {
    /// Keeps an event and its deliveries, all or nothing.
    ///
    /// An event whose deduplication key is remembered for its endpoint is not kept: the answer names the one that was. Of
    /// several at once with one key, one is kept. A key is remembered until its expiry, by the time of the events' arrival, even
    /// if its event is pruned before; without one, as long as its event. A duplicate does not prolong it.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] at once when too much waits to be committed; whatever keeps it from being committed. An event whose
    /// name is kept already is an error and changes nothing.
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded>;

    /// Keeps a refused request for the operator to see, pushing out the oldest; drops it rather than hold up anything else.
    fn keep_refused(&self, refused: NewRefused);

    /// Leases deliveries that are due, each counting one more attempt: the longest due first, and of those due equally long the
    /// first made.
    ///
    /// Leases that ran out, and those that an ended process had, are due since they were when claimed. One that has had its most
    /// attempts, because the process ended during the last or the most was lowered, becomes dead instead, makes room, and lets the
    /// next of its line go.
    fn claim(&self, claim: Claim) -> LedgerFuture<'_, Claimed>;

    /// Extends leases; says of each whether it still holds.
    fn renew(&self, leases: Vec<Lease>, until: Moment) -> LedgerFuture<'_, Vec<bool>>;

    /// Ends a lease with what came of the attempt.
    fn settle(&self, settlement: Settlement) -> LedgerFuture<'_, Settled>;

    /// Makes a new delivery of each event to the destination, or to each destination that it ever went to, due at once; says how
    /// many. It joins the end of its line, and names the last delivery to that destination as the one that it repeats. The event's
    /// dead deliveries to that destination become [redelivered](DeliveryState::Redelivered). Unknown events are passed over.
    fn redeliver(&self, events: Vec<EventId>, destination: Option<Arc<str>>, now: Moment) -> LedgerFuture<'_, u64>;

    /// Makes a new delivery in the place of each dead one, which becomes [redelivered](DeliveryState::Redelivered); says how many. Those
    /// that are not dead are passed over.
    fn redeliver_dead(&self, deliveries: Vec<DeliveryId>, now: Moment) -> LedgerFuture<'_, u64>;

    /// Gives dead deliveries up for good; says how many. Those that are not dead are passed over.
    fn drop_dead(&self, deliveries: Vec<DeliveryId>, now: Moment) -> LedgerFuture<'_, u64>;

    /// Forgets events that came in before the moment and of which nothing is waiting, held, delivering or dead, a limited number
    /// at a call; but none that was parked and never redelivered, for nobody has got it; and deduplication keys that expired
    /// before `now`. Says how many events it forgot, and whether there may be more.
    fn prune(&self, received_before: Moment, now: Moment) -> LedgerFuture<'_, Pruned>;

    /// Events that match, a page of them.
    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>>;

    /// One event with its headers, body, deliveries and their attempts; none when it is unknown.
    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>>;

    /// Deliveries that match, a page of them.
    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>>;

    /// Refused requests, a page of them.
    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>>;

    /// How much there is of everything.
    fn stats(&self, now: Moment) -> LedgerFuture<'_, Stats>;

    /// Commits something that changes nothing, to find out whether events could be kept now.
    fn check(&self) -> LedgerFuture<'_, ()>;

    /// Commits what waits, and closes. Whatever comes after is [`LedgerError::Closed`], but for closing again, which is no error.
    fn close(&self) -> LedgerFuture<'_, ()>;
}

/// An event to keep. Its body can only be one that was verified.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its name, which tells when it came in.
    pub id: EventId,
    /// The endpoint at which it came in.
    pub endpoint: Arc<str>,
    /// What kind of event it is: a known kind's name, else the name as it was sent, else empty.
    pub kind: Box<str>,
    /// The headers with which it came in, credentials left out.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Verified<Payload<'static>>,
    /// Why it goes nowhere, where it was accepted and yet cannot be delivered: it is not JSON, for instance.
    pub parked: Option<Box<str>>,
    /// What makes it the same as another.
    pub deduplication: Option<DeduplicationKey>,
    /// Where it goes.
    pub deliveries: Vec<NewDelivery>,
}

/// What makes two events of one endpoint the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeduplicationKey {
    /// The key: 64 hexadecimal digits.
    pub key: Box<str>,
    /// When it may be forgotten; none: when its event is.
    pub expires_at: Option<Moment>,
}

/// A delivery to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The destination's name, frozen now: a later change of the configuration does not lead it elsewhere.
    pub destination: Arc<str>,
    /// Deliveries to one destination that share this key are made one after the other.
    pub order_key: Option<Box<str>>,
}

/// What became of an event that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is kept.
    Stored,
    /// This event is the same and was kept before.
    Duplicate(EventId),
}

/// A request that was refused.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRefused {
    /// When.
    pub at: Moment,
    /// At which endpoint; none: at no known path.
    pub endpoint: Option<Arc<str>>,
    /// Why, as a stable code: `signature_mismatch`, `too_large`...
    pub code: &'static str,
    /// Why, as a sentence.
    pub reason: Box<str>,
    /// The status it was answered with.
    pub status: u16,
    /// The request's method.
    pub method: Box<str>,
    /// The request's path, without its query.
    pub path: Box<str>,
    /// Who sent it: the address of the connection.
    pub remote: Box<str>,
    /// Its headers, credentials left out.
    pub headers: Headers,
    /// The first bytes of its body, as far as it was read.
    pub body: Bytes,
    /// How many bytes of its body were read.
    pub body_length: u64,
}

/// A request for deliveries to make.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Of this destination.
    pub destination: Arc<str>,
    /// Due by now.
    pub now: Moment,
    /// Nothing of this destination can be due later than this; what seems to be was written under another time of day, and is due.
    pub latest_due: Moment,
    /// When the leases run out.
    pub lease_until: Moment,
    /// At most so many.
    pub limit: usize,
    /// So many attempts, and then dead.
    pub most_attempts: u32,
}

/// What was claimed.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The deliveries to attempt, the longest due first.
    pub deliveries: Vec<LeasedDelivery>,
    /// Those that are dead because the process ended during their last attempt, or because their event cannot be read.
    pub exhausted: Vec<DeliveryId>,
    /// When the next one that was not claimed is due, or the next lease of an earlier claim runs out; none: there is none. Where
    /// something that is due found no room, it is not after now.
    pub next_due: Option<Moment>,
}

/// The right to attempt a delivery once, until it runs out. A later lease of the same delivery makes it worthless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The fencing token: no two leases of one delivery have the same.
    pub token: i64,
}

/// A delivery to attempt now.
#[derive(Clone)]
pub struct LeasedDelivery {
    /// The right to do so.
    pub lease: Lease,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The endpoint at which the event came in.
    pub endpoint: Arc<str>,
    /// The event's kind, as in [`NewEvent`].
    pub kind: Box<str>,
    /// The headers with which it came in.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Which delivery this one repeats on an operator's request.
    pub redelivery_of: Option<u32>,
    /// When the delivery was made: on arrival, or on redelivery.
    pub created_at: Moment,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The lease under which it was made.
    pub lease: Lease,
    /// When it ended.
    pub at: Moment,
    /// What is to be done now.
    pub verdict: Verdict,
    /// What is told of the attempt.
    pub attempt: Option<NewAttempt>,
}

/// What is to be done with a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it arrived.
    Delivered,
    /// Try again from this moment on.
    RetryAt(Moment),
    /// Nothing: it is given up, for this reason.
    Dead(Box<str>),
    /// Try again at once, the attempt not counting: it was broken off for no fault of the delivery. Where it is told, the next
    /// attempt of its number takes its place in the log.
    Released,
}

/// One attempt, for the log of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttempt {
    /// When it began.
    pub started_at: Moment,
    /// How long it took.
    pub took: Duration,
    /// The HTTP status, or the command's exit code.
    pub status: Option<i32>,
    /// What happened, in one sentence; never a body or a secret.
    pub detail: Box<str>,
}

/// Whether a settlement was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was.
    Recorded,
    /// It was not: the lease had run out and a later claim of its destination has found it so, or it was settled before, or the
    /// process that had it has ended.
    Fenced,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many events.
    pub events: u64,
    /// Whether another call may forget more.
    pub more: bool,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be attempted when it is due.
    Waiting,
    /// Behind another one with the same order key.
    Held,
    /// Being attempted, under a lease.
    Delivering,
    /// It arrived.
    Delivered,
    /// Given up after too many attempts or too long a time; an operator can redeliver or drop it.
    Dead,
    /// Was dead, and an operator has dropped it.
    Dropped,
    /// Was dead, and an operator has redelivered it: a later delivery stands in its place.
    Redelivered,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Waiting, Self::Held, Self::Delivering, Self::Delivered, Self::Dead, Self::Dropped, Self::Redelivered];

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Delivering => "delivering",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
            Self::Redelivered => "redelivered",
        }
    }

    /// Whether something is still to be done.
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::Waiting | Self::Held | Self::Delivering)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bodies are customers' texts: their length will do in a log.
impl fmt::Debug for NewRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRefused")
            .field("at", &self.at)
            .field("endpoint", &self.endpoint)
            .field("code", &self.code)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body_length", &self.body_length)
            .finish_non_exhaustive()
    }
}

/// As above.
impl fmt::Debug for LeasedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedDelivery")
            .field("lease", &self.lease)
            .field("attempt", &self.attempt)
            .field("kind", &self.kind)
            .field("headers", &self.headers)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}
