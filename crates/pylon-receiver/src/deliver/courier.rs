//! Delivers to one destination: leases what is due, attempts it, settles it.

use super::circuit::CircuitState;
use super::destination::{CourierParts, Destination, steadily};
use super::work::Work;
use crate::config::DestinationConfig;
use crate::ledger::{Exchanged, Lease, LedgerError};
use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

/// Delivers to one destination.
///
/// [`run`](Self::run) goes on until a message stops it; tests drive [`work`](Self::work) by hand instead.
pub struct Courier {
    destination: Arc<Destination>,
    wake: Arc<Notify>,
}

/// An exchange with the ledger that is under way.
type Exchanging = BoxFuture<'static, Result<Exchanged, LedgerError>>;
/// A renewal of the leases that is under way.
type Renewing = BoxFuture<'static, ()>;

impl Courier {
    /// The courier of a destination; it does nothing yet.
    pub fn new(destination: &DestinationConfig, parts: CourierParts) -> Self {
        Self { destination: Arc::new(Destination::new(destination, parts)), wake: Arc::default() }
    }

    /// Takes the place of another courier: a message for that one wakes this one.
    #[must_use]
    pub fn succeeding(self, before: &Self) -> Self {
        Self { wake: before.wake.clone(), ..self }
    }

    /// The destination's name.
    pub fn name(&self) -> &Arc<str> {
        &self.destination.name
    }

    /// Whether the destination is up.
    pub fn circuit(&self) -> CircuitState {
        self.destination.state()
    }

    /// Makes the courier look at the ledger now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// The work of this courier, of which nothing is under way yet.
    pub fn work(&self) -> Work {
        Work::new(self.destination.clone())
    }

    /// Delivers until a message stops it. Then it gives back what has not begun, and until the given moment it waits for the
    /// attempts under way and tries to settle them. Attempts that have not ended by then are broken off and given back.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<Option<Instant>>) {
        let mut work = self.work();
        let (mut exchanging, mut is_exchanging) = (OptionFuture::<Exchanging>::default(), false);
        let (mut renewing, mut is_renewing) = (OptionFuture::<Renewing>::default(), false);
        let mut renewal = tokio::time::interval(self.destination.lease() / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewal.tick().await;
        let mut has_sender = true;
        loop {
            // A shutdown after a reload may leave less time. Without a sender the time stays as it is.
            let deadline = stop.borrow_and_update().or_else(|| (!has_sender).then(steadily));
            if deadline.is_some() {
                if work.stop() {
                    // The last message may be for the courier that takes this one's place.
                    self.wake.notify_one();
                }
                if work.is_done() && !is_exchanging {
                    return;
                }
            }
            work.begin();
            let mut look_at = None;
            if !is_exchanging {
                match work.offer() {
                    Ok(exchange) => {
                        let ledger = self.destination.parts.ledger.clone();
                        exchanging = Some(async move { ledger.exchange(exchange).await }.boxed()).into();
                        is_exchanging = true;
                    }
                    Err(when) => look_at = Some(when),
                }
            }
            let until = |when: Instant| tokio::time::sleep_until(when.into());
            let (look_again, out_of_time) =
                (OptionFuture::from(look_at.map(until)), OptionFuture::from(deadline.map(until)));
            // Attempts drive their connections themselves, so nothing here may keep them from being polled.
            tokio::select! {
                Some(answer) = &mut exchanging, if is_exchanging => {
                    is_exchanging = false;
                    work.exchanged(answer);
                }
                Some(()) = &mut renewing, if is_renewing => is_renewing = false,
                true = work.attempt_ended() => {}
                Some(()) = look_again => {}
                () = self.wake.notified(), if deadline.is_none() => work.wake(),
                _ = renewal.tick(), if !is_renewing => {
                    renewing = Some(self.clone().renew(work.leases()).boxed()).into();
                    is_renewing = true;
                }
                changed = stop.changed(), if has_sender => has_sender = changed.is_ok(),
                Some(()) = out_of_time => break,
            }
        }
        if is_exchanging && let Some(answer) = exchanging.await {
            work.exchanged(answer);
        }
        let count = work.break_off();
        if count > 0 {
            let destination = &self.destination.name;
            tracing::warn!(%destination, count, "attempts were broken off: they are made again after the start");
        }
        work.settle_ended().await;
    }

    async fn renew(self: Arc<Self>, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        let Destination { name, parts, .. } = &*self.destination;
        if let Err(error) = parts.ledger.renew(leases, self.destination.lease()).await {
            tracing::error!(destination = %name, %error, "leases could not be renewed");
        }
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("name", self.name()).finish_non_exhaustive()
    }
}
