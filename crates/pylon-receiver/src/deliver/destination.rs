//! A destination as its courier knows it: how to deliver there, and what the outcome of an attempt means.

use super::address::address;
use super::circuit::{Circuit, CircuitState, Role};
use super::retry::{Backoff, Failure};
use super::transport::{Attempt, Delivered, Report, Shortage, Transport};
use crate::activity::Recorder;
use crate::config::DestinationConfig;
use crate::id::EventId;
use crate::ledger::{Ledger, Owner, Verdict};
use crate::metrics::Metrics;
use crate::random::Randomness;
use crate::time::WallClock;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Leases last this much longer than the longest attempt, so that an attempt that ends in time can still be settled.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// What a courier works with.
#[derive(Clone)]
pub struct CourierParts {
    /// Where deliveries come from.
    pub ledger: Arc<dyn Ledger>,
    /// Who leases them.
    pub owner: Owner,
    /// How they go.
    pub transport: Arc<dyn Transport>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What operators see of the last attempts.
    pub recorder: Arc<Recorder>,
    /// The present time.
    pub clock: Arc<dyn WallClock>,
    /// The randomness of the jitter.
    pub randomness: Arc<dyn Randomness>,
}

impl fmt::Debug for CourierParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CourierParts")
    }
}

/// A destination with everything that is needed to deliver there.
pub(super) struct Destination {
    pub(super) name: Arc<str>,
    pub(super) concurrency: usize,
    pub(super) rate: Option<f64>,
    pub(super) parts: CourierParts,
    address: Box<str>,
    timeout: Duration,
    backoff: Backoff,
    circuit: Mutex<Circuit>,
}

impl Destination {
    pub(super) fn new(config: &DestinationConfig, parts: CourierParts) -> Self {
        Self {
            name: config.name.clone(),
            concurrency: config.concurrency,
            rate: config.rate,
            parts,
            address: address(&config.transport),
            timeout: config.timeout,
            backoff: Backoff::new(config.retry.clone()),
            circuit: Mutex::new(Circuit::new(config.circuit.clone())),
        }
    }

    /// How long leases last.
    pub(super) fn lease(&self) -> Duration {
        self.timeout + LEASE_MARGIN
    }

    /// A delivery with this many attempts is dead.
    pub(super) fn most_attempts(&self) -> u32 {
        self.backoff.policy().attempts
    }

    /// Whether the destination is up.
    pub(super) fn state(&self) -> CircuitState {
        self.circuit().state(steadily())
    }

    pub(super) fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to do after an attempt, and whether that changed the circuit.
    pub(super) fn judge(&self, report: &Report, judged: Judged) -> (Verdict, Change) {
        let Judged { event, role, number, counted, age } = judged;
        let asked = self.backoff.asked(report.retry_after);
        let now = steadily();
        let failed = |counts: bool| {
            let counted = counted.saturating_add(u32::from(counts));
            let failure = Failure { number, counted, counts, age, retry_after: report.retry_after };
            self.backoff.verdict(failure, self.parts.randomness.as_ref())
        };
        match report.delivered {
            Delivered::Yes => (Verdict::Delivered, self.answered(role, now)),
            Delivered::Refused => (failed(true), self.answered(role, now)),
            Delivered::Busy => {
                let pause = self.circuit().busy(role, asked, now);
                (failed(false), self.paused(pause, report, "the destination asks for fewer events: leaving it alone"))
            }
            Delivered::No => {
                let pause = self.circuit().failed(event, role, asked, now);
                (failed(true), self.paused(pause, report, "the destination is down: leaving it alone"))
            }
            Delivered::NotTried(shortage) => {
                self.circuit().learned_nothing(role);
                (Verdict::Released, Change::Short(shortage))
            }
        }
    }

    fn answered(&self, role: Role, now: Instant) -> Change {
        if !self.circuit().answered(role, now) {
            return Change::None;
        }
        tracing::info!(destination = %self.name, address = %self.address, "the destination is up again");
        Change::UpAgain
    }

    fn paused(&self, pause: Option<Duration>, report: &Report, message: &'static str) -> Change {
        let Some(pause) = pause else { return Change::None };
        let (pause_seconds, cause) = (pause.as_secs_f64(), &report.cause);
        if self.state() == CircuitState::Closed {
            tracing::warn!(destination = %self.name, address = %self.address, pause_seconds, %cause,
                "the destination asks for fewer events in answer to a repeat: repeats wait");
            return Change::RepeatsWait;
        }
        tracing::warn!(destination = %self.name, address = %self.address, pause_seconds, %cause, "{message}");
        Change::Down
    }

    /// Logs the outcome of an attempt, and names it. The report's detail may hold what a command printed, so it stays in the ledger.
    pub(super) fn tell(&self, attempt: &Attempt, report: &Report, verdict: &Verdict, took: Duration) -> &'static str {
        let (event_id, destination, number) = (attempt.event(), &self.name, attempt.number);
        let (address, cause, status) = (&self.address, &report.cause, report.status);
        let took_ms = took.as_millis() as u64;
        match verdict {
            Verdict::Delivered => {
                tracing::info!(%event_id, %destination, attempt = number, status, took_ms, "delivered");
                "delivered"
            }
            Verdict::Retry { after, .. } => {
                let retry_after_ms = after.as_millis() as u64;
                tracing::warn!(%event_id, %destination, %address, attempt = number, status, %cause, took_ms, retry_after_ms, "not delivered");
                "retry"
            }
            Verdict::Dead(reason) => {
                tracing::error!(%event_id, %destination, %address, attempt = number, status, %cause, took_ms, %reason, "dead");
                "dead"
            }
            Verdict::Released => "released",
        }
    }
}

/// An attempt to judge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub(super) event: EventId,
    pub(super) role: Role,
    /// The attempt's number, from 1.
    pub(super) number: u32,
    /// How many attempts of the delivery count without this one.
    pub(super) counted: u32,
    /// The age of the delivery.
    pub(super) age: Duration,
}

/// What an attempt changed about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// It is down from now on.
    Down,
    /// It is up, but repeats wait.
    RepeatsWait,
    /// It was down and is up again.
    UpAgain,
    /// Nothing, but the receiver lacked something of its own.
    Short(Shortage),
}

/// The present by the clock that never jumps; tests can hold it still.
pub(super) fn steadily() -> Instant {
    tokio::time::Instant::now().into_std()
}
