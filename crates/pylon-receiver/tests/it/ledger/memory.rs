//! The model behind the trait: what it breaks, the contract does not demand. For other tests too, where any ledger will do.

use super::model::Model;
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Moment};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Keeps everything in the memory, by the rules of the [`Model`].
#[derive(Debug)]
pub(crate) struct MemoryLedger {
    model: Mutex<Model>,
    is_closed: AtomicBool,
}

impl MemoryLedger {
    pub(crate) fn new(most_refused: usize) -> Self {
        Self { model: Mutex::new(Model::new(most_refused)), is_closed: AtomicBool::new(false) }
    }

    /// The ledger that another process finds after this one has ended; this one is used no more.
    pub(crate) fn crashed(&self) -> Self {
        let mut model = self.model.lock().unwrap().clone();
        model.crash();
        Self { model: Mutex::new(model), is_closed: AtomicBool::new(false) }
    }

    fn try_ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Model) -> Result<T, LedgerError>,
    ) -> LedgerFuture<'_, T> {
        let answer = match self.is_closed.load(Ordering::SeqCst) {
            true => Err(LedgerError::Closed),
            false => ask(&mut self.model.lock().unwrap()),
        };
        Box::pin(std::future::ready(answer))
    }

    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&mut Model) -> T) -> LedgerFuture<'_, T> {
        self.try_ask(|model| Ok(ask(model)))
    }
}

impl Ledger for MemoryLedger {
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded> {
        self.try_ask(|model| model.record(event))
    }
    fn keep_refused(&self, refused: NewRefused) {
        drop(self.ask(|model| model.keep_refused(refused)));
    }
    fn claim(&self, claim: Claim) -> LedgerFuture<'_, Claimed> {
        self.ask(|model| model.claim(&claim))
    }
    fn renew(&self, leases: Vec<Lease>, until: Moment) -> LedgerFuture<'_, Vec<bool>> {
        self.ask(|model| model.renew(&leases, until))
    }
    fn settle(&self, settlement: Settlement) -> LedgerFuture<'_, Settled> {
        self.ask(|model| model.settle(settlement))
    }
    fn redeliver(&self, events: Vec<EventId>, destination: Option<Arc<str>>, now: Moment) -> LedgerFuture<'_, u64> {
        self.ask(|model| model.redeliver(&events, destination.as_ref(), now))
    }
    fn redeliver_dead(&self, deliveries: Vec<DeliveryId>, now: Moment) -> LedgerFuture<'_, u64> {
        self.ask(|model| model.redeliver_dead(&deliveries, now))
    }
    fn drop_dead(&self, deliveries: Vec<DeliveryId>, now: Moment) -> LedgerFuture<'_, u64> {
        self.ask(|model| model.drop_dead(&deliveries, now))
    }
    fn prune(&self, received_before: Moment, now: Moment) -> LedgerFuture<'_, Pruned> {
        self.ask(|model| model.prune(received_before, now))
    }
    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        self.ask(|model| model.events(&filter, page))
    }
    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        self.ask(|model| model.event(id))
    }
    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        self.ask(|model| model.deliveries(&filter, page))
    }
    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        self.ask(|model| model.refused(&filter, page))
    }
    fn stats(&self, now: Moment) -> LedgerFuture<'_, Stats> {
        self.ask(|model| model.stats(now))
    }
    fn check(&self) -> LedgerFuture<'_, ()> {
        self.ask(|_| ())
    }
    fn close(&self) -> LedgerFuture<'_, ()> {
        self.is_closed.store(true, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(())))
    }
}
