//! The couriers of all destinations, and their change at a reload.

use crate::activity::Recorder;
use crate::config::{Config, DestinationConfig};
use crate::deliver::{CircuitState, Courier, CourierParts, Handlers, transport};
use crate::ledger::{Ledger, Owner, Wake, Wakes};
use crate::metrics::Metrics;
use crate::random::Randomness;
use crate::time::WallClock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The couriers of a receiver.
pub(super) struct Couriers {
    parts: Parts,
    by_name: RwLock<BTreeMap<Arc<str>, Place>>,
    /// Also those of earlier configurations, until their last attempt has ended.
    at_work: Mutex<Vec<AtWork>>,
}

/// A courier, or why there is none: deliveries wait until its secret can be read.
type Place = Result<Arc<Courier>, String>;

/// What every courier works with.
pub(super) struct Parts {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) owner: Owner,
    pub(super) metrics: Arc<Metrics>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) clock: Arc<dyn WallClock>,
    pub(super) randomness: Arc<dyn Randomness>,
    /// The program's own, by destination.
    pub(super) handlers: BTreeMap<Arc<str>, Arc<dyn Handlers>>,
}

/// The next couriers, not yet at work.
pub(super) struct Prepared {
    by_name: BTreeMap<Arc<str>, Place>,
    /// How long the couriers at work may take to end.
    patience: Duration,
}

impl Prepared {
    /// The destinations without a courier, a sentence each.
    pub(super) fn unmet(&self) -> Vec<String> {
        unmet(&self.by_name)
    }
}

struct AtWork {
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

impl Couriers {
    /// No courier is at work yet.
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts, by_name: RwLock::default(), at_work: Mutex::default() }
    }

    /// The destinations to which the program's own handlers belong.
    pub(super) fn handled(&self) -> impl Iterator<Item = &Arc<str>> {
        self.parts.handlers.keys()
    }

    /// Makes couriers for the configured destinations and reads their secrets; the couriers do nothing yet. None where the receiver
    /// leaves deliveries to others.
    pub(super) fn prepare(&self, config: &Config) -> Prepared {
        let place = |destination: &DestinationConfig| (destination.name.clone(), self.courier(destination));
        let delivering = config.destinations.iter().filter(|_| config.role.delivers());
        Prepared { by_name: delivering.map(place).collect(), patience: config.limits.shutdown_timeout }
    }

    /// Sets the new couriers to work. The couriers before them end their attempts and begin no more.
    pub(super) fn install(&self, Prepared { by_name, patience }: Prepared) {
        for fault in by_name.values().filter_map(|courier| courier.as_ref().err()) {
            tracing::error!(%fault, "nothing can be delivered there");
        }
        // From the beginning, also after a reload: a rise from nothing is none.
        by_name.keys().for_each(|destination| self.parts.metrics.expect_destination(destination));
        let begun = by_name.values().flatten().map(|courier| {
            let (stop, stopped) = watch::channel(None);
            AtWork { stop, task: tokio::spawn(courier.clone().run(stopped)) }
        });
        let begun: Vec<_> = begun.collect();
        let deadline = Instant::now() + patience;
        {
            let mut at_work = self.at_work();
            at_work.retain(|courier| !courier.task.is_finished());
            for courier in at_work.iter() {
                // A courier that is already stopping keeps its deadline.
                courier.stop.send_modify(|stop| *stop = stop.or(Some(deadline)));
            }
            at_work.extend(begun);
        }
        let couriers: Vec<_> = by_name.values().flatten().cloned().collect();
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        // Messages for new couriers that came before this were lost.
        couriers.iter().for_each(|courier| courier.wake());
    }

    /// Wakes couriers when the ledger says that something is due; ends with the ledger.
    pub(super) async fn follow(&self, mut wakes: Wakes) {
        while let Some(wake) = wakes.next().await {
            let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
            match wake {
                Wake::At(destination) => {
                    if let Some(Ok(courier)) = by_name.get(&destination) {
                        courier.wake();
                    }
                }
                Wake::Everywhere => by_name.values().flatten().for_each(|courier| courier.wake()),
            }
        }
    }

    /// Lets attempts under way end until the moment, and ends all couriers.
    pub(super) async fn stop(&self, deadline: Instant) {
        let at_work = std::mem::take(&mut *self.at_work());
        for courier in &at_work {
            courier.stop.send_modify(|stop| *stop = Some(stop.map_or(deadline, |before| before.min(deadline))));
        }
        for courier in at_work {
            let _ = courier.task.await;
        }
    }

    /// Gives back everything that the receiver has in the ledger, once nothing of it is at work any more.
    pub(super) async fn release(&self) {
        if let Err(error) = self.parts.ledger.release(self.parts.owner).await {
            tracing::warn!(%error, "leases were not given back: they end when their time is over");
        }
    }

    /// Ends all couriers at once.
    pub(super) fn abort(&self) {
        self.at_work().drain(..).for_each(|courier| courier.task.abort());
    }

    /// The destinations, the circuit of each, and whether it is failing.
    pub(super) fn states(&self) -> Vec<(Arc<str>, CircuitState, bool)> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let shown = |(name, courier): (&Arc<str>, &Place)| {
            let circuit = courier.as_ref().map_or(CircuitState::Closed, |courier| courier.circuit());
            let is_failing =
                courier.is_err() || circuit != CircuitState::Closed || self.parts.recorder.is_failing(name);
            (name.clone(), circuit, is_failing)
        };
        by_name.iter().map(shown).collect()
    }

    /// The destinations without a courier, a sentence each.
    pub(super) fn unmet(&self) -> Vec<String> {
        unmet(&self.by_name.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn courier(&self, destination: &DestinationConfig) -> Place {
        let parts = &self.parts;
        let transport = transport(destination, parts.handlers.get(&destination.name));
        let transport = transport.map_err(|fault| format!("destination {}: {fault}", destination.name))?;
        let parts = CourierParts {
            ledger: parts.ledger.clone(),
            owner: parts.owner,
            transport,
            metrics: parts.metrics.clone(),
            recorder: parts.recorder.clone(),
            clock: parts.clock.clone(),
            randomness: parts.randomness.clone(),
        };
        let courier = Courier::new(destination, parts);
        let before = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(match before.get(&destination.name) {
            Some(Ok(before)) => courier.succeeding(before),
            _ => courier,
        }))
    }

    fn at_work(&self) -> MutexGuard<'_, Vec<AtWork>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unmet(by_name: &BTreeMap<Arc<str>, Place>) -> Vec<String> {
    by_name.values().filter_map(|courier| courier.as_ref().err().cloned()).collect()
}
