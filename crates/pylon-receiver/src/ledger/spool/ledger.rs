//! The ledger with a spool in front of it.

use super::connect::Connect;
use super::drain;
use super::fate::{is_away, may_come};
use super::gate::Told;
use super::options::SpoolOptions;
use super::room::Room;
use super::shared::Shared;
use crate::id::{DeliveryId, EventId};
use crate::ledger::sqlite::SpoolFile;
use crate::ledger::{
    Backup, BegunOrder, Carried, DeadGroup, DeliveryFilter, DeliveryRecord, Durability, EventDetail, EventFilter,
    EventRecord, Exchange, Exchanged, FoundEvents, Lease, Ledger, LedgerError, LedgerFuture, NewEvent, NewOrder,
    NewRefused, OrderEnd, OrderPart, OrderRecord, Owner, Page, Prune, Pruned, Recorded, RefusedFilter, RefusedRecord,
    SpoolStatus, SqliteOptions, Stats, Wakes,
};
use crate::time::Moment;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long the ledger may take to say whether it could keep events. Probes wait for two seconds.
const CHECK: Duration = Duration::from_secs(1);

/// A ledger that may be away, with a spool in front of it: a SQLite file that keeps new events meanwhile.
///
/// An event goes to the spool when the ledger is unreachable, full or read-only, or does not answer in time. From then on all new
/// events do, until everything is handed over: in the order in which it was kept, with the same ids. So each receiver's events of one
/// line keep their order. What the spool has is in no list and is not delivered before it is handed over.
///
/// Duplicates are found among the events in the spool, and in the ledger once they are handed over.
///
/// Everything but [`record`](Ledger::record) needs the ledger.
pub struct SpooledLedger {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

impl SpooledLedger {
    /// Opens the spool, or makes it, and connects. If the ledger is away, it keeps trying. What is in the spool is handed over first.
    ///
    /// # Errors
    /// What [`SqliteLedger::open`](crate::ledger::SqliteLedger::open) says of the file; [`LedgerError::Failed`] if it is a ledger and no
    /// spool; what the ledger says, unless it may be there later.
    pub async fn start(
        path: impl AsRef<Path>,
        options: SpoolOptions,
        connect: impl Connect,
    ) -> Result<Self, LedgerError> {
        let (clock, observer) = (options.clock.clone(), options.observer.clone());
        let of_file = SqliteOptions { queue: options.queue, clock, observer, ..SqliteOptions::default() };
        let (spool, left) = SpoolFile::open(path.as_ref(), of_file)?;
        let connect: Arc<dyn Connect> = Arc::new(connect);
        let shared = Arc::new(Shared::new(spool, Room::new(options.size, left), options));
        let away = match shared.in_time(shared.options.answer, connect.connect()).await {
            Ok(ledger) => {
                shared.reached(ledger);
                None
            }
            Err(error) if may_come(&error) => Some(error),
            Err(error) => return Err(error),
        };
        let (waiting, path) = (shared.room.waiting(), shared.path.display());
        if waiting > 0 || away.is_some() {
            let open = shared.gate.open().await;
            let told = shared.gate.begin(&open, shared.options.clock.now(), away.clone());
            match away {
                Some(error) if told == Told::Yes => {
                    tracing::error!(%error, %path, waiting, "the ledger is away: events go to the spool, on one disk");
                }
                _ => tracing::info!(%path, waiting, "events of the spool are handed over first"),
            }
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(drain::run(shared.clone(), connect));
        tasks.spawn(drain::remind(shared.clone()));
        Ok(Self { shared, tasks: Mutex::new(tasks) })
    }

    /// What the ledger answers, once it was reached.
    fn ask<'a, T: Send + 'static>(
        &'a self,
        ask: impl FnOnce(&'a dyn Ledger) -> LedgerFuture<'a, T>,
    ) -> LedgerFuture<'a, T> {
        match self.shared.beyond() {
            Ok(ledger) => ask(&**ledger),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl Ledger for SpooledLedger {
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded> {
        Box::pin(self.shared.record(event))
    }

    fn durability(&self) -> Option<Durability> {
        self.shared.beyond().ok()?.durability()
    }

    fn spool(&self) -> Option<SpoolStatus> {
        Some(self.shared.status())
    }

    fn keep_refused(&self, refused: NewRefused) {
        if let Some(ledger) = self.shared.direct() {
            ledger.keep_refused(refused);
        }
    }

    fn exchange(&self, exchange: Exchange) -> LedgerFuture<'_, Exchanged> {
        self.ask(|ledger| ledger.exchange(exchange))
    }

    fn renew(&self, leases: Vec<Lease>, length: Duration) -> LedgerFuture<'_, Vec<bool>> {
        self.ask(move |ledger| ledger.renew(leases, length))
    }

    fn release(&self, owner: Owner) -> LedgerFuture<'_, u64> {
        self.ask(move |ledger| ledger.release(owner))
    }

    fn wakes(&self) -> Wakes {
        match self.shared.ledger() {
            Some(ledger) => ledger.wakes(),
            None => self.shared.bell.wakes(),
        }
    }

    fn begin_order(&self, order: NewOrder) -> LedgerFuture<'_, BegunOrder> {
        self.ask(|ledger| ledger.begin_order(order))
    }

    fn carry_out(&self, number: u64, part: OrderPart) -> LedgerFuture<'_, Carried> {
        self.ask(move |ledger| ledger.carry_out(number, part))
    }

    fn end_order(&self, number: u64, end: OrderEnd) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.ask(move |ledger| ledger.end_order(number, end))
    }

    fn cancel_order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.ask(move |ledger| ledger.cancel_order(number))
    }

    fn orders(&self, page: Page<u64>) -> LedgerFuture<'_, Vec<OrderRecord>> {
        self.ask(move |ledger| ledger.orders(page))
    }

    fn order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.ask(move |ledger| ledger.order(number))
    }

    fn present(&self) -> LedgerFuture<'_, Moment> {
        self.ask(|ledger| ledger.present())
    }

    fn prune(&self, prune: Prune) -> LedgerFuture<'_, Pruned> {
        self.ask(move |ledger| ledger.prune(prune))
    }

    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        self.ask(move |ledger| ledger.events(filter, page))
    }

    fn search(&self, filter: EventFilter, page: Page<EventId>, within: Duration) -> LedgerFuture<'_, FoundEvents> {
        self.ask(move |ledger| ledger.search(filter, page, within))
    }

    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        self.ask(move |ledger| ledger.event(id))
    }

    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        self.ask(move |ledger| ledger.deliveries(filter, page))
    }

    fn dead_groups(&self) -> LedgerFuture<'_, Vec<DeadGroup>> {
        self.ask(|ledger| ledger.dead_groups())
    }

    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        self.ask(move |ledger| ledger.refused(filter, page))
    }

    fn stats(&self) -> LedgerFuture<'_, Stats> {
        self.ask(|ledger| ledger.stats())
    }

    fn check(&self) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            let shared = &self.shared;
            shared.not_closed()?;
            if let Some(ledger) = shared.direct() {
                match shared.in_time(CHECK, ledger.check()).await {
                    // An event that came now would go to the spool.
                    Err(error) if is_away(&error) => {}
                    checked => return checked,
                }
            } else {
                shared.gate.admits()?;
            }
            if shared.room.is_full() {
                return Err(LedgerError::Full);
            }
            shared.spool.check().await
        })
    }

    fn backup(&self) -> LedgerFuture<'_, Backup> {
        self.ask(|ledger| ledger.backup())
    }

    fn close(&self) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            let shared = &self.shared;
            if shared.is_closing() {
                return Ok(());
            }
            let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
            // What is handed over at this moment is handed over once more after the start.
            tasks.shutdown().await;
            // What is on its way into the spool is in it by then.
            let _shut = shared.gate.shut().await;
            if let Ok(events @ 1..) = shared.spool.events().await {
                let path = shared.path.display();
                tracing::warn!(events, %path, "events stay in the spool: they are handed over after the next start");
            }
            let spool = shared.spool.close().await;
            let ledger = match shared.ledger() {
                Some(ledger) => shared.in_time(shared.options.answer, ledger.close()).await,
                None => Ok(()),
            };
            // What a ledger that is away does not have is in the spool.
            spool.and(ledger.or_else(|error| if is_away(&error) { Ok(()) } else { Err(error) }))
        })
    }
}

impl fmt::Debug for SpooledLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpooledLedger").field("path", &self.shared.path).finish_non_exhaustive()
    }
}
