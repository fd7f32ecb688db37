//! The model behind the trait: what it breaks, the contract does not demand. Also for other tests, where any ledger will do.

use super::model::Model;
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Moment, WallClock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps everything in memory, by the rules of the [`Model`].
pub(crate) struct MemoryLedger {
    model: Arc<Mutex<Model>>,
    bell: Bell,
    clock: Arc<dyn WallClock>,
    is_closed: Arc<AtomicBool>,
    /// How long an exchange takes.
    takes: Duration,
    /// There is always more to prune.
    is_endless: bool,
    /// While it is out: how long it takes to fail.
    outage: Arc<Mutex<Option<Duration>>>,
}

impl MemoryLedger {
    pub(crate) fn new(most_refused: usize, clock: Arc<dyn WallClock>) -> Self {
        let model = Arc::new(Mutex::new(Model::new(most_refused)));
        Self {
            model,
            bell: Bell::default(),
            clock,
            is_closed: Arc::default(),
            takes: Duration::ZERO,
            is_endless: false,
            outage: Arc::default(),
        }
    }

    /// The ledger, each exchange with which takes this long: its answer comes late, what it does is done at once.
    pub(crate) fn slow(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    /// The ledger, in which there is always more to prune.
    pub(crate) fn endless(self) -> Self {
        Self { is_endless: true, ..self }
    }

    /// From now on exchanges and renewals fail after this time; none: they work again.
    pub(crate) fn fail_after(&self, outage: Option<Duration>) {
        *self.outage.lock().unwrap() = outage;
    }

    /// Fails, while the ledger is out.
    async fn outage(&self) -> Result<(), LedgerError> {
        let outage = *self.outage.lock().unwrap();
        let Some(takes) = outage else { return Ok(()) };
        tokio::time::sleep(takes).await;
        Err(LedgerError::Unreachable("as told".into()))
    }

    /// Another handle of the same ledger.
    pub(crate) fn shared(&self) -> Self {
        let Self { model, bell, clock, is_closed, takes, is_endless, outage } = self;
        let (model, bell, clock, is_closed) = (model.clone(), bell.clone(), clock.clone(), is_closed.clone());
        Self { model, bell, clock, is_closed, takes: *takes, is_endless: *is_endless, outage: outage.clone() }
    }

    /// The same ledger as another process has it: it stays open when this one is closed.
    pub(crate) fn another_process(&self) -> Self {
        Self { is_closed: Arc::default(), ..self.shared() }
    }

    /// The ledger that another process finds after this one has ended; this one is used no more.
    pub(crate) fn crashed(&self) -> Self {
        let mut model = self.model.lock().unwrap().clone();
        model.crash();
        let (model, clock) = (Arc::new(Mutex::new(model)), self.clock.clone());
        Self {
            model,
            bell: Bell::default(),
            clock,
            is_closed: Arc::default(),
            takes: self.takes,
            is_endless: self.is_endless,
            outage: Arc::default(),
        }
    }

    /// Reads, at the present.
    fn read<T: Send + 'static>(&self, ask: impl FnOnce(&mut Model) -> T) -> LedgerFuture<'_, T> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(LedgerError::Closed)));
        }
        let answer = {
            let model = &mut *self.model.lock().unwrap();
            model.look_at(self.clock.now());
            ask(model)
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    /// Changes something, from which on the time never goes back.
    fn write<T: Send + 'static>(&self, ask: impl FnOnce(&mut Model) -> T) -> LedgerFuture<'_, T> {
        self.read(|model| {
            model.pass();
            let answer = ask(model);
            model.woken().iter().for_each(|destination| self.bell.ring(destination));
            answer
        })
    }
}

impl Ledger for MemoryLedger {
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded> {
        self.write(|model| model.record(event))
    }
    fn keep_refused(&self, refused: NewRefused) {
        drop(self.write(|model| model.keep_refused(refused)));
    }
    fn exchange(&self, exchange: Exchange) -> LedgerFuture<'_, Exchanged> {
        Box::pin(async move {
            self.outage().await?;
            let answer = self.write(|model| model.exchange(exchange)).await;
            if !self.takes.is_zero() {
                tokio::time::sleep(self.takes).await;
            }
            answer
        })
    }
    fn renew(&self, leases: Vec<Lease>, length: Duration) -> LedgerFuture<'_, Vec<bool>> {
        Box::pin(async move {
            self.outage().await?;
            self.write(|model| model.renew(&leases, length)).await
        })
    }
    fn release(&self, owner: Owner) -> LedgerFuture<'_, u64> {
        self.write(|model| model.release(owner))
    }
    fn wakes(&self) -> Wakes {
        self.bell.wakes()
    }
    fn begin_order(&self, order: NewOrder) -> LedgerFuture<'_, BegunOrder> {
        self.write(|model| model.begin_order(order))
    }
    fn carry_out(&self, number: u64, part: OrderPart) -> LedgerFuture<'_, Carried> {
        self.write(|model| model.carry_out(number, part))
    }
    fn end_order(&self, number: u64, end: OrderEnd) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.write(|model| match end {
            OrderEnd::Done => model.end_order(number, OrderState::Done, None),
            OrderEnd::Failed(reason) => model.end_order(number, OrderState::Failed, Some(reason)),
            OrderEnd::BrokenOff => model.end_order(number, OrderState::BrokenOff, None),
        })
    }
    fn cancel_order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.write(|model| model.end_order(number, OrderState::Cancelled, None))
    }
    fn orders(&self, page: Page<u64>) -> LedgerFuture<'_, Vec<OrderRecord>> {
        self.read(|model| model.orders(page))
    }
    fn order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.read(|model| model.order(number))
    }
    fn present(&self) -> LedgerFuture<'_, Moment> {
        let now = self.clock.now();
        self.read(move |_| now)
    }
    fn prune(&self, prune: Prune) -> LedgerFuture<'_, Pruned> {
        let is_endless = self.is_endless;
        self.write(move |model| match model.prune(prune) {
            Pruned::Here { events, more } => Pruned::Here { events, more: more || is_endless },
            Pruned::Elsewhere => Pruned::Elsewhere,
        })
    }
    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        self.read(|model| model.events(&filter, page))
    }
    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        self.read(|model| model.event(id))
    }
    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        self.read(|model| model.deliveries(&filter, page))
    }
    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        self.read(|model| model.refused(&filter, page))
    }
    fn dead_groups(&self) -> LedgerFuture<'_, Vec<DeadGroup>> {
        self.read(|model| model.dead_groups())
    }

    fn stats(&self) -> LedgerFuture<'_, Stats> {
        self.read(|model| model.stats())
    }
    fn check(&self) -> LedgerFuture<'_, ()> {
        self.write(|_| ())
    }
    fn close(&self) -> LedgerFuture<'_, ()> {
        self.is_closed.store(true, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(())))
    }
}
