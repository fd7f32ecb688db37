//! What the API reads from and gives orders to.

use crate::certificate::CertificateEnd;
use crate::ledger::{Ledger, NewDelivery};
use crate::metrics::Metrics;
use crate::role::Role;
use crate::time::WallClock;
use crate::wire::{Activity, CircuitStatus};
use pylon_webhooks::WebhookEvent;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What the API reads from and gives orders to.
#[derive(Clone)]
pub struct AdminParts {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The receiver that serves the ledger; none: the ledger is only read, or shared.
    pub running: Option<Arc<dyn Running>>,
    /// Whether other receivers serve the ledger, so that orders are carried out without one here.
    pub is_shared: bool,
    /// The process's counters.
    pub metrics: Arc<Metrics>,
    /// The present time.
    pub clock: Arc<dyn WallClock>,
}

impl fmt::Debug for AdminParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminParts")
    }
}

/// A running receiver.
pub trait Running: Send + Sync + 'static {
    /// What it does.
    fn role(&self) -> Role;

    /// Its destinations.
    fn destinations(&self) -> Vec<RunningDestination>;

    /// Where an event that came in at this endpoint goes by the present configuration.
    fn routes(&self, endpoint: &str, event: &WebhookEvent) -> Vec<NewDelivery>;

    /// Why it is not ready, a sentence for each reason, without those of the ledger; empty: it is ready.
    fn unmet(&self) -> Vec<String>;

    /// What needs care before long although the receiver is ready, a sentence each.
    fn warnings(&self) -> Vec<String>;

    /// What it has seen since its start. It knows nothing of other receivers, also of those that share its ledger.
    fn activity(&self) -> Activity;

    /// The certificates in use, and when each ends.
    fn certificates(&self) -> Vec<CertificateEnd>;

    /// The configuration as a file would have it, without secrets.
    fn config(&self) -> String;
}

/// A destination of a running receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningDestination {
    /// The name.
    pub name: Arc<str>,
    /// Whether deliveries go out; none: the receiver makes no deliveries.
    pub circuit: Option<CircuitStatus>,
    /// How long an open circuit stays open.
    pub open_for: Option<Duration>,
    /// Whether it is failing; none: the receiver makes no deliveries.
    pub is_failing: Option<bool>,
}
