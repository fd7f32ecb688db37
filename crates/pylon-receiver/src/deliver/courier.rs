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

/// Delivers to one destination.
///
/// [`run`](Self::run) goes on until it is told to stop; tests drive [`work`](Self::work) by hand instead.
pub struct Courier {
    destination: Arc<Destination>,
    wake: Arc<Notify>,
}

/// An exchange with the ledger that is under way.
type Exchanging = BoxFuture<'static, Result<Exchanged, LedgerError>>;

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

    /// Delivers until it is told to stop, then waits for the attempts under way until the given moment. Attempts that have not ended
    /// by then are broken off and given back.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<Option<Instant>>) {
        let mut work = self.work();
        let mut exchanging = OptionFuture::<Exchanging>::default();
        let mut is_exchanging = false;
        let mut renewal = tokio::time::interval(self.destination.lease() / 3);
        renewal.tick().await;
        while stop.borrow().is_none() {
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
            let look_again = OptionFuture::from(look_at.map(|when| tokio::time::sleep_until(when.into())));
            tokio::select! {
                Some(answer) = &mut exchanging, if is_exchanging => {
                    is_exchanging = false;
                    work.exchanged(answer);
                }
                true = work.attempt_ended() => {}
                Some(()) = look_again => {}
                () = self.wake.notified() => work.wake(),
                _ = renewal.tick() => self.renew(work.leases()).await,
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        if is_exchanging && let Some(answer) = exchanging.await {
            work.exchanged(answer);
        }
        self.finish(work, stop).await;
    }

    async fn renew(&self, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        let Destination { name, parts, .. } = &*self.destination;
        if let Err(error) = parts.ledger.renew(leases, self.destination.lease()).await {
            tracing::error!(destination = %name, %error, "leases could not be renewed");
        }
    }

    /// Gives back what has not begun, lets the attempts under way end, and breaks off those that take too long.
    async fn finish(&self, mut work: Work, mut stop: watch::Receiver<Option<Instant>>) {
        work.give_back();
        work.settle_ended().await;
        while work.under_way() > 0 {
            let deadline = stop.borrow_and_update().unwrap_or_else(steadily);
            tokio::select! {
                _ = work.attempt_ended() => work.settle_ended().await,
                () = tokio::time::sleep_until(deadline.into()) => {
                    let count = work.break_off();
                    let destination = &self.destination.name;
                    tracing::warn!(%destination, count, "attempts were broken off: they are made again after the start");
                }
                // A shutdown after a reload may leave less time. Without a sender the time stays as it is.
                Ok(()) = stop.changed() => {}
            }
        }
        work.settle_ended().await;
    }
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("name", self.name()).finish_non_exhaustive()
    }
}
