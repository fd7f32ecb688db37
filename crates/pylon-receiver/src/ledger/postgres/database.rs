//! What all work on the ledger shares: connections, the bell, the runtime that drives them.

use super::connection::{Connection, Pool, pool, renew};
use super::connector::Connector;
use super::error::Fault;
use super::lost::Lost;
use super::notifier::Notifier;
use super::options::PostgresOptions;
use super::pooler;
use super::probe::Probe;
use super::session::{Dedicated, Use};
use crate::ledger::{Bell, LedgerError};
use crate::postgres_address::PostgresAddress;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{RwLock, watch};
use tokio::time::Instant;
use uuid::Uuid;

/// Connections that record.
pub(super) const WRITERS: usize = 2;
/// Connections for claims and settlements.
const COURIERS: usize = 4;
/// Connections for reading and for operators' orders.
const READERS: usize = 3;
/// Connections for what may take minutes.
const CHORES: usize = 2;

/// Shared by everything that works on one ledger.
pub(super) struct Database {
    /// Where all work runs: callers may stop waiting, and may live in a runtime that ends.
    pub(super) runtime: Handle,
    pub(super) options: PostgresOptions,
    /// The ledger's own id: other ledgers in the same database have other locks and channels.
    pub(super) id: Uuid,
    /// Where it is, for people, without a password.
    pub(super) name: Box<str>,
    pub(super) bell: Bell,
    /// Tells other receivers that something is due.
    pub(super) notifier: Arc<Notifier>,
    /// Exchanges whose answer was lost.
    pub(super) lost: Lost,
    /// What a commit is worth.
    pub(super) probe: Probe,
    connector: Arc<Connector>,
    writers: Pool,
    couriers: Pool,
    readers: Pool,
    chores: Pool,
    /// Whether it is about to be closed: what takes long breaks off.
    is_closing: watch::Sender<bool>,
    /// Whether the ledger is closed; locked to read while something is done.
    closed: Arc<RwLock<bool>>,
}

impl Database {
    pub(super) async fn connect(
        address: &PostgresAddress,
        options: PostgresOptions,
        runtime: Handle,
    ) -> Result<Self, LedgerError> {
        let connector = Arc::new(Connector::new(address, &options, runtime.clone()));
        let chores = pool(&connector, Use::Chores, CHORES)?;
        let mut connection = chores.get().await.map_err(Fault::from)?;
        pooler::examine(&connection, &connector).await?;
        let id = super::migrate::run(&mut connection, &address.schema, options.makes_tables).await?;
        drop(connection);
        connector.expect(id);
        let readers = pool(&connector, Use::Read, READERS)?;
        let bell = Bell::default();
        let writers = pool(&connector, Use::Write, WRITERS)?;
        let couriers = pool(&connector, Use::Deliver, COURIERS)?;
        Ok(Self {
            notifier: Arc::default(),
            probe: Probe::new(options.promise),
            connector,
            writers,
            couriers,
            readers,
            chores,
            is_closing: watch::Sender::new(false),
            runtime,
            options,
            id,
            name: address.to_string().into(),
            bell,
            lost: Lost::default(),
            closed: Arc::default(),
        })
    }

    /// Gives up connections that are to be renewed as soon as that is known, also those that nobody uses. Ends with the ledger.
    pub(super) fn keep_fresh(self: &Arc<Self>) {
        let (mut generations, database) = (self.connector.generations(), Arc::downgrade(self));
        self.runtime.spawn(async move {
            while generations.changed().await.is_ok() {
                let Some(database) = database.upgrade() else { return };
                let generation = *generations.borrow_and_update();
                // What is known may be of another server.
                database.probe.doubt.notify_one();
                for pool in [&database.writers, &database.couriers, &database.readers, &database.chores] {
                    renew(pool, generation);
                }
            }
        });
    }

    /// A connection for this use.
    pub(super) async fn connection(&self, used_for: Use) -> Result<Connection, Fault> {
        let pool = match used_for {
            Use::Write => &self.writers,
            Use::Deliver => &self.couriers,
            Use::Read => &self.readers,
            Use::Chores => &self.chores,
            // Each has one of its own.
            Use::Listen | Use::Probe => return Err(Fault::Other("expected a use with a pool, found another".into())),
        };
        Ok(pool.get().await?)
    }

    /// A connection of the caller's own, beside the pools, with what other sessions notify it of.
    pub(super) async fn dedicated(&self, used_for: Use) -> Result<Dedicated, Fault> {
        self.connector.connect(used_for, Instant::now()).await
    }

    /// Does something to its end, also when nobody waits for the answer any more.
    pub(super) async fn run<T: Send + 'static, E, W>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> W + Send + 'static,
    ) -> Result<T, LedgerError>
    where
        E: Into<LedgerError> + Send + 'static,
        W: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (database, closed) = (self.clone(), self.closed.clone());
        let task = self.runtime.spawn(async move {
            let closed = closed.read_owned().await;
            if *closed {
                return Err(LedgerError::Closed);
            }
            work(database).await.map_err(E::into)
        });
        task.await.unwrap_or_else(|error| Err(LedgerError::Failed(error.to_string().into())))
    }

    /// Rings for the destination, here and at other receivers.
    pub(super) fn wake(&self, destination: &Arc<str>) {
        self.bell.ring(destination);
        self.notifier.tell(destination);
    }

    /// Whether it is about to be closed.
    pub(super) fn is_closing(&self) -> bool {
        *self.is_closing.borrow()
    }

    /// Waits until it is about to be closed.
    pub(super) async fn closing(&self) {
        // The sender is here as long as this is.
        let _ = self.is_closing.subscribe().wait_for(|is_closing| *is_closing).await;
    }

    /// Waits for what is being done, and lets nothing else begin.
    pub(super) async fn close(&self) {
        self.is_closing.send_replace(true);
        self.notifier.end();
        *self.closed.write().await = true;
        for pool in [&self.writers, &self.couriers, &self.readers, &self.chores] {
            pool.close();
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.notifier.end();
    }
}
