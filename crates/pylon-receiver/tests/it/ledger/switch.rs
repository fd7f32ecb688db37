//! A ledger in memory that can be made to go away, to be silent, to lose its answers, and to refuse events.

use super::memory::MemoryLedger;
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Moment, WallClock};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// What the ledger does with what it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// What it is there for.
    Up,
    /// It does nothing, and says so.
    Away(LedgerError),
    /// It does nothing, and says nothing.
    Silent,
    /// It does what it is there for, and says nothing.
    Mute,
}

/// A ledger that a test turns on and off. Clones are the same.
#[derive(Clone)]
pub(crate) struct Switch(Arc<Inner>);

struct Inner {
    ledger: MemoryLedger,
    way: watch::Sender<Way>,
    /// So many more events, then it is away.
    left: Mutex<Option<usize>>,
    /// Events of this endpoint are refused, for this reason.
    refused: Mutex<Option<(Arc<str>, LedgerError)>>,
    /// What a check says; none: what the ledger says.
    checked: Mutex<Option<LedgerError>>,
    /// New events in the order in which they were kept.
    kept: Mutex<Vec<EventId>>,
    /// How often it was asked to keep events.
    asked: AtomicUsize,
    /// How often it was asked to take what was spooled, or whether it could.
    tried: AtomicUsize,
    /// How long it takes to take what is handed over.
    takes: Mutex<Duration>,
    /// Called when events were handed over, before the answer.
    before_answer: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Switch {
    pub(crate) fn new(clock: impl WallClock) -> Self {
        Self(Arc::new(Inner {
            ledger: MemoryLedger::new(5, Arc::new(clock)),
            way: watch::Sender::new(Way::Up),
            left: Mutex::default(),
            refused: Mutex::default(),
            checked: Mutex::default(),
            kept: Mutex::default(),
            asked: AtomicUsize::new(0),
            tried: AtomicUsize::new(0),
            takes: Mutex::default(),
            before_answer: Mutex::default(),
        }))
    }

    pub(crate) fn turn(&self, way: Way) {
        *self.0.left.lock().unwrap() = None;
        self.0.way.send_replace(way);
    }

    pub(crate) fn away(&self) {
        self.turn(Way::Away(LedgerError::Unreachable("no route".into())));
    }

    /// Is there, takes so many more events, and is away then.
    pub(crate) fn away_after(&self, events: usize) {
        self.turn(Way::Up);
        *self.0.left.lock().unwrap() = Some(events);
    }

    /// Refuses events of this endpoint; none: no more.
    pub(crate) fn refuse(&self, refused: Option<(&str, LedgerError)>) {
        *self.0.refused.lock().unwrap() = refused.map(|(endpoint, error)| (endpoint.into(), error));
    }

    /// Fails its checks, or no more.
    pub(crate) fn fail_checks(&self, error: Option<LedgerError>) {
        *self.0.checked.lock().unwrap() = error;
    }

    pub(crate) fn takes(&self, takes: Duration) {
        *self.0.takes.lock().unwrap() = takes;
    }

    pub(crate) fn before_answer(&self, call: impl FnOnce() + Send + 'static) {
        *self.0.before_answer.lock().unwrap() = Some(Box::new(call));
    }

    pub(crate) fn kept(&self) -> Vec<EventId> {
        self.0.kept.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn tried(&self) -> usize {
        self.0.tried.load(Ordering::SeqCst)
    }

    /// The ledger itself, which is always there.
    pub(crate) fn ledger(&self) -> &MemoryLedger {
        &self.0.ledger
    }

    pub(crate) fn connected(&self) -> Arc<dyn Ledger> {
        Arc::new(self.clone())
    }

    /// Passes a question on.
    fn ask<'a, T: Send + 'static>(
        &'a self,
        ask: impl FnOnce(&'a MemoryLedger) -> LedgerFuture<'a, T> + Send + 'a,
    ) -> LedgerFuture<'a, T> {
        let way = self.0.way.borrow().clone();
        match way {
            Way::Up => ask(&self.0.ledger),
            Way::Away(error) => Box::pin(std::future::ready(Err(error))),
            Way::Silent => Box::pin(std::future::pending()),
            Way::Mute => Box::pin(async move {
                let _ = ask(&self.0.ledger).await;
                std::future::pending().await
            }),
        }
    }

    async fn keep(&self, event: NewEvent) -> Result<Recorded, LedgerError> {
        let id = event.id;
        if let Some((endpoint, error)) = &*self.0.refused.lock().unwrap()
            && *endpoint == event.endpoint
        {
            return Err(error.clone());
        }
        {
            let mut left = self.0.left.lock().unwrap();
            match &mut *left {
                Some(0) => {
                    *left = None;
                    self.0.way.send_replace(Way::Away(LedgerError::Unreachable("cut".into())));
                    return Err(LedgerError::Unreachable("cut".into()));
                }
                Some(left) => *left -= 1,
                None => {}
            }
        }
        let answer = self.0.ledger.record(event).await;
        if answer == Ok(Recorded::Stored) {
            let mut kept = self.0.kept.lock().unwrap();
            if !kept.contains(&id) {
                kept.push(id);
            }
        }
        answer
    }

    async fn answered<T>(&self, keep: impl Future<Output = T>) -> Result<T, LedgerError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let way = self.0.way.borrow().clone();
        match way {
            Way::Up => Ok(keep.await),
            Way::Away(error) => Err(error),
            Way::Silent => std::future::pending().await,
            Way::Mute => {
                keep.await;
                std::future::pending().await
            }
        }
    }
}

/// Methods that are passed on as they are.
macro_rules! passed_on {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $name(&self, $($argument: $type),*) -> LedgerFuture<'_, $answer> {
            self.ask(move |ledger| ledger.$name($($argument),*))
        }
    )*};
}

impl Ledger for Switch {
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded> {
        Box::pin(async move { self.answered(self.keep(event)).await? })
    }
    fn hand_over(&self, events: Vec<NewEvent>) -> LedgerFuture<'_, Vec<Result<Recorded, LedgerError>>> {
        self.0.tried.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let takes = *self.0.takes.lock().unwrap();
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            let answers = self
                .answered(async {
                    let (mut answers, mut stopped) = (Vec::new(), None);
                    for event in events {
                        let answer = match &stopped {
                            None => self.keep(event).await,
                            Some(error) => Err(LedgerError::clone(error)),
                        };
                        if let Err(error) = &answer
                            && !matches!(error, LedgerError::Failed(_))
                        {
                            stopped = Some(error.clone());
                        }
                        answers.push(answer);
                    }
                    answers
                })
                .await?;
            let call = self.0.before_answer.lock().unwrap().take();
            call.into_iter().for_each(|call| call());
            Ok(answers)
        })
    }
    fn keep_refused(&self, refused: NewRefused) {
        self.0.ledger.keep_refused(refused);
    }
    fn wakes(&self) -> Wakes {
        self.0.ledger.wakes()
    }
    passed_on! {
        exchange(exchange: Exchange) -> Exchanged;
        renew(leases: Vec<Lease>, length: Duration) -> Vec<bool>;
        release(owner: Owner) -> u64;
        begin_order(order: NewOrder) -> BegunOrder;
        carry_out(number: u64, part: OrderPart) -> Carried;
        end_order(number: u64, end: OrderEnd) -> Option<OrderRecord>;
        cancel_order(number: u64) -> Option<OrderRecord>;
        orders(page: Page<u64>) -> Vec<OrderRecord>;
        order(number: u64) -> Option<OrderRecord>;
        present() -> Moment;
        prune(prune: Prune) -> Pruned;
        events(filter: EventFilter, page: Page<EventId>) -> Vec<EventRecord>;
        event(id: EventId) -> Option<EventDetail>;
        deliveries(filter: DeliveryFilter, page: Page<DeliveryId>) -> Vec<DeliveryRecord>;
        refused(filter: RefusedFilter, page: Page<u64>) -> Vec<RefusedRecord>;
        dead_groups() -> Vec<DeadGroup>;
        stats() -> Stats;
    }
    fn check(&self) -> LedgerFuture<'_, ()> {
        self.0.tried.fetch_add(1, Ordering::SeqCst);
        match self.0.checked.lock().unwrap().clone() {
            Some(error) => Box::pin(std::future::ready(Err(error))),
            None => self.ask(|ledger| ledger.check()),
        }
    }
    /// The other handles stay open.
    fn close(&self) -> LedgerFuture<'_, ()> {
        self.ask(|_| Box::pin(std::future::ready(Ok(()))))
    }
}
