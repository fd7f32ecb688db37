//! The handle of the ledger: hands each method to its job.

use super::connection::Use;
use super::database::Database;
use super::error::Fault;
use super::options::PostgresOptions;
use super::refused::Refusals;
use super::writer::Writers;
use super::{chores, dead, exchange, hand_over, lease, prune, read, reassign, redeliver, wake};
use crate::id::{DeliveryId, EventId};
use crate::ledger::{
    DeliveryFilter, DeliveryRecord, EventDetail, EventFilter, EventRecord, Exchange, Exchanged, Lease, Ledger,
    LedgerError, LedgerFuture, NewDelivery, NewEvent, NewRefused, Owner, Page, Prune, Pruned, Recorded, RefusedFilter,
    RefusedRecord, Stats, Wakes,
};
use crate::postgres_address::PostgresAddress;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Keeps events in a PostgreSQL database. Several receivers may share it.
pub struct PostgresLedger {
    database: Arc<Database>,
    writers: Arc<Writers>,
    refusals: Refusals,
}

impl PostgresLedger {
    /// Connects, and makes the tables or brings them to this version.
    ///
    /// # Errors
    /// [`LedgerError::Unreachable`]; [`LedgerError::Unknown`] if the tables are those of a later version.
    pub async fn connect(address: &PostgresAddress, options: PostgresOptions) -> Result<Self, LedgerError> {
        let database = Database::connect(address, options, Handle::current()).await?;
        let database = Arc::new(database);
        let writers = Arc::new(Writers::start(&database));
        chores::start(&database);
        wake::start(&database).await?;
        database.keep_fresh();
        Ok(Self { refusals: Refusals::start(&database), database, writers })
    }
}

impl Ledger for PostgresLedger {
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded> {
        let writers = self.writers.clone();
        Box::pin(self.database.run(move |_| async move { writers.record(event).await }))
    }

    fn hand_over(&self, events: Vec<NewEvent>) -> LedgerFuture<'_, Vec<Result<Recorded, LedgerError>>> {
        Box::pin(
            self.database
                .run(move |database| async move { Ok::<_, LedgerError>(hand_over::run(database, events).await) }),
        )
    }

    fn keep_refused(&self, refused: NewRefused) {
        self.refusals.keep(refused);
    }

    fn exchange(&self, exchange: Exchange) -> LedgerFuture<'_, Exchanged> {
        Box::pin(self.database.run(move |database| exchange::run(database, exchange)))
    }

    fn renew(&self, leases: Vec<Lease>, length: Duration) -> LedgerFuture<'_, Vec<bool>> {
        Box::pin(self.database.run(move |database| lease::renew(database, leases, length)))
    }

    fn release(&self, owner: Owner) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| lease::release(database, owner)))
    }

    fn wakes(&self) -> Wakes {
        self.database.bell.wakes()
    }

    fn redeliver(&self, events: Vec<EventId>, destination: Option<Arc<str>>) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| redeliver::events(database, events, destination)))
    }

    fn route(&self, events: Vec<(EventId, Vec<NewDelivery>)>) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| redeliver::route(database, events)))
    }

    fn redeliver_dead(&self, deliveries: Vec<DeliveryId>) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| dead::redeliver(database, deliveries)))
    }

    fn drop_dead(&self, deliveries: Vec<DeliveryId>) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| dead::drop_all(database, deliveries)))
    }

    fn move_deliveries(&self, from: Arc<str>, to: Arc<str>) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| reassign::to_another(database, from, to)))
    }

    fn drop_deliveries(&self, destination: Arc<str>) -> LedgerFuture<'_, u64> {
        Box::pin(self.database.run(move |database| reassign::drop_all(database, destination)))
    }

    fn prune(&self, prune: Prune) -> LedgerFuture<'_, Pruned> {
        Box::pin(self.database.run(move |database| prune::run(database, prune)))
    }

    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        Box::pin(self.database.run(move |database| read::events(database, filter, page)))
    }

    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        Box::pin(self.database.run(move |database| read::event(database, id)))
    }

    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        Box::pin(self.database.run(move |database| read::deliveries(database, filter, page)))
    }

    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        Box::pin(self.database.run(move |database| read::refused(database, filter, page)))
    }

    fn stats(&self) -> LedgerFuture<'_, Stats> {
        Box::pin(self.database.run(read::stats))
    }

    fn check(&self) -> LedgerFuture<'_, ()> {
        Box::pin(self.database.run(check))
    }

    fn close(&self) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            self.database.close().await;
            Ok(())
        })
    }
}

/// Commits a transaction that has an id, as one that writes has it, and changes nothing.
async fn check(database: Arc<Database>) -> Result<(), Fault> {
    let connection = database.connection(Use::Write).await?;
    connection.batch_execute("BEGIN; SELECT keep_time(), pg_current_xact_id(); COMMIT").await?;
    Ok(())
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLedger").field("id", &self.database.id).finish_non_exhaustive()
    }
}
