//! The stage of the tests: a courier with a ledger on disk, a transport that does as it is told, and a clock that is moved by hand.

use pylon_receiver::config::{DestinationConfig, RetryPolicy, TransportConfig};
use pylon_receiver::internals::{Courier, CourierParts, Metrics, Report, Transport, TransportFuture, Work};
use pylon_receiver::ledger::{
    DeliveryFilter, DeliveryRecord, DeliveryState, Ledger, NewDelivery, NewEvent, Order, Owner, Page, SqliteLedger,
    SqliteOptions,
};
use pylon_receiver::{Attempt, EventId, Headers, Moment, SystemRandomness, WallClock};
use pylon_webhooks::Payload;
use pylon_webhooks::testing::verified;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub(super) const START: i64 = 1_700_000_000_000;

/// What the transport does with an attempt.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Report(Report),
    Hang,
    Panic,
}

/// Does what it always does with an event, or else the next thing on its list, and delivers when that is empty.
#[derive(Default)]
pub(super) struct Scripted {
    pub(super) acts: Mutex<VecDeque<Act>>,
    pub(super) always: Mutex<HashMap<EventId, Act>>,
    pub(super) seen: Mutex<Vec<(EventId, u32)>>,
    /// Hands out one pass for each attempt that hangs and shall go on.
    pub(super) passes: Option<Semaphore>,
}

impl Transport for Scripted {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            self.seen.lock().expect("no panic").push((attempt.event(), attempt.number));
            let always = self.always.lock().expect("no panic").get(&attempt.event()).cloned();
            match always.or_else(|| self.acts.lock().expect("no panic").pop_front()) {
                None => Report::delivered(Some(200), "answered 200"),
                Some(Act::Report(report)) => report,
                Some(Act::Panic) => panic!("as told"),
                Some(Act::Hang) => {
                    if let Some(passes) = &self.passes {
                        passes.acquire().await.expect("never closed").forget();
                        return Report::delivered(Some(200), "answered 200");
                    }
                    std::future::pending().await
                }
            }
        })
    }
}

/// The app does not take it.
pub(super) fn refused() -> Act {
    Act::Report(Report::refused(Some(500), "answered 500"))
}

/// The app is down.
pub(super) fn failed() -> Act {
    Act::Report(Report::failed(None, "connection refused"))
}

/// The app answers that it is busy, or about to be there again, and may name a time in seconds.
pub(super) fn asks(status: i32, seconds: Option<u64>) -> Act {
    let report = if status == 429 { Report::busy } else { Report::failed };
    let report = report(Some(status), format!("answered {status}"));
    Act::Report(Report { retry_after: seconds.map(Duration::from_secs), ..report })
}

fn clock(now: &Arc<AtomicI64>) -> Arc<dyn WallClock> {
    let now = now.clone();
    Arc::new(move || Moment::from_unix_milliseconds(now.load(Ordering::Relaxed)))
}

fn open(path: &Path, now: &Arc<AtomicI64>) -> Arc<SqliteLedger> {
    let options = SqliteOptions { clock: clock(now), ..SqliteOptions::default() };
    Arc::new(SqliteLedger::open(path, options).expect("a sound ledger"))
}

pub(super) fn parts(ledger: &Arc<SqliteLedger>, transport: &Arc<Scripted>, now: &Arc<AtomicI64>) -> CourierParts {
    CourierParts {
        ledger: ledger.clone(),
        owner: Owner::random(&SystemRandomness),
        transport: transport.clone(),
        metrics: Arc::new(Metrics::new()),
        recorder: Arc::default(),
        clock: clock(now),
        // No jitter: the whole wait of the first attempt.
        randomness: Arc::new(|bytes: &mut [u8]| bytes.copy_from_slice(&10_000u64.to_le_bytes())),
    }
}

fn destination(change: impl FnOnce(&mut DestinationConfig)) -> DestinationConfig {
    let mut destination = DestinationConfig::new("app", TransportConfig::InProcess);
    destination.retry = RetryPolicy::default()
        .attempts(3)
        .age(Duration::from_secs(1000))
        .first_delay(Duration::from_secs(10))
        .longest_delay(Duration::from_secs(100));
    change(&mut destination);
    destination
}

pub(super) struct Stage {
    pub(super) courier: Arc<Courier>,
    pub(super) ledger: Arc<SqliteLedger>,
    pub(super) transport: Arc<Scripted>,
    pub(super) now: Arc<AtomicI64>,
    pub(super) work: Work,
    pub(super) events: u32,
    pub(super) path: PathBuf,
    _folder: TempDir,
}

impl Stage {
    pub(super) fn new(change: impl FnOnce(&mut DestinationConfig)) -> Self {
        Self::with(Scripted::default(), change)
    }

    pub(super) fn with(transport: Scripted, change: impl FnOnce(&mut DestinationConfig)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pylon.db");
        let transport = Arc::new(transport);
        let now = Arc::new(AtomicI64::new(START));
        let ledger = open(&path, &now);
        let courier = Arc::new(Courier::new(&destination(change), parts(&ledger, &transport, &now)));
        let work = courier.work();
        Self { courier, ledger, transport, now, work, events: 0, path, _folder: folder }
    }

    /// As if the process had ended and another one started: all that it had is gone, and the ledger is opened anew. There is one
    /// attempt for each delivery then.
    pub(super) fn restarted(self) -> Self {
        self.restarted_with(|destination| destination.retry.attempts = 1)
    }

    pub(super) fn restarted_with(self, change: impl FnOnce(&mut DestinationConfig)) -> Self {
        let Self { courier, ledger, transport, now, work, events, path, _folder } = self;
        drop((courier, ledger, work));
        let ledger = open(&path, &now);
        let courier = Arc::new(Courier::new(&destination(change), parts(&ledger, &transport, &now)));
        let work = courier.work();
        Self { courier, ledger, transport, now, work, events, path, _folder }
    }

    pub(super) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.transport.acts.lock().expect("no panic").extend(acts);
    }

    /// This is what becomes of the event, every time.
    pub(super) fn always(&self, event: EventId, act: Act) {
        self.transport.always.lock().expect("no panic").insert(event, act);
    }

    /// So many events that never arrive, each of which has failed once and is due again.
    pub(super) async fn failing(&mut self, count: usize, act: &Act) -> Vec<EventId> {
        let mut events = Vec::new();
        for _ in 0..count {
            let event = self.event(None).await;
            self.always(event, act.clone());
            events.push(event);
        }
        self.attempted(&events).await;
        self.pass(100).await;
        events
    }

    /// Goes on until each of the events has been attempted.
    pub(super) async fn attempted(&mut self, events: &[EventId]) {
        let is_done = |seen: Vec<(EventId, u32)>| {
            let seen: HashSet<EventId> = seen.into_iter().map(|(event, _)| event).collect();
            events.iter().all(|event| seen.contains(event))
        };
        while !is_done(self.seen()) {
            if self.step().await == 0 {
                self.pass(1).await;
            }
        }
    }

    pub(super) async fn event(&mut self, order_key: Option<&str>) -> EventId {
        self.events += 1;
        let mut random = [0; 10];
        random[6..].copy_from_slice(&self.events.to_be_bytes());
        let id = EventId::new(self.now(), random);
        let event = NewEvent {
            id,
            endpoint: "webhook".into(),
            name: "issue_new".into(),
            kind: Some("issue_new".into()),
            method: "POST".into(),
            target: "/".into(),
            query: None,
            headers: Headers::default(),
            passed: Vec::new(),
            body: verified(Payload::from(b"{}")),
            parked: None,
            deduplication: None,
            deliveries: vec![NewDelivery { destination: "app".into(), order_key: order_key.map(Into::into) }],
        };
        self.ledger.record(event).await.expect("it is kept");
        id
    }

    /// One exchange with the ledger, and the end of all attempts that it began.
    pub(super) async fn step(&mut self) -> usize {
        let begun = self.work.step().await;
        self.work.settle().await;
        begun
    }

    pub(super) fn now(&self) -> Moment {
        Moment::from_unix_milliseconds(self.now.load(Ordering::Relaxed))
    }

    /// Both clocks.
    pub(super) async fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds as i64 * 1000, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    pub(super) async fn deliveries(&self) -> Vec<DeliveryRecord> {
        let page = Page { after: None, limit: 1000, order: Order::OldestFirst };
        self.ledger.deliveries(DeliveryFilter::default(), page).await.expect("a list")
    }

    pub(super) async fn states(&self) -> Vec<DeliveryState> {
        self.deliveries().await.into_iter().map(|delivery| delivery.state).collect()
    }

    /// The attempts once all that were begun have started.
    pub(super) async fn started(&mut self) -> Vec<(EventId, u32)> {
        poll_once(self.work.settle()).await;
        self.seen()
    }

    pub(super) fn seen(&self) -> Vec<(EventId, u32)> {
        self.transport.seen.lock().expect("no panic").clone()
    }
}

/// Lets a future begin, and drops it.
pub(super) async fn poll_once(future: impl Future) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}
