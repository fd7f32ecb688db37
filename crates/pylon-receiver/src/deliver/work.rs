//! The work of a courier: what is leased, under way, and ended but not yet settled.
//!
//! Attempts run ahead of the ledger. A slot is free as soon as its answer is in; what was answered and what goes next share one
//! commit. So that slots need not wait for that commit, a few deliveries are leased ahead: as many as end during two commits.

use super::circuit::{Admitted, Role};
use super::destination::{Change, Destination, Judged, steadily};
use super::pace::{LINGER, Pace};
use super::share::Share;
use super::transport::{Attempt, Code, Report, Shortage};
use crate::activity::AttemptOutcome;
use crate::ledger::{
    Claim, Claimed, Exchange, Exchanged, Lease, LeasedDelivery, LedgerError, NewAttempt, Settled, Settlement, Verdict,
};
use crate::rate::Rate;
use crate::traces;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Span;

/// The longest time without a look at the ledger: messages that something is due may be lost.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The shortest time between two looks at a ledger that has nothing due.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// The bodies of all that is leased ahead have this many bytes together at most, and those of one more.
const MOST_AHEAD_BYTES: usize = 8 * 1024 * 1024;
/// How long to wait after an exchange that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long to begin nothing after an attempt for which the receiver lacked something of its own.
const AFTER_SHORTAGE: Duration = Duration::from_secs(1);
/// Shortages that follow each other within this time are told once.
const BURST: Duration = Duration::from_secs(60);
/// What was leased ahead and has not begun by then is given back, so that it waits for no slow attempt here.
const LONGEST_AHEAD: Duration = Duration::from_secs(1);

/// The work of one courier. Tests drive it by hand, with [`step`](Self::step) and [`settle`](Self::settle).
pub struct Work {
    destination: Arc<Destination>,
    rate: Option<Rate>,
    /// Leased and not begun, in the order in which to begin.
    queue: VecDeque<Queued>,
    /// The bytes of the bodies in the queue.
    queued_bytes: usize,
    attempts: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// All leases that are not settled.
    leases: HashSet<Lease>,
    /// What is to be settled.
    ended: VecDeque<Unsettled>,
    /// The exchange under way, if there is one.
    asked: Asked,
    pace: Pace,
    share: Share,
    /// Whether the latest claim was for the latest of what is new.
    was_latest_first: bool,
    /// Whether an interrupted delivery waits for a free slot: until it has one, nothing is leased ahead.
    is_suspect_waiting: bool,
    /// When to look at the ledger again, if there is room.
    look_at: Instant,
    /// Whether something may have become due since the last exchange began.
    is_woken: bool,
    /// After a failure of the ledger: when to ask it again.
    not_before: Instant,
    /// When the receiver last lacked something of its own.
    short_at: Option<Instant>,
    /// Whether nothing more is asked for.
    is_stopping: bool,
}

/// What is in the exchange that is under way.
#[derive(Default)]
struct Asked {
    /// How many of the ended ones, from the first.
    settlements: usize,
    /// The deliveries that are asked for, and since when.
    claim: Option<(Places, Instant)>,
}

/// Deliveries to ask for.
#[derive(Clone, Copy)]
struct Places {
    free: usize,
    ahead: usize,
    repeats_first: usize,
    most_repeats: usize,
    latest_first: bool,
    is_probe: bool,
}

/// Leased and not begun.
struct Queued {
    leased: LeasedDelivery,
    leased_at: Instant,
    role: Role,
}

/// An attempt that has ended.
struct Ended {
    attempt: Attempt,
    lease: Lease,
    is_repeat: bool,
    judged: Judged,
    /// None: the transport panicked.
    report: Option<Report>,
    took: Duration,
    span: Span,
}

/// A lease that waits for its settlement.
struct Unsettled {
    settlement: Settlement,
    /// When the attempt ended.
    since: Instant,
    /// What to tell once it is settled; none: the attempt did not begin.
    told: Option<Told>,
}

struct Told {
    outcome: &'static str,
    took: Duration,
    attempt: u32,
    span: Span,
}

/// What may be asked of the ledger now.
enum Room {
    /// These.
    For(Places),
    /// Nothing before that, unless an attempt ends.
    NotBefore(Instant),
}

impl Work {
    /// Nothing is under way.
    pub(super) fn new(destination: Arc<Destination>) -> Self {
        let now = steadily();
        Self {
            rate: destination.rate.map(|per_second| Rate::new(per_second, now)),
            pace: Pace::new(destination.concurrency, now),
            share: Share::new(destination.concurrency),
            was_latest_first: false,
            destination,
            queue: VecDeque::new(),
            queued_bytes: 0,
            attempts: FuturesUnordered::new(),
            leases: HashSet::new(),
            ended: VecDeque::new(),
            asked: Asked::default(),
            is_suspect_waiting: false,
            look_at: now,
            is_woken: false,
            not_before: now,
            short_at: None,
            is_stopping: false,
        }
    }

    /// One exchange with the ledger, if there is reason for one; then begins what may begin, and says how many that were.
    pub async fn step(&mut self) -> usize {
        if let Ok(exchange) = self.offer() {
            let answer = self.destination.parts.ledger.exchange(exchange).await;
            self.exchanged(answer);
        }
        self.begin()
    }

    /// Waits for the attempts under way, and settles them without asking for more.
    pub async fn settle(&mut self) {
        while self.attempt_ended().await {}
        self.settle_ended().await;
    }

    /// Settles what has ended, without asking for more.
    pub(super) async fn settle_ended(&mut self) {
        if !self.ended.is_empty() {
            let exchange = self.exchange(None);
            let answer = self.destination.parts.ledger.exchange(exchange).await;
            self.exchanged(answer);
        }
    }

    /// Something may be due now.
    pub fn wake(&mut self) {
        self.look_at = steadily();
        // The exchange that is under way may have been too early to see it.
        self.is_woken = true;
    }

    /// Asks for nothing more and gives back what has not begun; false if it was called before. Call it again after each
    /// exchange, which may bring what was asked for before.
    pub(super) fn stop(&mut self) -> bool {
        self.give_back();
        !std::mem::replace(&mut self.is_stopping, true)
    }

    /// Whether no attempt is under way and everything is settled.
    pub(super) fn is_done(&self) -> bool {
        self.attempts.is_empty() && self.queue.is_empty() && self.ended.is_empty()
    }

    /// The leases to renew.
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.leases.iter().copied().collect()
    }

    /// Begins what is leased, as far as slots are free; says how many it began.
    pub(super) fn begin(&mut self) -> usize {
        let now = steadily();
        let mut begun = 0;
        while self.attempts.len() < self.destination.concurrency
            && let Some(Queued { leased, leased_at, role }) = self.queue.pop_front()
        {
            self.queued_bytes -= leased.body.len();
            let age = leased.age + now.saturating_duration_since(leased_at);
            self.attempts.push(attempt(self.destination.clone(), LeasedDelivery { age, ..leased }, role).boxed());
            begun += 1;
        }
        if self.queue.front().is_some_and(|queued| queued.leased_at + LONGEST_AHEAD <= now) {
            self.pace.attempts_take(LONGEST_AHEAD);
            self.give_back();
        }
        begun
    }

    /// Waits until an attempt ends, and takes all that have ended by then; false: none is under way.
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn attempt_ended(&mut self) -> bool {
        let Some(ended) = self.attempts.next().await else { return false };
        self.end(ended);
        while let Some(Some(ended)) = self.attempts.next().now_or_never() {
            self.end(ended);
        }
        true
    }

    /// What to give to the ledger and to ask of it; or when to try again at the latest, unless an attempt ends before.
    pub(super) fn offer(&mut self) -> Result<Exchange, Instant> {
        let now = steadily();
        if now < self.not_before {
            return Err(self.not_before);
        }
        if let Some(oldest) = self.ended.front()
            && self.queue.len() > self.pace.needed()
            && now < oldest.since + LINGER
        {
            // There is enough to begin: more shall share the commit.
            return Err(oldest.since + LINGER);
        }
        match self.room(now) {
            Room::For(places) => Ok(self.exchange(Some(places))),
            Room::NotBefore(_) if !self.ended.is_empty() => Ok(self.exchange(None)),
            Room::NotBefore(when) => {
                let given_back_at = self.queue.front().map(|queued| queued.leased_at + LONGEST_AHEAD);
                Err(given_back_at.map_or(when, |given_back_at| when.min(given_back_at)))
            }
        }
    }

    fn exchange(&mut self, claim: Option<Places>) -> Exchange {
        if let Some(places) = claim {
            self.was_latest_first = places.latest_first;
        }
        let now = steadily();
        self.asked = Asked { settlements: self.ended.len(), claim: claim.map(|places| (places, now)) };
        self.is_woken = false;
        self.pace.exchange_begins(now);
        Exchange {
            destination: self.destination.name.clone(),
            settlements: self.ended.iter().map(|unsettled| unsettled.settlement.clone()).collect(),
            claim: claim.map(|Places { free, ahead, repeats_first, most_repeats, latest_first, is_probe: _ }| Claim {
                owner: self.destination.parts.owner,
                lease: self.destination.lease(),
                free,
                ahead,
                ahead_bytes: MOST_AHEAD_BYTES.saturating_sub(self.queued_bytes),
                repeats_first,
                most_repeats,
                latest_first,
                most_attempts: self.destination.most_attempts(),
            }),
        }
    }

    fn room(&mut self, now: Instant) -> Room {
        if self.is_stopping {
            return Room::NotBefore(now + LONGEST_WAIT);
        }
        if let Some(short_at) = self.short_at
            && now < short_at + AFTER_SHORTAGE
        {
            return Room::NotBefore(short_at + AFTER_SHORTAGE);
        }
        let concurrency = self.destination.concurrency;
        let outstanding = self.queue.len() + self.attempts.len();
        let mut free = concurrency.saturating_sub(outstanding);
        let mut ahead = (concurrency + self.pace.ahead()).saturating_sub(outstanding.max(concurrency));
        if self.is_suspect_waiting || self.queued_bytes >= MOST_AHEAD_BYTES {
            ahead = 0;
        }
        if let Some(rate) = &mut self.rate {
            // What is leased begins at once, so that it may count as gone.
            ahead = 0;
            free = free.min(rate.available(now));
            if free == 0 && outstanding < concurrency {
                return Room::NotBefore(now + rate.wait(now).max(SHORTEST_WAIT));
            }
        }
        if free + ahead == 0 {
            return Room::NotBefore(now + LONGEST_WAIT);
        }
        if self.ended.is_empty() && now < self.look_at {
            return Room::NotBefore(self.look_at);
        }
        let circuit = self.destination.circuit();
        match circuit.admit(now) {
            Admitted::All { most_repeats } => {
                let most_repeats = self.share.most(most_repeats);
                let repeats_first = self.share.first().min(most_repeats);
                // Many that hang may be in front of what would be answered: every second claim passes over them.
                let latest_first = circuit.is_in_doubt() && !self.was_latest_first;
                Room::For(Places { free, ahead, repeats_first, most_repeats, latest_first, is_probe: false })
            }
            Admitted::Probe { may_repeat } if free > 0 => {
                let most_repeats = usize::from(may_repeat);
                let (repeats_first, latest_first) = (0, true);
                Room::For(Places { free: 1, ahead: 0, repeats_first, most_repeats, latest_first, is_probe: true })
            }
            Admitted::Nothing if free > 0 => Room::NotBefore(at_last(circuit.admits_more_at(now), now)),
            _ => Room::NotBefore(now + LONGEST_WAIT),
        }
    }

    /// Takes the ledger's answer.
    pub(super) fn exchanged(&mut self, answer: Result<Exchanged, LedgerError>) {
        let now = steadily();
        let Asked { settlements, claim } = std::mem::take(&mut self.asked);
        match answer {
            Ok(Exchanged { settled, claimed }) => {
                self.pace.exchange_ends(now);
                let ended: Vec<_> = self.ended.drain(..settlements).collect();
                // A ledger owes an answer for each; without one, the settlement may have been lost.
                let settled = settled.into_iter().chain(std::iter::repeat(Settled::Fenced));
                for (unsettled, settled) in ended.into_iter().zip(settled) {
                    self.settled(unsettled, settled);
                }
                match claim {
                    Some((places, asked_at)) => self.claimed(claimed, places, asked_at),
                    // What was settled may have let others go, or is due again soon.
                    None => self.look_at = now,
                }
            }
            Err(LedgerError::Closed) => {
                self.ended.clear();
                self.not_before = now + AFTER_FAILURE;
            }
            Err(error) => {
                let destination = &self.destination.name;
                tracing::error!(%destination, %error, "the ledger took no results and gave no deliveries; trying again");
                self.not_before = now + AFTER_FAILURE;
                // What has ended stays: only the ledger knows which leases still hold.
            }
        }
    }

    fn claimed(&mut self, claimed: Claimed, places: Places, asked_at: Instant) {
        let now = steadily();
        let Claimed { deliveries, exhausted, next_due, suspects_wait } = claimed;
        let destination = &self.destination;
        for delivery in exhausted {
            tracing::error!(event_id = %delivery.event, destination = %destination.name, "dead: its attempts never ended, or its event cannot be read");
            destination.parts.metrics.attempted(&destination.name, "dead", Duration::ZERO);
        }
        let count = deliveries.len();
        if let Some(rate) = &mut self.rate {
            rate.take(count);
        }
        // A claim for free slots alone passes over none: if its last one was interrupted before, so was perhaps the next.
        self.is_suspect_waiting =
            suspects_wait || places.ahead == 0 && deliveries.last().is_some_and(|last| last.is_suspect);
        self.look_at = match next_due {
            _ if self.is_woken => now,
            // The claim was filled: there may be more.
            Some(Duration::ZERO) if count > 0 => now,
            Some(due) => now + due.clamp(SHORTEST_WAIT, LONGEST_WAIT),
            None => now + LONGEST_WAIT,
        };
        let mut circuit = destination.circuit();
        // Repeats may have to wait longer than what is new. More may be admitted since the claim was made: it may have taken a while.
        self.look_at = self.look_at.min(at_last(circuit.admits_more_at(asked_at), now));
        for leased in deliveries {
            let is_repeat = leased.is_repeat;
            let role = if places.is_probe { Role::Probe { is_repeat } } else { Role::Usual { is_repeat } };
            if places.is_probe {
                circuit.probe_begins(is_repeat);
            }
            self.share.leased(is_repeat);
            self.leases.insert(leased.lease);
            self.queued_bytes += leased.body.len();
            self.queue.push_back(Queued { leased, leased_at: now, role });
        }
    }

    /// Tells what became known of a lease's end.
    fn settled(&mut self, unsettled: Unsettled, settled: Settled) {
        let lease = unsettled.settlement.lease;
        self.leases.remove(&lease);
        let Some(Told { outcome, took, attempt, span }) = unsettled.told else { return };
        let destination = &self.destination;
        let outcome = match settled {
            Settled::Recorded => outcome,
            Settled::Fenced => {
                tracing::warn!(event_id = %lease.delivery.event, destination = %destination.name, attempt,
                    "the lease had run out before the attempt ended: it may be delivered once more");
                "fenced"
            }
        };
        span.record("outcome", outcome);
        destination.parts.metrics.attempted(&destination.name, outcome, took);
    }

    /// Judges an attempt.
    fn end(&mut self, ended: Ended) {
        let Ended { attempt, lease, is_repeat, judged, report, took, span } = ended;
        self.share.ended(is_repeat);
        let report = report
            .unwrap_or_else(|| Report::failed(Code::PANIC, None, "the attempt broke off: the transport panicked"));
        span.record("status", report.status);
        let (verdict, change) = self.destination.judge(&report, judged);
        let outcome = self.destination.tell(&attempt, &report, &verdict, took);
        // What was not tried is no attempt.
        let is_tried = verdict != Verdict::Released;
        if is_tried {
            self.pace.attempt_took(took);
            let parts = &self.destination.parts;
            let outcome = AttemptOutcome {
                at: parts.clock.now(),
                delivery: lease.delivery,
                attempt: attempt.number,
                delivered: verdict == Verdict::Delivered,
                status: report.status,
                detail: report.detail.to_string(),
                took_milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            };
            parts.recorder.ended(&self.destination.name, outcome);
        }
        let Report { status, detail, code, answer, .. } = report;
        let record = is_tried.then(|| NewAttempt { took, status, detail, code: code.word(), answer });
        self.ended.push_back(Unsettled {
            settlement: Settlement { lease, verdict, attempt: record },
            since: steadily(),
            told: Some(Told { outcome, took, attempt: attempt.number, span }),
        });
        match change {
            Change::None => {}
            Change::Down => self.give_back(),
            Change::RepeatsWait => self.give_back_where(|queued| queued.leased.is_repeat),
            Change::UpAgain => self.wake(),
            Change::Short(shortage) => self.lacks(shortage),
        }
    }

    /// The receiver lacks something of its own: nothing begins for a while.
    fn lacks(&mut self, shortage: Shortage) {
        let now = steadily();
        if self.short_at.is_none_or(|before| now > before + BURST) {
            let destination = &self.destination.name;
            tracing::error!(%destination, %shortage, "nothing can be delivered: the receiver lacks something of its own; trying again");
        }
        self.short_at = Some(now);
        self.give_back();
    }

    /// Gives back what has not begun.
    pub(super) fn give_back(&mut self) {
        self.give_back_where(|_| true);
    }

    fn give_back_where(&mut self, is_given_back: impl Fn(&Queued) -> bool) {
        let (given_back, kept) = std::mem::take(&mut self.queue).into_iter().partition(is_given_back);
        self.queue = kept;
        let given_back: VecDeque<Queued> = given_back;
        for Queued { leased, role, .. } in given_back {
            self.queued_bytes -= leased.body.len();
            self.destination.circuit().learned_nothing(role);
            self.share.given_back(leased.is_repeat);
            self.release(leased.lease);
        }
    }

    /// Breaks off the attempts under way and gives them back; says how many.
    pub(super) fn break_off(&mut self) -> usize {
        let count = self.attempts.len();
        self.attempts.clear();
        let ended: HashSet<Lease> = self.ended.iter().map(|unsettled| unsettled.settlement.lease).collect();
        let left: Vec<Lease> = self.leases.iter().copied().filter(|lease| !ended.contains(lease)).collect();
        left.into_iter().for_each(|lease| self.release(lease));
        count
    }

    fn release(&mut self, lease: Lease) {
        self.ended.push_back(Unsettled {
            settlement: Settlement { lease, verdict: Verdict::Released, attempt: None },
            since: steadily(),
            told: None,
        });
    }
}

/// The moment, if it is one to wait for, or the last one at which to look again.
fn at_last(moment: Option<Instant>, now: Instant) -> Instant {
    moment.map_or(now + LONGEST_WAIT, |moment| moment.clamp(now + SHORTEST_WAIT, now + LONGEST_WAIT))
}

/// One attempt, from its begin to its end. A panic ends the attempt alone.
async fn attempt(destination: Arc<Destination>, leased: LeasedDelivery, role: Role) -> Ended {
    let LeasedDelivery { lease, is_repeat, counted, age, .. } = leased;
    let attempt = Attempt::new(leased, destination.parts.clock.now());
    let span = traces::deliver(attempt.event(), &destination.name, attempt.number);
    let began = steadily();
    let delivering = AssertUnwindSafe(destination.parts.transport.deliver(&attempt)).catch_unwind();
    let report = delivering.await.ok();
    let took = steadily().saturating_duration_since(began);
    if report.is_none() {
        tracing::error!(event_id = %attempt.event(), destination = %destination.name, "an attempt panicked: it counts as failed");
    }
    let judged = Judged { event: attempt.event(), role, number: attempt.number, counted, age: age + took };
    Ended { attempt, lease, is_repeat, judged, report, took, span }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("destination", &self.destination.name)
            .field("under_way", &self.attempts.len())
            .field("queued", &self.queue.len())
            .field("unsettled", &self.ended.len())
            .finish()
    }
}
