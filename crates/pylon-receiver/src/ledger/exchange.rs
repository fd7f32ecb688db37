//! What a destination's courier gives the ledger, and what it gets for it: results for new work.

use super::answer::AttemptAnswer;
use super::lease::{Lease, LeasedDelivery, Owner};
use crate::id::DeliveryId;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Results of attempts, and a request for more work: all of one destination, all in one commit.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The destination. A lease of another destination does not settle here.
    pub destination: Arc<str>,
    /// How attempts ended.
    pub settlements: Vec<Settlement>,
    /// A request for deliveries to attempt.
    pub claim: Option<Claim>,
}

/// A request for deliveries to attempt. It leases up to `free` + `ahead` deliveries.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who asks.
    pub owner: Owner,
    /// How long the leases last, unless they are renewed.
    pub lease: Duration,
    /// How many attempts can begin at once.
    pub free: usize,
    /// How many more to lease, so that a slot that becomes free need not wait for a commit. A delivery that was interrupted
    /// before is never leased ahead: it is always among the first `free` ones.
    pub ahead: usize,
    /// Once the bodies of those that are leased ahead have this many bytes together, no more are.
    pub ahead_bytes: usize,
    /// How many repeats to lease before anything new.
    pub repeats_first: usize,
    /// How many repeats to lease at most. Those beyond `repeats_first` come behind what is new, for free slots only, never ahead.
    pub most_repeats: usize,
    /// Of what is new, lease the latest due first instead of the longest due: for a probe, which shall not be one of many that fail
    /// alike.
    pub latest_first: bool,
    /// A delivery with this many attempts is dead.
    pub most_attempts: u32,
}

/// The answer to an [`Exchange`].
#[derive(Debug, Clone, Default)]
pub struct Exchanged {
    /// For each settlement, in its order, whether it counted.
    pub settled: Vec<Settled>,
    /// What was leased.
    pub claimed: Claimed,
}

/// What was leased.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The deliveries to attempt, in the order in which to begin them.
    pub deliveries: Vec<LeasedDelivery>,
    /// The deliveries that are dead now, because they were interrupted too often or their event cannot be read.
    pub exhausted: Vec<DeliveryId>,
    /// How long until the next delivery that was not leased may be; none: nothing is left that time alone would bring.
    ///
    /// Zero if the claim was filled, or `ahead_bytes` were: there may be more. Zero as well if `suspects_wait` is true. Repeats that
    /// the claim could not lease, however long due, do not count: for lack of a free slot, or because of `most_repeats`.
    pub next_due: Option<Duration>,
    /// Whether an interrupted delivery is due and was passed over, because it needs a free slot; also in a claim that was
    /// filled. Lease nothing ahead until a slot is free, so that others do not overtake it again and again.
    pub suspects_wait: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The lease under which the attempt was made.
    pub lease: Lease,
    /// What to do now.
    pub verdict: Verdict,
    /// The entry for the log of attempts.
    pub attempt: Option<NewAttempt>,
}

/// What to do with a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it arrived.
    Delivered,
    /// Try again.
    Retry {
        /// After this time.
        after: Duration,
        /// Whether the attempt counts against the delivery.
        counts: bool,
    },
    /// Give up, for this reason.
    Dead(Box<str>),
    /// Give it back, due as before and for the reason as before, without counting the attempt: it did not begin, or it was
    /// broken off for no fault of the delivery. If it has an entry in the log, the next attempt's entry replaces it.
    Released,
}

/// One attempt, for the log of attempts. It ended when it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttempt {
    /// How long it took.
    pub took: Duration,
    /// The HTTP status, or the command's exit code.
    pub status: Option<i32>,
    /// What happened, in one sentence; never a body or a secret.
    pub detail: Box<str>,
    /// What happened, as a stable word by which attempts are grouped, such as `ok`, `http_500` or `timeout`. `destinations.md` in the
    /// documentation has the list.
    pub code: Cow<'static, str>,
    /// What the destination said, if the attempt failed.
    pub answer: Option<AttemptAnswer>,
}

/// The code of a delivery that is dead because its last attempts never ended.
pub(crate) const INTERRUPTED: &str = "interrupted";
/// The code of a delivery that is dead because its event cannot be read.
pub(crate) const DAMAGED: &str = "damaged";
/// The answers of so many first attempts that failed are kept, and of as many last ones: when a failed attempt is logged, the answer of
/// the one that many before it goes, unless it is among the first.
pub(crate) const ANSWERS_AT_AN_END: u32 = 5;

/// Whether a settlement counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It counted.
    Recorded,
    /// It changed nothing: the lease ended before, because it was settled, its time was over, or its process ended.
    Fenced,
}
