//! The handle of the ledger: hands each method to its job.

use super::connector::Connector;
use super::database::Database;
use super::error::Fault;
use super::lent::Lent;
use super::options::PostgresOptions;
use super::refused::Refusals;
use super::session::Use;
use super::writer::{Writers, refusal};
use super::{chores, durability, exchange, hand_over, lease, migrate, orders, probing, prune, read, terms, wake};
use crate::id::{DeliveryId, EventId};
use crate::ledger::{
    BegunOrder, Carried, DeadGroup, DeliveryFilter, DeliveryRecord, Durability, EventDetail, EventFilter, EventRecord,
    Exchange, Exchanged, FoundEvents, Lease, Ledger, LedgerError, LedgerFuture, NewEvent, NewOrder, NewRefused,
    OrderEnd, OrderPart, OrderRecord, Owner, Page, Prune, Pruned, Recorded, RefusedFilter, RefusedRecord, Stats, Wakes,
};
use crate::postgres_address::PostgresAddress;
use crate::time::Moment;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Keeps events in a PostgreSQL database. Several receivers may share it.
pub struct PostgresLedger {
    pub(super) database: Arc<Database>,
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
        terms::start(&database);
        wake::start(&database).await?;
        database.keep_fresh();
        probing::start(&database).await?;
        Ok(Self { refusals: Refusals::start(&database), database, writers })
    }
}

impl PostgresLedger {
    /// Finds out whether [`connect`](Self::connect) would succeed, and what an answer of 200 would mean; changes nothing.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub async fn examine(address: &PostgresAddress, options: PostgresOptions) -> Result<Durability, LedgerError> {
        let connector = Arc::new(Connector::new(address, &options, Handle::current()));
        let connection = connector.connect(Use::Probe, Instant::now()).await?;
        migrate::examine(&connection.session, &address.schema).await?;
        let seen = durability::look(&connection.session).await?;
        Ok(seen.judge(options.promise.unwrap_or_default()).durability)
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

    fn begin_order(&self, order: NewOrder) -> LedgerFuture<'_, BegunOrder> {
        Box::pin(self.database.run(move |database| orders::begin(database, order)))
    }

    fn carry_out(&self, number: u64, part: OrderPart) -> LedgerFuture<'_, Carried> {
        Box::pin(self.database.run(move |database| orders::carry_out(database, number, part)))
    }

    fn end_order(&self, number: u64, end: OrderEnd) -> LedgerFuture<'_, Option<OrderRecord>> {
        Box::pin(self.database.run(move |database| orders::end(database, number, end)))
    }

    fn cancel_order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        Box::pin(self.database.run(move |database| orders::cancel(database, number)))
    }

    fn orders(&self, page: Page<u64>) -> LedgerFuture<'_, Vec<OrderRecord>> {
        Box::pin(self.database.run(move |database| orders::list(database, page)))
    }

    fn order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        Box::pin(self.database.run(move |database| orders::order(database, number)))
    }

    fn present(&self) -> LedgerFuture<'_, Moment> {
        Box::pin(self.database.run(orders::present))
    }

    fn prune(&self, prune: Prune) -> LedgerFuture<'_, Pruned> {
        Box::pin(self.database.run(move |database| prune::run(database, prune)))
    }

    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        Box::pin(self.database.run(move |database| read::events(database, filter, page)))
    }

    fn search(&self, filter: EventFilter, page: Page<EventId>, within: Duration) -> LedgerFuture<'_, FoundEvents> {
        Box::pin(self.database.run(move |database| read::search(database, filter, page, within)))
    }

    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        Box::pin(self.database.run(move |database| read::event(database, id)))
    }

    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        Box::pin(self.database.run(move |database| read::deliveries(database, filter, page)))
    }

    fn dead_groups(&self) -> LedgerFuture<'_, Vec<DeadGroup>> {
        Box::pin(self.database.run(read::dead_groups))
    }

    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        Box::pin(self.database.run(move |database| read::refused(database, filter, page)))
    }

    fn stats(&self) -> LedgerFuture<'_, Stats> {
        Box::pin(self.database.run(read::stats))
    }

    fn durability(&self) -> Option<Durability> {
        self.database.probe.durability()
    }

    fn check(&self) -> LedgerFuture<'_, ()> {
        // It says what would become of an event.
        Box::pin(self.database.run(|database| async { check(database).await.map_err(refusal) }))
    }

    fn close(&self) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            self.database.close().await;
            Ok(())
        })
    }
}

/// Something that is written and changes nothing.
const CHECK: &str = "BEGIN; SELECT keep_time(), pg_logical_emit_message(true, 'pylon-receiver', ''); COMMIT";

/// Commits something that is written to disk, here and where a standby is waited for, and changes nothing.
async fn check(database: Arc<Database>) -> Result<(), Fault> {
    database.probe.pass()?;
    let connection = Lent::new(database.connection(Use::Write).await?);
    let before = connection.warnings();
    let met = durability::met(&connection, database.probe.promise);
    let checked = tokio::try_join!(biased; connection.batch_execute(CHECK), met);
    let checked = checked.map_err(Fault::from).and_then(|((), met)| database.probe.meets(met));
    let is_warned = connection.warnings() != before;
    database.probe.confirm(connection.give_back(checked), is_warned)
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLedger").field("id", &self.database.id).finish_non_exhaustive()
    }
}
