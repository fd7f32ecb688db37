//! A destination as its courier knows it: how to deliver there, and what the outcome of an attempt means.

use super::circuit::{Circuit, CircuitState};
use super::retry::{Backoff, Failure};
use super::transport::{Attempt, Delivered, Report, Transport};
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
    ///
    /// Of the delivery it takes how many attempts count with this one, and its age.
    pub(super) fn judge(&self, report: &Report, event: EventId, (counted, age): (u32, Duration)) -> (Verdict, Change) {
        match report.delivered {
            Delivered::Yes => {
                let is_up_again = self.circuit().succeeded();
                if is_up_again {
                    tracing::info!(destination = %self.name, "the destination is up again");
                }
                (Verdict::Delivered, if is_up_again { Change::UpAgain } else { Change::None })
            }
            Delivered::No => {
                let pause = self.circuit().failed(event, steadily());
                if let Some(pause) = pause {
                    let pause_seconds = pause.as_secs_f64();
                    tracing::warn!(destination = %self.name, pause_seconds, "the destination is down: leaving it alone");
                }
                let failure = Failure { attempt: counted, age, retry_after: report.retry_after };
                let verdict = self.backoff.verdict(failure, self.parts.randomness.as_ref());
                (verdict, if pause.is_some() { Change::Down } else { Change::None })
            }
        }
    }

    /// Logs the outcome of an attempt, and names it. The detail may hold what a command printed, so it stays in the ledger.
    pub(super) fn tell(&self, attempt: &Attempt, report: &Report, verdict: &Verdict, took: Duration) -> &'static str {
        let (event_id, destination, number) = (attempt.event(), &self.name, attempt.number);
        let took_ms = took.as_millis() as u64;
        match verdict {
            Verdict::Delivered => {
                tracing::info!(%event_id, %destination, attempt = number, status = report.status, took_ms, "delivered");
                "delivered"
            }
            Verdict::RetryAfter(delay) => {
                let retry_after_ms = delay.as_millis() as u64;
                tracing::warn!(%event_id, %destination, attempt = number, status = report.status, took_ms, retry_after_ms, "not delivered");
                "retry"
            }
            Verdict::Dead(reason) => {
                tracing::error!(%event_id, %destination, attempt = number, status = report.status, took_ms, %reason, "dead");
                "dead"
            }
            Verdict::Released => "released",
        }
    }
}

/// What an attempt changed about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// It is down from now on.
    Down,
    /// It was down and is up again.
    UpAgain,
}

/// The present by the clock that never jumps; tests can hold it still.
pub(super) fn steadily() -> Instant {
    tokio::time::Instant::now().into_std()
}
