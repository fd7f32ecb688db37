//! A ledger that keeps what it gets for the test to see, and fails or waits where it is told to.

use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Moment};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

pub(crate) struct FakeLedger {
    pub(crate) events: Mutex<Vec<NewEvent>>,
    pub(crate) refused: Mutex<Vec<NewRefused>>,
    /// What comes of the next events.
    pub(crate) fault: Mutex<Option<LedgerError>>,
    /// How many have begun to be recorded.
    pub(crate) begun: AtomicUsize,
    /// One permit for each commit that may go on.
    pub(crate) go: Semaphore,
}

impl Default for FakeLedger {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            refused: Mutex::default(),
            fault: Mutex::default(),
            begun: AtomicUsize::new(0),
            go: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }
}

impl FakeLedger {
    /// No commit goes on from here.
    pub(crate) fn hang(&self) {
        self.go.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn fail(&self, fault: Option<LedgerError>) {
        *self.fault.lock().unwrap() = fault;
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    fn keep(&self, event: NewEvent) -> Recorded {
        let mut events = self.events.lock().unwrap();
        let is_same = |earlier: &&NewEvent| {
            let key = |event: &NewEvent| event.deduplication.as_ref().map(|deduplication| deduplication.key.clone());
            earlier.endpoint == event.endpoint && key(earlier).is_some() && key(earlier) == key(&event)
        };
        if let Some(earlier) = events.iter().find(|earlier| event.passed.contains(&earlier.id)) {
            return Recorded::Looped(earlier.id);
        }
        if let Some(earlier) = events.iter().find(is_same) {
            return Recorded::Duplicate(earlier.id);
        }
        events.push(event);
        Recorded::Stored
    }
}

fn unused<'a, T>() -> LedgerFuture<'a, T> {
    unreachable!("nobody who accepts webhooks asks for this")
}

impl Ledger for FakeLedger {
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded> {
        Box::pin(async move {
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.go.acquire().await.unwrap().forget();
            match self.fault.lock().unwrap().clone() {
                Some(fault) => Err(fault),
                None => Ok(self.keep(event)),
            }
        })
    }
    fn keep_refused(&self, refused: NewRefused) {
        self.refused.lock().unwrap().push(refused);
    }
    fn exchange(&self, _: Exchange) -> LedgerFuture<'_, Exchanged> {
        unused()
    }
    fn renew(&self, _: Vec<Lease>, _: Duration) -> LedgerFuture<'_, Vec<bool>> {
        unused()
    }
    fn release(&self, _: Owner) -> LedgerFuture<'_, u64> {
        unused()
    }
    fn wakes(&self) -> Wakes {
        Bell::default().wakes()
    }
    fn begin_order(&self, _: NewOrder) -> LedgerFuture<'_, BegunOrder> {
        unused()
    }
    fn carry_out(&self, _: u64, _: OrderPart) -> LedgerFuture<'_, Carried> {
        unused()
    }
    fn end_order(&self, _: u64, _: OrderEnd) -> LedgerFuture<'_, Option<OrderRecord>> {
        unused()
    }
    fn cancel_order(&self, _: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        unused()
    }
    fn orders(&self, _: Page<u64>) -> LedgerFuture<'_, Vec<OrderRecord>> {
        unused()
    }
    fn order(&self, _: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        unused()
    }
    fn present(&self) -> LedgerFuture<'_, Moment> {
        unused()
    }
    fn prune(&self, _: Prune) -> LedgerFuture<'_, Pruned> {
        unused()
    }
    fn events(&self, _: EventFilter, _: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        unused()
    }
    fn event(&self, _: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        unused()
    }
    fn deliveries(&self, _: DeliveryFilter, _: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        unused()
    }
    fn refused(&self, _: RefusedFilter, _: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        unused()
    }
    fn dead_groups(&self) -> LedgerFuture<'_, Vec<DeadGroup>> {
        unused()
    }
    fn stats(&self) -> LedgerFuture<'_, Stats> {
        unused()
    }
    fn check(&self) -> LedgerFuture<'_, ()> {
        unused()
    }
    fn close(&self) -> LedgerFuture<'_, ()> {
        unused()
    }
}
