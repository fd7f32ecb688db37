//! A receiver at work: the parts put together, started, reloaded and stopped.

mod activity;
mod builder;
mod certificates;
mod client_certificates;
mod couriers;
mod descriptors;
mod inherited_addresses;
mod ledger_move;
mod open;
mod operators;
mod preflight;
mod pruner;
mod start_fault;

pub use builder::ReceiverBuilder;
pub use descriptors::descriptors;
pub use ledger_move::LedgerMove;
pub use open::{LedgerAccess, open_ledger};
pub use operators::{OperatorsOptions, operators_router};
pub use preflight::Preflight;
pub use start_fault::StartFault;

use crate::accept::{Acceptor, Stopped, TlsKeys, deliveries_of};
use crate::activity::Recorder;
use crate::admin::{Running, RunningDestination};
use crate::certificate::CertificateEnd;
use crate::config::{Config, ConfigFault, ListenAddress, restarts, show};
use crate::deliver::CircuitState;
use crate::ledger::{Ledger, LedgerError, NewDelivery};
use crate::pem::TlsFault;
use crate::role::Role;
use crate::time::{Moment, WallClock};
use crate::wire::{Activity, CircuitStatus};
use activity::{Sources, activity};
use couriers::Couriers;
use inherited_addresses::InheritedAddresses;
use preflight::pass;
use pylon_webhooks::WebhookEvent;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// How long giving back and closing may take at least, however little time is left.
const LAST_WORK: Duration = Duration::from_secs(1);
/// How long operators are answered after everything else has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// A receiver that has started: it accepts, keeps, delivers and answers operators until it is shut down.
///
/// ```
/// use pylon_receiver::config::{EndpointConfig, SecretSource};
/// use pylon_receiver::{Receiver, handlers_of};
///
/// # tokio_test(async {
/// # let folder = tempfile::tempdir()?;
/// let handlers = handlers_of(|event| async move {
///     println!("{} {}", event.attempt.event(), event.event_type());
///     Ok(())
/// });
/// let receiver = Receiver::builder()
///     .listen(([127, 0, 0, 1], 0))
///     .admin(([127, 0, 0, 1], 0))
///     .sqlite(folder.path().join("pylon.db"))
///     .endpoint(EndpointConfig::signed("/webhook", [SecretSource::Environment("PYLON_WEBHOOK_SECRET".into())]))
///     .handlers("app", handlers)
///     .start()
///     .await?;
/// println!("operators ask at {}", receiver.admin());
/// receiver.shutdown().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # });
/// # fn tokio_test(future: impl Future<Output = Result<(), Box<dyn std::error::Error>>>) {
/// #     tokio::runtime::Runtime::new().expect("a runtime").block_on(future).expect("no error");
/// # }
/// ```
///
/// Dropped without [`shutdown`](Self::shutdown), it stops at once; what was acknowledged is on the disk all the same.
pub struct Receiver {
    shared: Arc<Shared>,
    webhooks: Vec<ListenAddress>,
    admin: Vec<ListenAddress>,
    /// Tells the listener of webhooks until when to end.
    stop_listening: watch::Sender<Option<Instant>>,
    /// Tells that of operators, which ends last.
    stop_admin: watch::Sender<Option<Instant>>,
    /// None: it accepts no webhooks.
    listening: Option<JoinHandle<Stopped>>,
    administering: JoinHandle<Stopped>,
    pruning: JoinHandle<()>,
    /// Work beside: it is broken off at the end.
    _beside: JoinSet<()>,
}

/// What the listeners, the operators' API and the owner of the receiver share.
struct Shared {
    config: RwLock<Arc<Config>>,
    /// The digests of those who operate it, from start to end.
    operators: [(&'static str, [u8; 32]); 2],
    /// The secrets that the configuration names and that are missing, a sentence each. A reload holds the lock until all parts go
    /// by its configuration.
    missing: Mutex<Vec<String>>,
    /// None: it accepts no webhooks.
    acceptor: Option<Arc<Acceptor>>,
    couriers: Arc<Couriers>,
    ledger: Arc<dyn Ledger>,
    tls: Option<Arc<TlsKeys>>,
    /// The certificates that destinations are shown.
    client_certificates: Mutex<Vec<CertificateEnd>>,
    clock: Arc<dyn WallClock>,
    started_at: Moment,
    recorder: Arc<Recorder>,
    /// Where webhooks come in; nowhere if it accepts none.
    webhooks: Vec<ListenAddress>,
    given: InheritedAddresses,
    stopping: watch::Sender<bool>,
}

impl Receiver {
    /// Starts a configuration.
    pub fn builder() -> ReceiverBuilder {
        ReceiverBuilder::default()
    }

    /// The first address at which webhooks come in: with the port that was chosen, or with the address that a name has. None: by its
    /// role it accepts no webhooks.
    pub fn webhooks(&self) -> Option<&ListenAddress> {
        self.webhooks.first()
    }

    /// The first address at which operators ask.
    pub fn admin(&self) -> &ListenAddress {
        &self.admin[0]
    }

    /// What it cannot do at present, a sentence each; empty: it is ready, as far as its ledger is.
    pub fn unmet(&self) -> Vec<String> {
        self.shared.unmet()
    }

    /// Goes by another configuration from now on, secrets and certificates read anew. Requests and attempts under way end as they
    /// began. All of it, or nothing.
    ///
    /// # Errors
    /// [`ReloadFault`]; the old configuration stays.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadFault> {
        self.shared.reload(config).await
    }

    /// Stops: is no longer ready, lets attempts under way end, and meanwhile stores what comes in. Then it accepts nothing more,
    /// answers the requests under way, commits, and closes the ledger. What takes too long is given back or broken off: a shutdown
    /// takes no longer than `limits.shutdown_timeout`; if that is short, the ledger has one more second.
    ///
    /// # Errors
    /// What the ledger says at its close; [`LedgerError::Unreachable`] if it did not close in time.
    pub async fn shutdown(mut self) -> Result<(), LedgerError> {
        self.shared.stopping.send_replace(true);
        let longest = self.shared.config().limits.shutdown_timeout;
        let deadline = Instant::now() + longest;
        // A little of the time is left for the last requests and for giving back, and of that a little for closing.
        let left = (longest / 10).min(Duration::from_secs(2));
        let (deadline_of_attempts, deadline_of_requests) = (deadline - left, deadline - left / 2);
        // A ledger that does not answer takes no more time than there is.
        let working = async {
            let _ = until(deadline_of_requests, self.shared.couriers.stop(deadline_of_attempts)).await;
            self.stop_listening.send_replace(Some(deadline_of_requests));
            let last = deadline.max(Instant::now() + LAST_WORK);
            let listening = async {
                let Some(listening) = &mut self.listening else { return };
                if let Ok(Stopped { aborted: 1.. }) = listening.await {
                    tracing::warn!("connections were broken off: they took longer than the shutdown may");
                }
            };
            let _ = tokio::join!(listening, until(last, self.shared.couriers.release()));
            last
        };
        let pruning = async {
            let _ = until(deadline_of_requests, &mut self.pruning).await;
        };
        let (last, ()) = tokio::join!(working, pruning);
        let closed = until(last, self.shared.ledger.close()).await;
        // Whoever was answered has what he was told: it is committed.
        let closed = closed.unwrap_or_else(|_| Err(LedgerError::Unreachable("it did not close in time".into())));
        self.stop_admin.send_replace(Some(Instant::now() + LAST_ANSWERS));
        let _ = (&mut self.administering).await;
        tracing::info!("stopped");
        closed
    }
}

/// Waits for the work until then, as the clock of the machine counts it now.
async fn until<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    timeout(deadline.saturating_duration_since(Instant::now()), work).await
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.iter().for_each(JoinHandle::abort);
        self.administering.abort();
        self.pruning.abort();
        self.shared.couriers.abort();
    }
}

impl Shared {
    fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn client_certificates(&self) -> MutexGuard<'_, Vec<CertificateEnd>> {
        self.client_certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reload(&self, config: Config) -> Result<(), ReloadFault> {
        self.replace(config)?;
        self.tell_of_orphans().await;
        Ok(())
    }

    /// Puts another configuration in the place of the present one: all of it, or nothing.
    fn replace(&self, config: Config) -> Result<(), ReloadFault> {
        let mut known = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let (config, warnings) = pass(config, &self.given, self.couriers.handled()).map_err(ReloadFault::Config)?;
        let changed = restarts(&self.config(), &config);
        if !changed.is_empty() {
            return Err(ReloadFault::NeedsRestart(changed));
        }
        // Everything is made, and judged, before any of it is put in its place.
        let couriers = self.couriers.prepare(&config);
        let accepting = self.acceptor.as_ref().map(|acceptor| (acceptor, Acceptor::prepare(&config)));
        let of_acceptor = accepting.as_ref().map(|(_, settings)| settings.unmet()).unwrap_or_default();
        let missing = [of_acceptor, couriers.unmet()].concat();
        let newly: Vec<String> = missing.iter().filter(|missing| !known.contains(missing)).cloned().collect();
        if !newly.is_empty() {
            return Err(ReloadFault::Missing(newly));
        }
        // By its value: the same file may hold another one.
        let operators = OperatorsOptions::of(&config).map_err(|fault| ReloadFault::Missing(vec![fault.to_string()]))?;
        let of_operators = operators.digests().into_iter().zip(self.operators).filter(|(now, then)| now != then);
        let changed: Vec<_> = of_operators.map(|((key, _), _)| key.to_owned()).collect();
        if !changed.is_empty() {
            return Err(ReloadFault::NeedsRestart(changed));
        }
        if let (Some(keys), Some(files)) = (&self.tls, &config.tls) {
            keys.reload(files).map_err(ReloadFault::Tls)?;
        }
        // From here on nothing can fail.
        self.couriers.install(couriers);
        if let Some((acceptor, settings)) = accepting {
            acceptor.install(settings);
        }
        *known = missing;
        let (endpoints, destinations) = (&config.endpoints, &config.destinations);
        self.recorder.keep_only(
            |name| endpoints.iter().any(|endpoint| *endpoint.name == *name),
            |name| destinations.iter().any(|destination| *destination.name == *name),
        );
        *self.client_certificates() = client_certificates::ends(&config);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        tracing::info!("reloaded");
        Ok(())
    }

    /// Warns of deliveries that wait for a destination that is not configured any more: nobody else would say so.
    async fn tell_of_orphans(&self) {
        // A ledger that cannot be read says so elsewhere.
        let Ok(stats) = self.ledger.stats().await else { return };
        let config = self.config();
        for left in stats.destinations {
            let count = left.waiting + left.held + left.delivering;
            if count > 0 && config.destinations.iter().all(|destination| *destination.name != *left.destination) {
                let destination = &left.destination;
                tracing::warn!(
                    destination,
                    count,
                    "deliveries wait for a destination that is not configured: give them to another with `pylon-receiver deliveries \
                     move --from NAME --to OTHER`, or drop them with `pylon-receiver deliveries drop --destination NAME`"
                );
            }
        }
    }
}

impl Running for Shared {
    fn role(&self) -> Role {
        Shared::config(self).role
    }

    fn destinations(&self) -> Vec<RunningDestination> {
        let shown = |(name, state, is_failing)| {
            let (circuit, open_for) = match state {
                CircuitState::Closed => (CircuitStatus::Closed, None),
                CircuitState::Open(left) => (CircuitStatus::Open, Some(left)),
                CircuitState::Probing => (CircuitStatus::Probing, None),
            };
            RunningDestination { name, circuit: Some(circuit), open_for, is_failing: Some(is_failing) }
        };
        let config = Shared::config(self);
        if config.role.delivers() {
            return self.couriers.states().into_iter().map(shown).collect();
        }
        let configured = config.destinations.iter().map(|destination| destination.name.clone());
        let without = |name| RunningDestination { name, circuit: None, open_for: None, is_failing: None };
        configured.map(without).collect()
    }

    fn routes(&self, endpoint: &str, event: &WebhookEvent) -> Vec<NewDelivery> {
        deliveries_of(&Shared::config(self), endpoint, event)
    }

    fn unmet(&self) -> Vec<String> {
        let stopping = self.stopping.borrow().then(|| match self.acceptor {
            Some(_) => "shutting down: webhooks are stored until the attempts under way have ended".to_owned(),
            None => "shutting down: the attempts under way end".to_owned(),
        });
        let of_acceptor = self.acceptor.iter().flat_map(|acceptor| acceptor.unmet());
        stopping.into_iter().chain(of_acceptor).chain(self.couriers.unmet()).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let now = self.clock.now();
        self.certificates().iter().filter_map(|certificate| certificate.warning(now)).collect()
    }

    fn activity(&self) -> Activity {
        activity(Sources {
            config: &Shared::config(self),
            acceptor: self.acceptor.as_deref(),
            recorder: &self.recorder,
            webhooks: &self.webhooks,
            has_tls: self.tls.is_some(),
            since: self.started_at,
            now: self.clock.now(),
        })
    }

    fn certificates(&self) -> Vec<CertificateEnd> {
        let own = self.tls.iter().filter_map(|keys| keys.end());
        own.chain(self.client_certificates().iter().cloned()).collect()
    }

    fn config(&self) -> String {
        show(&Shared::config(self))
    }
}

/// Why a configuration was not taken while the receiver runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadFault {
    /// It is not in order.
    Config(ConfigFault),
    /// These keys differ, and cannot change while the receiver runs.
    NeedsRestart(Vec<String>),
    /// Secrets that it names are missing, and were not missing before, a sentence each.
    Missing(Vec<String>),
    /// Certificate or key are not in order.
    Tls(TlsFault),
}

impl fmt::Display for ReloadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(fault) => fault.fmt(f),
            Self::NeedsRestart(keys) => {
                write!(f, "`{}` cannot change while the receiver runs: restart it", keys.join("`, `"))
            }
            Self::Missing(missing) => f.write_str(&missing.join("; ")),
            Self::Tls(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ReloadFault {}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("webhooks", &self.webhooks).field("admin", &self.admin).finish_non_exhaustive()
    }
}
