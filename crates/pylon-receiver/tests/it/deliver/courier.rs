//! A courier with a ledger on disk, a transport that does as it is told, and a clock that is moved by hand.

use pylon_receiver::config::{CircuitPolicy, DestinationConfig, RetryPolicy, TransportConfig};
use pylon_receiver::internals::{
    CircuitState, Courier, CourierParts, Metrics, Report, Transport, TransportFuture, Work,
};
use pylon_receiver::ledger::{
    Claim, DeliveryFilter, DeliveryRecord, DeliveryState, Exchange, Ledger, NewDelivery, NewEvent, Order, Owner, Page,
    SqliteLedger, SqliteOptions,
};
use pylon_receiver::{Attempt, EventId, Headers, Moment, SystemRandomness, WallClock};
use pylon_webhooks::Payload;
use pylon_webhooks::testing::verified;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

const START: i64 = 1_700_000_000_000;

/// What the transport does with an attempt.
#[derive(Clone)]
enum Act {
    Report(Report),
    Hang,
    Panic,
}

/// Does the next thing on its list, and delivers when that is empty.
#[derive(Default)]
struct Scripted {
    acts: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<(EventId, u32)>>,
    /// Hands out one pass for each attempt that hangs and shall go on.
    passes: Option<Semaphore>,
}

impl Transport for Scripted {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            self.seen.lock().expect("no panic").push((attempt.event(), attempt.number));
            let act = self.acts.lock().expect("no panic").pop_front();
            match act {
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

fn failed() -> Act {
    Act::Report(Report::failed(Some(500), "answered 500"))
}

fn clock(now: &Arc<AtomicI64>) -> Arc<dyn WallClock> {
    let now = now.clone();
    Arc::new(move || Moment::from_unix_milliseconds(now.load(Ordering::Relaxed)))
}

fn open(path: &Path, now: &Arc<AtomicI64>) -> Arc<SqliteLedger> {
    let options = SqliteOptions { clock: clock(now), ..SqliteOptions::default() };
    Arc::new(SqliteLedger::open(path, options).expect("a sound ledger"))
}

fn parts(ledger: &Arc<SqliteLedger>, transport: &Arc<Scripted>, now: &Arc<AtomicI64>) -> CourierParts {
    CourierParts {
        ledger: ledger.clone(),
        owner: Owner::random(&SystemRandomness),
        transport: transport.clone(),
        metrics: Arc::new(Metrics::new()),
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

struct Stage {
    courier: Arc<Courier>,
    ledger: Arc<SqliteLedger>,
    transport: Arc<Scripted>,
    now: Arc<AtomicI64>,
    work: Work,
    events: u8,
    path: PathBuf,
    _folder: TempDir,
}

impl Stage {
    fn new(change: impl FnOnce(&mut DestinationConfig)) -> Self {
        Self::with(Scripted::default(), change)
    }

    fn with(transport: Scripted, change: impl FnOnce(&mut DestinationConfig)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pylon.db");
        let transport = Arc::new(transport);
        let now = Arc::new(AtomicI64::new(START));
        let ledger = open(&path, &now);
        let courier = Arc::new(Courier::new(&destination(change), parts(&ledger, &transport, &now)));
        let work = courier.work();
        Self { courier, ledger, transport, now, work, events: 0, path, _folder: folder }
    }

    /// As if the process had ended and another one started: all that it had is gone, and the ledger is opened anew.
    fn restarted(self) -> Self {
        let Self { courier, ledger, transport, now, work, events, path, _folder } = self;
        drop((courier, ledger, work));
        let ledger = open(&path, &now);
        let courier =
            Arc::new(Courier::new(&destination(|config| config.retry.attempts = 1), parts(&ledger, &transport, &now)));
        let work = courier.work();
        Self { courier, ledger, transport, now, work, events, path, _folder }
    }

    fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.transport.acts.lock().expect("no panic").extend(acts);
    }

    async fn event(&mut self, order_key: Option<&str>) -> EventId {
        self.events += 1;
        let id = EventId::new(self.now(), [self.events; 10]);
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
    async fn step(&mut self) -> usize {
        let begun = self.work.step().await;
        self.work.settle().await;
        begun
    }

    fn now(&self) -> Moment {
        Moment::from_unix_milliseconds(self.now.load(Ordering::Relaxed))
    }

    /// Both clocks.
    async fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds as i64 * 1000, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    async fn deliveries(&self) -> Vec<DeliveryRecord> {
        let page = Page { after: None, limit: 1000, order: Order::OldestFirst };
        self.ledger.deliveries(DeliveryFilter::default(), page).await.expect("a list")
    }

    async fn states(&self) -> Vec<DeliveryState> {
        self.deliveries().await.into_iter().map(|delivery| delivery.state).collect()
    }

    fn seen(&self) -> Vec<(EventId, u32)> {
        self.transport.seen.lock().expect("no panic").clone()
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_is_delivered_once() {
    let mut stage = Stage::new(|_| {});
    let event = stage.event(None).await;
    assert_eq!(stage.step().await, 1);
    assert_eq!(stage.step().await, 0);
    assert_eq!(stage.states().await, [DeliveryState::Delivered]);
    assert_eq!(stage.seen(), [(event, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_comes_again_when_its_wait_is_over_and_not_before() {
    let mut stage = Stage::new(|_| {});
    stage.will([failed()]);
    let event = stage.event(None).await;
    stage.step().await;
    stage.pass(9).await;
    assert_eq!(stage.step().await, 0);
    stage.pass(1).await;
    assert_eq!(stage.step().await, 1);
    assert_eq!(stage.seen(), [(event, 1), (event, 2)]);
    assert_eq!(stage.states().await, [DeliveryState::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_always_fails_is_dead_after_its_attempts_and_others_go_on() {
    let mut stage = Stage::new(|_| {});
    stage.will([failed(), failed(), failed()]);
    let poison = stage.event(None).await;
    for _ in 0..3 {
        assert_eq!(stage.step().await, 1);
        stage.pass(100).await;
    }
    let other = stage.event(None).await;
    stage.step().await;
    assert_eq!(stage.states().await, [DeliveryState::Dead, DeliveryState::Delivered]);
    assert_eq!(stage.seen(), [(poison, 1), (poison, 2), (poison, 3), (other, 1)]);
    let reason = stage.deliveries().await[0].reason.clone();
    assert_eq!(reason.as_deref(), Some("gave up after 3 attempts: answered 500"));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_is_left_alone_and_its_events_keep_their_attempts() {
    let mut stage = Stage::new(|destination| {
        destination.circuit = CircuitPolicy::default()
            .failures(3)
            .first_pause(Duration::from_secs(20))
            .longest_pause(Duration::from_secs(20));
        destination.concurrency = 3;
    });
    stage.will((0..4).map(|_| failed()));
    for _ in 0..50 {
        stage.event(None).await;
    }
    assert_eq!(stage.step().await, 3);
    assert!(matches!(stage.courier.circuit(), CircuitState::Open(_)));
    for _ in 0..19 {
        stage.pass(1).await;
        assert_eq!(stage.step().await, 0);
    }
    stage.pass(1).await;
    assert_eq!(stage.step().await, 1, "one probe, which fails");
    stage.pass(19).await;
    assert_eq!(stage.step().await, 0);
    stage.pass(1).await;
    assert_eq!(stage.step().await, 1, "one probe, which arrives");
    assert_eq!(stage.courier.circuit(), CircuitState::Closed);
    while stage.step().await > 0 {}
    assert!(stage.states().await.iter().all(|&state| state == DeliveryState::Delivered));
    let most = stage.deliveries().await.iter().map(|delivery| delivery.attempts).max();
    assert_eq!(most, Some(2), "the pause costs nobody an attempt");
}

#[tokio::test(start_paused = true)]
async fn no_more_go_at_a_time_than_is_allowed() {
    let passes = Some(Semaphore::new(0));
    let mut stage = Stage::with(Scripted { passes, ..Scripted::default() }, |destination| destination.concurrency = 2);
    stage.will([Act::Hang, Act::Hang, Act::Hang]);
    for _ in 0..3 {
        stage.event(None).await;
    }
    assert_eq!(stage.work.step().await, 2);
    assert_eq!(stage.work.step().await, 0);
    stage.transport.passes.as_ref().expect("it was given").add_permits(2);
    stage.work.settle().await;
    assert_eq!(stage.work.step().await, 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_go_in_a_second_than_is_allowed() {
    let mut stage = Stage::new(|destination| {
        destination.rate = Some(2.0);
        destination.concurrency = 100;
    });
    for _ in 0..7 {
        stage.event(None).await;
    }
    let mut begun = Vec::new();
    for _ in 0..4 {
        begun.push(stage.step().await);
        assert_eq!(stage.step().await, 0);
        stage.pass(1).await;
    }
    assert_eq!(begun, [2, 2, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn events_of_one_order_key_go_one_after_the_other_and_others_pass_them() {
    let mut stage = Stage::new(|_| {});
    stage.will([failed()]);
    let (first, second, other) =
        (stage.event(Some("a")).await, stage.event(Some("a")).await, stage.event(Some("b")).await);
    assert_eq!(stage.step().await, 2);
    assert_eq!(stage.step().await, 0);
    stage.pass(10).await;
    assert_eq!(stage.step().await, 1);
    assert_eq!(stage.step().await, 1);
    let mut begin = stage.seen()[..2].to_vec();
    begin.sort_unstable();
    let mut expected = [(first, 1), (other, 1)];
    expected.sort_unstable();
    assert_eq!(begin, expected);
    assert_eq!(stage.seen()[2..], [(first, 2), (second, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_holds_up_nothing() {
    let mut stage = Stage::new(|_| {});
    stage.will([failed()]);
    stage.event(None).await;
    stage.step().await;
    // An hour back, and nothing waits longer than the ten seconds that were drawn for it.
    stage.now.fetch_sub(3_600_000, Ordering::Relaxed);
    assert_eq!(stage.step().await, 0);
    stage.pass(10).await;
    assert_eq!(stage.step().await, 1);
    assert_eq!(stage.states().await, [DeliveryState::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_loses_nothing() {
    let passes = Some(Semaphore::new(0));
    let mut stage = Stage::with(Scripted { passes, ..Scripted::default() }, |_| {});
    stage.will([Act::Hang]);
    let event = stage.event(None).await;
    let mut slow = stage.courier.work();
    assert_eq!(slow.step().await, 1);
    let ending = async {
        while stage.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        // A year on: the lease has run out, and the same event goes out once more; the first attempt's end changes nothing.
        stage.now.fetch_add(365 * 24 * 3_600_000, Ordering::Relaxed);
        let mut other = stage.courier.work();
        assert_eq!(other.step().await, 1);
        other.settle().await;
        stage.transport.passes.as_ref().expect("it was given").add_permits(1);
    };
    tokio::join!(slow.settle(), ending);
    assert_eq!(stage.states().await, [DeliveryState::Delivered]);
    assert_eq!(stage.seen(), [(event, 1), (event, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_costs_an_attempt_and_no_more() {
    let mut stage = Stage::new(|_| {});
    stage.will([Act::Panic]);
    let event = stage.event(None).await;
    stage.step().await;
    assert_eq!(stage.states().await, [DeliveryState::Waiting]);
    assert_eq!(stage.deliveries().await[0].reason.as_deref(), Some("the attempt broke off: the transport panicked"));
    stage.pass(10).await;
    assert_eq!(stage.step().await, 1);
    assert_eq!(stage.states().await, [DeliveryState::Delivered]);
    assert_eq!(stage.seen(), [(event, 1), (event, 2)]);
}

#[tokio::test(start_paused = true)]
async fn at_a_shutdown_attempts_that_take_too_long_are_broken_off_and_given_back() {
    let mut stage = Stage::new(|_| {});
    stage.will([Act::Hang]);
    stage.event(None).await;
    let (stop, stopped) = watch::channel(None);
    let running = tokio::spawn(stage.courier.clone().run(stopped));
    while stage.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    stop.send_replace(Some((tokio::time::Instant::now() + Duration::from_secs(5)).into_std()));
    running.await.expect("it ends");
    let deliveries = stage.deliveries().await;
    assert_eq!((deliveries[0].state, deliveries[0].attempts), (DeliveryState::Waiting, 0));
}

#[tokio::test(start_paused = true)]
async fn at_a_shutdown_many_attempts_are_all_given_back() {
    const ATTEMPTS: usize = 20;
    let mut stage = Stage::new(|destination| destination.concurrency = ATTEMPTS);
    stage.will(vec![Act::Hang; ATTEMPTS]);
    for _ in 0..ATTEMPTS {
        stage.event(None).await;
    }
    let (stop, stopped) = watch::channel(None);
    let running = tokio::spawn(stage.courier.clone().run(stopped));
    while stage.seen().len() < ATTEMPTS {
        tokio::task::yield_now().await;
    }
    stop.send_replace(Some((tokio::time::Instant::now() + Duration::from_secs(5)).into_std()));
    running.await.expect("it ends");
    let deliveries = stage.deliveries().await;
    let given_back = |delivery: &&DeliveryRecord| (delivery.state, delivery.attempts) == (DeliveryState::Waiting, 0);
    assert_eq!(deliveries.iter().filter(given_back).count(), ATTEMPTS, "{deliveries:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_wakes_a_courier_wakes_the_one_that_has_taken_its_place() {
    let mut stage = Stage::new(|_| {});
    // As long as somebody is busy, no time passes: nothing but being woken has it look again.
    let busy = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let destination = DestinationConfig::new("app", TransportConfig::InProcess);
    let courier = Courier::new(&destination, parts(&stage.ledger, &stage.transport, &stage.now));
    let (_stop, stopped) = watch::channel(None);
    let running = tokio::spawn(Arc::new(courier.succeeding(&stage.courier)).run(stopped));
    // Long enough for its first look at the ledger, which finds nothing.
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(200) {
        tokio::task::yield_now().await;
    }
    let event = stage.event(None).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.seen(), [], "nobody has said so");
    stage.courier.wake();
    let began = std::time::Instant::now();
    while stage.seen().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "it is never woken");
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.seen(), [(event, 1)]);
    running.abort();
    busy.abort();
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_of_an_event_again_and_again_leaves_a_dead_delivery() {
    let mut stage = Stage::new(|destination| destination.retry.attempts = 1);
    stage.will([Act::Hang, Act::Hang]);
    let event = stage.event(None).await;
    for _ in 0..2 {
        assert_eq!(stage.work.step().await, 1);
        poll_once(stage.work.settle()).await;
        stage = stage.restarted();
    }
    assert_eq!(stage.work.step().await, 0);
    assert_eq!(stage.seen(), [(event, 1), (event, 2)], "the first crash costs nothing, the second was its attempt");
    let deliveries = stage.deliveries().await;
    assert_eq!((deliveries[0].state, deliveries[0].attempts), (DeliveryState::Dead, 2));
}

#[tokio::test(start_paused = true)]
async fn a_crash_costs_nothing_that_has_not_begun() {
    let mut stage = Stage::new(|destination| destination.retry.attempts = 1);
    for _ in 0..5 {
        stage.event(None).await;
    }
    let mut ahead = claim(5);
    ahead.claim.as_mut().expect("there is one").free = 0;
    assert_eq!(stage.ledger.exchange(ahead).await.expect("an answer").claimed.deliveries.len(), 5);
    stage = stage.restarted();
    assert_eq!(stage.step().await, 5);
    assert!(stage.states().await.iter().all(|&state| state == DeliveryState::Delivered));
}

/// A claim of this many, leased ahead, by somebody else.
fn claim(ahead: usize) -> Exchange {
    let owner = Owner::random(&SystemRandomness);
    let claim = Claim { owner, lease: Duration::from_secs(60), free: 1, ahead, ahead_bytes: 1000, most_attempts: 1 };
    Exchange { destination: "app".into(), settlements: Vec::new(), claim: Some(claim) }
}

/// Lets a future begin, and drops it.
async fn poll_once(future: impl Future) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}
