//! The couriers of all destinations, and their change at a reload.

use crate::config::{Config, DestinationConfig};
use crate::deliver::{CircuitState, Courier, CourierParts, transport};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::random::Randomness;
use crate::time::WallClock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The couriers at work.
pub(super) struct Couriers {
    parts: Parts,
    by_name: RwLock<BTreeMap<Arc<str>, Place>>,
    /// Those of earlier configurations too, until they have ended what was under way.
    at_work: Mutex<Vec<AtWork>>,
}

/// A courier, or why there is none: deliveries wait until its secret is there.
type Place = Result<Arc<Courier>, String>;

/// What every courier works with.
pub(super) struct Parts {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn WallClock>,
    pub(super) randomness: Arc<dyn Randomness>,
}

/// Couriers that are to take the place of those at work.
pub(super) struct Prepared {
    by_name: BTreeMap<Arc<str>, Place>,
    /// How long those at work may take to their end.
    patience: Duration,
}

impl Prepared {
    /// The destinations to which nothing could be delivered, a sentence each.
    pub(super) fn unmet(&self) -> Vec<String> {
        unmet(&self.by_name)
    }
}

struct AtWork {
    stop: watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
}

impl Couriers {
    /// None at work yet.
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts, by_name: RwLock::default(), at_work: Mutex::default() }
    }

    /// Couriers for the configured destinations, their secrets read; they do nothing yet.
    pub(super) fn prepare(&self, config: &Config) -> Prepared {
        let place = |destination: &DestinationConfig| (destination.name.clone(), self.courier(destination));
        Prepared { by_name: config.destinations.iter().map(place).collect(), patience: config.limits.shutdown_timeout }
    }

    /// Sets couriers to work for the configured destinations; those at work before end what is under way, and no more.
    pub(super) fn install(&self, Prepared { by_name, patience }: Prepared) {
        for fault in by_name.values().filter_map(|courier| courier.as_ref().err()) {
            tracing::error!(%fault, "nothing can be delivered there");
        }
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
                // One that was told before keeps the moment that it was told.
                courier.stop.send_modify(|stop| *stop = stop.or(Some(deadline)));
            }
            at_work.extend(begun);
        }
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        // What was kept meanwhile has woken those before.
        self.wake_all();
    }

    /// Has them end what is under way until the moment, and waits for them.
    pub(super) async fn stop(&self, deadline: Instant) {
        let at_work = std::mem::take(&mut *self.at_work());
        for courier in &at_work {
            courier.stop.send_modify(|stop| *stop = Some(stop.map_or(deadline, |before| before.min(deadline))));
        }
        for courier in at_work {
            let _ = courier.task.await;
        }
    }

    /// Breaks everything off.
    pub(super) fn abort(&self) {
        self.at_work().drain(..).for_each(|courier| courier.task.abort());
    }

    /// Has the courier of a destination look at the ledger now.
    pub(super) fn wake(&self, destination: &str) {
        if let Some(Ok(courier)) = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(destination) {
            courier.wake();
        }
    }

    /// Has all couriers look at the ledger now.
    pub(super) fn wake_all(&self) {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .flatten()
            .for_each(|courier| courier.wake());
    }

    /// The destinations, and whether each is taken to be up.
    pub(super) fn states(&self) -> Vec<(Arc<str>, CircuitState)> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let state = |courier: &Place| courier.as_ref().map_or(CircuitState::Closed, |courier| courier.circuit());
        by_name.iter().map(|(name, courier)| (name.clone(), state(courier))).collect()
    }

    /// The destinations to which nothing can be delivered, a sentence each.
    pub(super) fn unmet(&self) -> Vec<String> {
        unmet(&self.by_name.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn courier(&self, destination: &DestinationConfig) -> Place {
        let parts = &self.parts;
        let transport = transport(destination).map_err(|fault| format!("destination {}: {fault}", destination.name))?;
        let parts = CourierParts {
            ledger: parts.ledger.clone(),
            transport,
            metrics: parts.metrics.clone(),
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
