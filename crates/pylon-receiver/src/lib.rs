//! An engine that stands in front of an app and loses no Pylon (usepylon.com) webhook: it verifies each request, commits the event
//! to a ledger on disk, answers 200, and delivers the event with retries until the app has it.
//!
//! The command `pylon-receiver` (crate `pylon-receiver-cli`) runs this engine as a process of its own. Use this crate to run the
//! engine inside your own program:
//!
//! ```
//! use pylon_receiver::config::{EndpointConfig, SecretSource};
//! use pylon_receiver::{Receiver, handlers_of};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (any_port, ledger) = (([127, 0, 0, 1], 0), folder.path().join("pylon.db"));
//! let handlers = handlers_of(|event| async move {
//!     println!("{}: {}, attempt {}", event.attempt.event(), event.event_type(), event.attempt.number);
//!     Ok(())
//! });
//! let receiver = Receiver::builder()
//!     .listen(any_port)
//!     .admin(any_port)
//!     .sqlite(ledger)
//!     .endpoint(EndpointConfig::signed("/webhook", [SecretSource::Environment("PYLON_WEBHOOK_SECRET".into())]))
//!     .handlers("app", handlers)
//!     .start()
//!     .await?;
//! if let Some(address) = receiver.webhooks() {
//!     println!("webhooks come in at http://{address}/webhook");
//! }
//! receiver.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to find what
//!
//! | Idea | Type |
//! | --- | --- |
//! | start, reload and stop a receiver | [`Receiver`], [`ReceiverBuilder`], [`StartFault`], [`ReloadFault`] |
//! | only accept, or only deliver, beside other receivers on one ledger | [`Role`] |
//! | sockets that a service manager holds open while the program restarts | [`InheritedSocket`] |
//! | settings: endpoints, destinations, retries, limits, secrets | [`config`] |
//! | what a configuration would meet on this machine, before a start | [`Preflight`] |
//! | how many files a receiver may have open, to raise the limit of the process | [`descriptors`] |
//! | deliver to code in this process | [`handlers_of`], [`Handlers`], [`DeliveredEvent`], [`Attempt`] |
//! | the JSON of the admin API, for a client or a page of your own | [`wire`] |
//! | where a PostgreSQL ledger is | [`PostgresAddress`] |
//! | read a ledger without a running receiver, through the same API | [`open_ledger`], [`OfflineAdmin`] |
//! | move everything into another ledger | [`LedgerMove`] |
//! | where events are kept; a ledger of your own (the trait is **not yet stable**) | [`ledger`] |
//! | ids, times and headers of what is kept | [`EventId`], [`DeliveryId`], [`Moment`], [`Headers`] |
//! | replace time and randomness in tests | [`WallClock`], [`Randomness`] |
//! | collect traces of requests and attempts | [`traces`] |
//!
//! # Features
//!
//! | Feature | Adds |
//! | --- | --- |
//! | `nats` | destinations at NATS JetStream, [`config::NatsTransport`]; without it, a configuration that has one is refused |
//!
//! # Scope
//!
//! | The engine | It does not |
//! | --- | --- |
//! | accepts Pylon's webhooks and signed requests of the same form | verify the signatures of other senders |
//! | delivers at least once: an app may see an event twice | deliver exactly once |
//! | keeps the order of events that share an order key, for each destination | keep one order for all events |
//! | keeps events in a SQLite file, which one process serves, or with the feature `postgres` in a PostgreSQL database, which several share | run a database |
//! | logs and traces through `tracing` | install a subscriber or export traces: the command does |

#![forbid(unsafe_code)]

mod accept;
mod access;
mod activity;
mod admin;
mod certificate;
pub mod config;
mod deliver;
mod file;
mod headers;
mod id;
pub mod ledger;
mod metrics;
mod operator_role;
mod pem;
mod postgres_address;
mod promise;
mod random;
mod rate;
mod receiver;
mod role;
pub mod text;
mod time;
mod tls_cause;
pub mod traces;
mod ui;
pub mod wire;

pub use accept::InheritedSocket;
pub use admin::OfflineAdmin;
pub use deliver::{Attempt, DeliveredEvent, HandlerFuture, Handlers, handlers_of};
pub use headers::Headers;
pub use id::{DeliveryId, EventId, PartOfId};
pub use operator_role::OperatorRole;
pub use pem::TlsFault;
pub use postgres_address::{PostgresAddress, PostgresHost, PostgresTls};
pub use promise::Promise;
pub use random::{Randomness, SystemRandomness};
pub use receiver::{
    LedgerAccess, LedgerMove, Preflight, Receiver, ReceiverBuilder, ReloadFault, StartFault, descriptors, open_ledger,
};
pub use role::Role;
pub use time::{Moment, SystemWallClock, WallClock};
pub use tls_cause::tls_cause;

/// The parts that this crate's own tests drive one by one. Not part of the API: anything here may change in any release.
#[doc(hidden)]
pub mod internals {
    pub use crate::accept::{Acceptor, AcceptorParts, Listener, ListenerLimits, Refreshed, Stopped, TlsKeys};
    pub use crate::access::{Access, Operator};
    pub use crate::activity::{AttemptOutcome, LastAccepted, LastRefused, Recorder};
    pub use crate::admin::{AdminParts, ORDER_LIMIT, Running, RunningDestination};
    pub use crate::certificate::CertificateEnd;
    pub use crate::deliver::{
        Admitted, Backoff, Circuit, CircuitState, Courier, CourierParts, Delivered, Failure, Report, Role, Shortage,
        Transport, TransportFault, TransportFuture, Work, dial, transport,
    };
    pub use crate::ledger::copy::{
        CopyHead, CopySource, CopyState, CopyTarget, CopyTotals, Copying, DeliveryCopy, EventCopy, Held, Holding,
        Incoming, KeyCopy, KeyName, Put, PutKey, RefusedCopy, give_up,
    };
    pub use crate::ledger::sqlite::{open_to_copy_from, open_to_copy_into};
    pub use crate::metrics::Metrics;
    pub use crate::rate::Rate;
    pub use crate::receiver::{OperatorsOptions, operators_router};
}
