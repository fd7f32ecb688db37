//! From a configuration to a receiver at work.

use super::couriers::{Couriers, Parts};
use super::descriptors::Connections;
use super::inherited_addresses::InheritedAddresses;
use super::open::open;
use super::operators::{OperatorsOptions, operators_router};
use super::preflight::{left_alone, pass};
use super::start_fault::StartFault;
use super::{Receiver, Shared, certificates, client_certificates, pruner};
use crate::accept::{Acceptor, AcceptorParts, InheritedSocket, Listener, ListenerLimits, TlsKeys};
use crate::activity::Recorder;
use crate::admin::{AdminParts, Health};
use crate::config::{Config, DestinationConfig, EndpointConfig, LedgerAddress, ListenAddress};
use crate::deliver::Handlers;
use crate::ledger::{Ledger, Owner};
use crate::metrics::Metrics;
use crate::postgres_address::PostgresAddress;
use crate::random::{Randomness, SystemRandomness};
use crate::role::Role;
use crate::time::{SystemWallClock, WallClock};
use http::Request;
use hyper::body::Incoming;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;

/// A receiver in the making: a [`Config`], and what tests replace.
#[must_use]
pub struct ReceiverBuilder {
    config: Config,
    inherited: Inherited,
    handlers: BTreeMap<Arc<str>, Arc<dyn Handlers>>,
    ledger: Option<Arc<dyn Ledger>>,
    clock: Arc<dyn WallClock>,
    randomness: Arc<dyn Randomness>,
}

impl Default for ReceiverBuilder {
    fn default() -> Self {
        Self {
            config: Config::default(),
            inherited: Inherited::default(),
            handlers: BTreeMap::new(),
            ledger: None,
            clock: Arc::new(SystemWallClock),
            randomness: Arc::new(SystemRandomness),
        }
    }
}

impl ReceiverBuilder {
    /// The whole configuration, in place of what was said before.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// What it does of its two jobs; both, unless this says otherwise.
    pub fn role(mut self, role: Role) -> Self {
        self.config.role = role;
        self
    }

    /// Where webhooks come in; port 0 is any that is free.
    pub fn listen(mut self, address: impl Into<ListenAddress>) -> Self {
        self.config.listen = address.into();
        self
    }

    /// Where operators ask; port 0 is any that is free.
    pub fn admin(mut self, address: impl Into<ListenAddress>) -> Self {
        self.config.admin = address.into();
        self
    }

    /// Accepts webhooks at sockets that listen already, whatever `listen` says, also after a reload. The service manager keeps them
    /// open, so that a restart refuses nobody.
    pub fn inherited(mut self, sockets: Vec<InheritedSocket>) -> Self {
        self.inherited.webhooks = sockets;
        self
    }

    /// The same for operators, whatever `admin` says.
    pub fn inherited_admin(mut self, sockets: Vec<InheritedSocket>) -> Self {
        self.inherited.admin = sockets;
        self
    }

    /// Keeps events in this SQLite file.
    pub fn sqlite(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.ledger = LedgerAddress::Sqlite(path.into());
        self
    }

    /// Keeps events in this PostgreSQL database; needs the feature `postgres`.
    pub fn postgres(mut self, address: PostgresAddress) -> Self {
        self.config.ledger = LedgerAddress::Postgres(Box::new(address));
        self
    }

    /// Keeps events in a ledger of your own.
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Adds an endpoint.
    pub fn endpoint(mut self, endpoint: EndpointConfig) -> Self {
        self.config.endpoints.push(endpoint);
        self
    }

    /// Adds a destination.
    pub fn destination(mut self, destination: DestinationConfig) -> Self {
        self.config.destinations.push(destination);
        self
    }

    /// Delivers events to handlers in this process, as the destination of this name. If the configuration has no such destination,
    /// one with every default is added. To choose its settings, add it with
    /// [`TransportConfig::InProcess`](crate::config::TransportConfig::InProcess).
    ///
    /// The handlers stay for the life of the receiver, also when a new configuration does not name them.
    pub fn handlers(mut self, name: impl Into<Arc<str>>, handlers: impl Handlers) -> Self {
        self.handlers.insert(name.into(), Arc::new(handlers));
        self
    }

    /// The clock by which timestamps are fresh and deliveries are due.
    pub fn clock(mut self, clock: impl WallClock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where ids and jitter come from.
    pub fn randomness(mut self, randomness: impl Randomness) -> Self {
        self.randomness = Arc::new(randomness);
        self
    }

    /// Opens the ledger, binds the addresses and starts to work.
    ///
    /// A secret of an endpoint or destination that is missing does not keep it from starting: what needs it is refused, or waits.
    ///
    /// # Errors
    /// [`StartFault`].
    pub async fn start(self) -> Result<Receiver, StartFault> {
        let Self { config, inherited, handlers, ledger, clock, randomness } = self;
        let given = inherited.addresses()?;
        let (config, mut warnings) = pass(config, &given, handlers.keys()).map_err(StartFault::Config)?;
        let role = config.role;
        let operators = OperatorsOptions::of(&config)?;
        let digests = operators.digests();
        let tls = config.tls.as_ref().filter(|_| role.accepts()).map(TlsKeys::read).transpose();
        let tls = tls.map_err(StartFault::Tls)?.map(Arc::new);
        let (metrics, recorder) = (Arc::new(Metrics::new()), Arc::new(Recorder::new()));
        // Bound before the ledger is opened, so that nothing is stored by one that cannot serve.
        let connections = Connections::allowed(&config);
        warnings.extend(connections.warning);
        let (listener, webhooks) = match role.accepts() {
            true => {
                let limits = ListenerLimits::new(&config.limits, connections.webhooks);
                let bound = bind("listen", &config.listen, inherited.webhooks, limits, &metrics).await?;
                (Some(bound.0), bound.1)
            }
            false => (None, Vec::new()),
        };
        let limits = ListenerLimits::new(&config.limits, connections.admin);
        let (admin_listener, admin) = bind("admin", &config.admin, inherited.admin, limits, &metrics).await?;
        let ledger = match ledger {
            Some(ledger) => ledger,
            None => {
                warnings.extend(left_alone(&config));
                open(&config, &metrics, &clock).await?
            }
        };
        let owner = Owner::random(randomness.as_ref());
        // Before anything can be recorded.
        let wakes = ledger.wakes();
        let couriers = Arc::new(Couriers::new(Parts {
            ledger: ledger.clone(),
            owner,
            metrics: metrics.clone(),
            recorder: recorder.clone(),
            clock: clock.clone(),
            randomness: randomness.clone(),
            handlers,
        }));
        let acceptor = role.accepts().then(|| {
            let (ledger, metrics, clock) = (ledger.clone(), metrics.clone(), clock.clone());
            let recorder = recorder.clone();
            Arc::new(Acceptor::new(&config, AcceptorParts { ledger, metrics, recorder, clock, randomness }))
        });
        couriers.install(couriers.prepare(&config));
        let health = config.health.clone();
        let client_certificates = client_certificates::ends(&config);
        let of_acceptor = acceptor.as_ref().map(|acceptor| acceptor.unmet()).unwrap_or_default();
        let missing = [of_acceptor, couriers.unmet()].concat();
        let shared = Arc::new(Shared {
            missing: Mutex::new(missing),
            config: RwLock::new(Arc::new(config)),
            operators: digests,
            acceptor: acceptor.clone(),
            couriers: couriers.clone(),
            ledger: ledger.clone(),
            tls: tls.clone(),
            client_certificates: Mutex::new(client_certificates),
            started_at: clock.now(),
            clock: clock.clone(),
            recorder,
            webhooks: webhooks.clone(),
            given,
            stopping: watch::Sender::new(false),
        });
        let (stop_listening, stop_admin) = (watch::Sender::new(None), watch::Sender::new(None));
        let mut beside = JoinSet::new();
        beside.spawn(certificates::run(shared.clone()));
        let parts =
            AdminParts { ledger, running: Some(shared.clone()), is_shared: false, metrics: metrics.clone(), clock };
        let health = health.map(|path| (path, Health::new(parts.clone())));
        let pruning = tokio::spawn(pruner::run(shared.clone(), owner, metrics));
        beside.spawn(async move { couriers.follow(wakes).await });
        let orphaned = shared.clone();
        beside.spawn(async move { orphaned.tell_of_orphans().await });
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let also = webhooks.get(1..).filter(|others| !others.is_empty()).map(listed);
        let first = webhooks.first().map(tracing::field::display);
        let page = shared.config().page_url(&admin[0]);
        // The usual role goes without saying.
        let role = Some(role).filter(|&role| role != Role::default()).map(Role::name);
        tracing::info!(webhooks = first, also, admin = %admin[0], page, role, "listening");
        for admin in admin.iter().filter(|address| !address.is_loopback()) {
            tracing::warn!(%admin, "the admin API is open to the network without TLS: token and events can be read on the way");
        }
        let listening = acceptor.zip(listener).map(|(acceptor, listener)| {
            let listener = match tls {
                Some(keys) => listener.with_tls(keys),
                None => listener,
            };
            let answer = move |request: Request<Incoming>, remote| {
                let acceptor = acceptor.clone();
                let health =
                    health.as_ref().filter(|(path, _)| request.uri().path() == path).map(|(_, health)| health.clone());
                async move {
                    match health {
                        Some(health) => health.answer(request.method()).await,
                        None => acceptor.answer(request, remote).await,
                    }
                }
            };
            tokio::spawn(listener.run(answer, deadline(&stop_listening)))
        });
        let ask = operators_router(parts, operators);
        let tell = move |mut request: Request<Incoming>, remote: SocketAddr| {
            let mut ask = ask.clone();
            request.extensions_mut().insert(remote);
            async move {
                let Ok(response) = ask.call(request).await;
                response
            }
        };
        Ok(Receiver {
            listening,
            administering: tokio::spawn(admin_listener.run(tell, deadline(&stop_admin))),
            shared,
            webhooks,
            admin,
            stop_listening,
            stop_admin,
            pruning,
            _beside: beside,
        })
    }
}

/// The sockets that listen already.
#[derive(Default)]
struct Inherited {
    webhooks: Vec<InheritedSocket>,
    admin: Vec<InheritedSocket>,
}

impl Inherited {
    fn addresses(&self) -> Result<InheritedAddresses, StartFault> {
        let all = |key, sockets: &[InheritedSocket]| {
            let addresses = sockets.iter().map(InheritedSocket::address).collect::<io::Result<_>>();
            addresses.map_err(|error| StartFault::Inherited { key, kind: error.kind() })
        };
        Ok(InheritedAddresses { listen: all("listen", &self.webhooks)?, admin: all("admin", &self.admin)? })
    }
}

/// Listens at the address, or at the sockets that listen already, and says where: at one address or more.
async fn bind(
    key: &'static str,
    address: &ListenAddress,
    inherited: Vec<InheritedSocket>,
    limits: ListenerLimits,
    metrics: &Arc<Metrics>,
) -> Result<(Listener, Vec<ListenAddress>), StartFault> {
    let fault = |error: io::Error| StartFault::Bind { key, address: address.clone(), kind: error.kind() };
    let listener = match inherited.is_empty() {
        true => Listener::bind(key, address, limits, metrics.clone()).await.map_err(fault)?,
        false => Listener::inherited(key, inherited, limits, metrics.clone()).map_err(fault)?,
    };
    let addresses = listener.addresses().map_err(fault)?;
    Ok((listener, addresses))
}

fn listed(addresses: &[ListenAddress]) -> String {
    addresses.iter().map(ListenAddress::to_string).collect::<Vec<_>>().join(",")
}

/// Waits for the deadline of the end; at once when nobody is left to say it.
fn deadline(stop: &watch::Sender<Option<Instant>>) -> impl Future<Output = Instant> + Send + 'static {
    let mut stop = stop.subscribe();
    async move {
        let stop = stop.wait_for(Option::is_some).await;
        stop.ok().and_then(|deadline| *deadline).unwrap_or_else(Instant::now)
    }
}

impl fmt::Debug for ReceiverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
