//! A ledger that keeps nothing: what everything else costs, for the benchmark.

use super::*;

/// Keeps nothing and says that all is well. For measuring only: whatever it acknowledges is lost.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullLedger;

fn ready<'a, T: Send + 'a>(value: T) -> LedgerFuture<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Ledger for NullLedger {
    fn record(&self, _: NewEvent) -> LedgerFuture<'_, Recorded> {
        ready(Recorded::Stored)
    }
    fn keep_refused(&self, _: NewRefused) {}
    fn claim(&self, _: Claim) -> LedgerFuture<'_, Claimed> {
        ready(Claimed::default())
    }
    fn renew(&self, leases: Vec<Lease>, _: Moment) -> LedgerFuture<'_, Vec<bool>> {
        ready(vec![false; leases.len()])
    }
    fn settle(&self, _: Settlement) -> LedgerFuture<'_, Settled> {
        ready(Settled::Fenced)
    }
    fn redeliver(&self, _: Vec<EventId>, _: Option<Arc<str>>, _: Moment) -> LedgerFuture<'_, u64> {
        ready(0)
    }
    fn redeliver_dead(&self, _: Vec<DeliveryId>, _: Moment) -> LedgerFuture<'_, u64> {
        ready(0)
    }
    fn drop_dead(&self, _: Vec<DeliveryId>, _: Moment) -> LedgerFuture<'_, u64> {
        ready(0)
    }
    fn prune(&self, _: Moment, _: Moment) -> LedgerFuture<'_, Pruned> {
        ready(Pruned::default())
    }
    fn events(&self, _: EventFilter, _: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        ready(Vec::new())
    }
    fn event(&self, _: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        ready(None)
    }
    fn deliveries(&self, _: DeliveryFilter, _: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        ready(Vec::new())
    }
    fn refused(&self, _: RefusedFilter, _: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        ready(Vec::new())
    }
    fn stats(&self, _: Moment) -> LedgerFuture<'_, Stats> {
        ready(Stats::default())
    }
    fn check(&self) -> LedgerFuture<'_, ()> {
        ready(())
    }
    fn close(&self) -> LedgerFuture<'_, ()> {
        ready(())
    }
}
