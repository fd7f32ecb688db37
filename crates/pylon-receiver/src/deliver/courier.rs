//! Delivers to one destination: claims what is due, attempts it, settles it.

use super::circuit::{Circuit, CircuitState};
use super::retry::{Backoff, Failure};
use super::transport::{Attempt, Delivered, Report, Transport};
use crate::config::DestinationConfig;
use crate::ledger::{Claim, Lease, LeasedDelivery, Ledger, LedgerError, NewAttempt, Settled, Settlement, Verdict};
use crate::metrics::Metrics;
use crate::random::Randomness;
use crate::rate::Rate;
use crate::time::{Moment, WallClock};
use crate::traces;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};

/// Leases last so much longer than the longest attempt, so that one that ends in time can still be settled.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// The longest time without a look at the ledger, whatever the reason to wait: other processes write too.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After a ledger that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What a courier works with.
#[derive(Clone)]
pub struct CourierParts {
    /// Where deliveries come from.
    pub ledger: Arc<dyn Ledger>,
    /// How they go.
    pub transport: Arc<dyn Transport>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The present time.
    pub clock: Arc<dyn WallClock>,
    /// The chance in the jitter.
    pub randomness: Arc<dyn Randomness>,
}

/// Delivers to one destination.
///
/// [`run`](Self::run) goes on until it is told to stop; tests call [`step`](Self::step) instead.
pub struct Courier {
    name: Arc<str>,
    concurrency: usize,
    timeout: Duration,
    backoff: Backoff,
    parts: CourierParts,
    wake: Arc<Notify>,
    state: Mutex<State>,
}

/// What changes from one delivery to the next.
struct State {
    circuit: Circuit,
    rate: Option<Rate>,
    /// The leases under way.
    leases: HashSet<Lease>,
}

/// What a look at the ledger has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How many attempts it has begun.
    pub begun: usize,
    /// When to look again at the latest, unless an attempt ends or somebody wakes the courier before.
    pub look_again: Duration,
}

impl Courier {
    /// The courier of a destination; it does nothing yet.
    pub fn new(destination: &DestinationConfig, parts: CourierParts) -> Self {
        Self {
            name: destination.name.clone(),
            concurrency: destination.concurrency,
            timeout: destination.timeout,
            backoff: Backoff::new(destination.retry.clone()),
            wake: Arc::default(),
            state: Mutex::new(State {
                circuit: Circuit::new(destination.circuit.clone()),
                rate: destination.rate.map(|per_second| Rate::new(per_second, steadily())),
                leases: HashSet::new(),
            }),
            parts,
        }
    }

    /// Takes the place of another courier: whoever wakes that one wakes this one.
    #[must_use]
    pub fn succeeding(self, before: &Self) -> Self {
        Self { wake: before.wake.clone(), ..self }
    }

    /// The destination's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether the destination is taken to be up.
    pub fn circuit(&self) -> CircuitState {
        self.state().circuit.state(steadily())
    }

    /// Has it look at the ledger now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Delivers until told to stop, then waits for the attempts under way until the given moment; those that have not ended then
    /// are broken off and given back.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<Option<Instant>>) {
        let mut attempts = JoinSet::new();
        let mut renewal = tokio::time::interval(self.lease() / 3);
        renewal.tick().await;
        while stop.borrow().is_none() {
            let step = self.step(&mut attempts).await;
            tokio::select! {
                () = tokio::time::sleep(step.look_again) => {}
                () = self.wake.notified() => {}
                Some(ended) = attempts.join_next() => self.tell_of_panic(&ended),
                _ = renewal.tick() => self.renew().await,
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        self.finish(attempts, stop).await;
    }

    /// Claims what is due and may go now, and begins its attempts.
    pub async fn step(self: &Arc<Self>, attempts: &mut JoinSet<()>) -> Step {
        while let Some(ended) = attempts.try_join_next() {
            self.tell_of_panic(&ended);
        }
        let now = steadily();
        let free = self.concurrency.saturating_sub(attempts.len());
        let (limit, wait) = self.admitted(free, now);
        if limit == 0 {
            return Step { begun: 0, look_again: wait };
        }
        let claimed = match self.claim(limit).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "deliveries could not be claimed");
                self.state().circuit.no_probe(now);
                return Step { begun: 0, look_again: AFTER_FAILURE };
            }
        };
        let begun = claimed.deliveries.len();
        for delivery in &claimed.exhausted {
            tracing::error!(event_id = %delivery.event, destination = %self.name, "dead: its last attempt never ended, or its event cannot be read");
            self.parts.metrics.attempted(&self.name, "dead", Duration::ZERO);
        }
        {
            let mut state = self.state();
            if begun == 0 {
                state.circuit.no_probe(now);
            }
            if let Some(rate) = &mut state.rate {
                rate.take(begun);
            }
            state.leases.extend(claimed.deliveries.iter().map(|delivery| delivery.lease));
        }
        for delivery in claimed.deliveries {
            attempts.spawn(self.clone().attempt(delivery));
        }
        let look_again = match begun == limit {
            // The end of an attempt says when to look again.
            true if limit == free => LONGEST_WAIT,
            true => Duration::ZERO,
            false => claimed.next_due.map_or(LONGEST_WAIT, |due| due.since(self.parts.clock.now())),
        };
        Step { begun, look_again: look_again.clamp(Duration::from_millis(1), LONGEST_WAIT) }
    }

    /// How many attempts may begin, and if none, when to ask again.
    fn admitted(&self, free: usize, now: Instant) -> (usize, Duration) {
        if free == 0 {
            return (0, LONGEST_WAIT);
        }
        let mut state = self.state();
        let (by_rate, wait) = match &mut state.rate {
            None => (free, LONGEST_WAIT),
            Some(rate) => (free.min(rate.available(now)), rate.wait(now).max(Duration::from_millis(1))),
        };
        if by_rate == 0 {
            return (0, wait);
        }
        match state.circuit.admit(by_rate, now) {
            0 => match state.circuit.state(now) {
                CircuitState::Open(left) => (0, left.clamp(Duration::from_millis(1), LONGEST_WAIT)),
                _ => (0, LONGEST_WAIT),
            },
            admitted => (admitted, LONGEST_WAIT),
        }
    }

    async fn claim(&self, limit: usize) -> Result<crate::ledger::Claimed, LedgerError> {
        let now = self.parts.clock.now();
        let claim = Claim {
            destination: self.name.clone(),
            now,
            latest_due: now.after(self.backoff.policy().longest_delay),
            lease_until: now.after(self.lease()),
            limit,
            most_attempts: self.backoff.policy().attempts,
        };
        self.parts.ledger.claim(claim).await
    }

    fn lease(&self) -> Duration {
        self.timeout + LEASE_MARGIN
    }

    /// One attempt, from its begin to its settlement.
    async fn attempt(self: Arc<Self>, leased: LeasedDelivery) {
        let lease = leased.lease;
        let created_at = leased.created_at;
        let attempt = Attempt {
            delivery: lease.delivery,
            number: leased.attempt,
            started_at: self.parts.clock.now(),
            endpoint: leased.endpoint,
            kind: leased.kind,
            headers: leased.headers,
            body: leased.body,
            redelivery_of: leased.redelivery_of,
        };
        let under_way = UnderWay { courier: &self, lease };
        let span = traces::deliver(attempt.event(), &self.name, attempt.number);
        let began = steadily();
        let report = self.parts.transport.deliver(&attempt).await;
        let took = began.elapsed();
        let now = self.parts.clock.now();
        let verdict = self.judge(&report, &attempt, created_at, now);
        let outcome = self.tell(&attempt, &report, &verdict, took);
        span.record("status", report.status);
        let record = NewAttempt { started_at: attempt.started_at, took, status: report.status, detail: report.detail };
        let settled = self.settle(Settlement { lease, at: now, verdict, attempt: Some(record) }).await;
        self.state().leases.remove(&lease);
        drop(under_way);
        match settled {
            Settled::Recorded => {
                span.record("outcome", outcome);
                self.parts.metrics.attempted(&self.name, outcome, took);
            }
            Settled::Fenced => {
                span.record("outcome", "fenced");
                tracing::warn!(event_id = %attempt.event(), destination = %self.name, attempt = attempt.number,
                    "the lease had run out before the attempt ended: it may be delivered once more");
                self.parts.metrics.attempted(&self.name, "fenced", took);
            }
        }
    }

    fn judge(&self, report: &Report, attempt: &Attempt, created_at: Moment, now: Moment) -> Verdict {
        match report.delivered {
            Delivered::Yes => {
                if self.state().circuit.succeeded() {
                    tracing::info!(destination = %self.name, "the destination is up again");
                    self.wake();
                }
                Verdict::Delivered
            }
            Delivered::No => {
                if let Some(pause) = self.state().circuit.failed(attempt.event(), steadily()) {
                    let pause_seconds = pause.as_secs_f64();
                    tracing::warn!(destination = %self.name, pause_seconds, "the destination is down: leaving it alone");
                }
                let failure = Failure { attempt: attempt.number, created_at, now, retry_after: report.retry_after };
                self.backoff.verdict(failure, self.parts.randomness.as_ref())
            }
        }
    }

    /// Logs how an attempt ended; the detail may hold what a command printed, and stays in the ledger.
    fn tell(&self, attempt: &Attempt, report: &Report, verdict: &Verdict, took: Duration) -> &'static str {
        let (event_id, destination, number) = (attempt.event(), &self.name, attempt.number);
        let took_ms = took.as_millis() as u64;
        match verdict {
            Verdict::Delivered => {
                tracing::info!(%event_id, %destination, attempt = number, status = report.status, took_ms, "delivered");
                "delivered"
            }
            Verdict::RetryAt(at) => {
                tracing::warn!(%event_id, %destination, attempt = number, status = report.status, took_ms, retry_at = %at, "not delivered");
                "retry"
            }
            Verdict::Dead(reason) => {
                tracing::error!(%event_id, %destination, attempt = number, status = report.status, took_ms, %reason, "dead");
                "dead"
            }
            Verdict::Released => "released",
        }
    }

    /// Settles; a ledger that fails is asked again for as long as the lease holds, for the attempt was made.
    async fn settle(&self, settlement: Settlement) -> Settled {
        let give_up = steadily() + self.lease();
        loop {
            match self.parts.ledger.settle(settlement.clone()).await {
                Ok(settled) => return settled,
                Err(LedgerError::Closed) => return Settled::Fenced,
                Err(error) if steadily() < give_up => {
                    let event_id = settlement.lease.delivery.event;
                    tracing::error!(%event_id, destination = %self.name, %error, "an attempt could not be settled; trying again");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
                Err(_) => return Settled::Fenced,
            }
        }
    }

    fn tell_of_panic(&self, ended: &Result<(), JoinError>) {
        if ended.as_ref().is_err_and(JoinError::is_panic) {
            tracing::error!(destination = %self.name, "an attempt ended by a panic: it is made again when its lease has run out");
        }
    }

    async fn renew(&self) {
        let leases: Vec<Lease> = self.state().leases.iter().copied().collect();
        if leases.is_empty() {
            return;
        }
        let until = self.parts.clock.now().after(self.lease());
        if let Err(error) = self.parts.ledger.renew(leases, until).await {
            tracing::error!(destination = %self.name, %error, "leases could not be renewed");
        }
    }

    /// Lets the attempts under way end; breaks off those that take too long, and gives them back.
    async fn finish(&self, mut attempts: JoinSet<()>, mut stop: watch::Receiver<Option<Instant>>) {
        loop {
            let deadline = stop.borrow_and_update().unwrap_or_else(steadily);
            tokio::select! {
                ended = attempts.join_next() => match ended {
                    Some(ended) => self.tell_of_panic(&ended),
                    None => return,
                },
                () = tokio::time::sleep_until(deadline.into()) => break,
                // A shutdown after a reload may leave less time. Without anybody to say so, the time stays as it is.
                Ok(()) = stop.changed() => {}
            }
            // The courier that comes after this one cannot know what has become due.
            self.wake();
        }
        attempts.shutdown().await;
        let left: Vec<Lease> = self.state().leases.drain().collect();
        let count = left.len();
        tracing::warn!(destination = %self.name, count, "attempts were broken off: they are made again after the start");
        // All at once, so that they share a commit.
        let mut releasing = JoinSet::new();
        for lease in left {
            let at = self.parts.clock.now();
            let released = Settlement { lease, at, verdict: Verdict::Released, attempt: None };
            let ledger = self.parts.ledger.clone();
            releasing.spawn(async move { ledger.settle(released).await });
        }
        while releasing.join_next().await.is_some() {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that has not ended. However it ends, its lease is renewed no more, and it is not waited for as a probe.
struct UnderWay<'a> {
    courier: &'a Courier,
    lease: Lease,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // At a shutdown that breaks it off, the lease stays, to be given back.
        if std::thread::panicking() {
            let mut state = self.courier.state();
            state.leases.remove(&self.lease);
            state.circuit.no_probe(steadily());
        }
    }
}

/// The present by the clock that never jumps, which tests can hold still.
fn steadily() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for CourierParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CourierParts")
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("name", &self.name).finish_non_exhaustive()
    }
}
