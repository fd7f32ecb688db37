//! How far a courier runs ahead of its ledger: in time that passes only when everybody waits.

use crate::ledger::memory::MemoryLedger;
use pylon_receiver::config::{DestinationConfig, TransportConfig};
use pylon_receiver::internals::{Courier, CourierParts, Metrics, Report, Transport, TransportFuture};
use pylon_receiver::ledger::{
    Claim, DeliveryFilter, DeliveryRecord, DeliveryState, Exchange, Ledger, NewDelivery, NewEvent, Order, Owner, Page,
};
use pylon_receiver::{Attempt, EventId, Headers, Moment, SystemRandomness, WallClock};
use pylon_webhooks::Payload;
use pylon_webhooks::testing::verified;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const START: Moment = Moment::from_unix_milliseconds(1_700_000_000_000);
/// How long the ledger takes for an exchange.
const EXCHANGE: Duration = Duration::from_millis(10);

/// Takes this long for each attempt; the first ones may take another time.
struct App {
    takes: Mutex<Duration>,
    arrived: AtomicUsize,
}

impl Transport for App {
    fn deliver<'a>(&'a self, _: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let takes = *self.takes.lock().unwrap();
            tokio::time::sleep(takes).await;
            self.arrived.fetch_add(1, Ordering::Relaxed);
            Report::delivered(Some(200), "answered 200")
        })
    }
}

struct Stage {
    ledger: Arc<MemoryLedger>,
    app: Arc<App>,
    /// Of every event.
    body: Vec<u8>,
    courier: Arc<Courier>,
    clock: Arc<dyn WallClock>,
    began: Instant,
    stop: watch::Sender<Option<std::time::Instant>>,
}

impl Stage {
    /// A courier at work, with this many events before it.
    async fn new(takes: Duration, concurrency: usize, events: u16) -> Self {
        let stage = Self::idle(takes, concurrency, events).await;
        stage.begin();
        stage
    }

    /// The same before the courier begins.
    async fn idle(takes: Duration, concurrency: usize, events: u16) -> Self {
        Self::with_bodies(b"{}".to_vec(), takes, concurrency, events).await
    }

    async fn with_bodies(body: Vec<u8>, takes: Duration, concurrency: usize, events: u16) -> Self {
        let began = Instant::now();
        let clock: Arc<dyn WallClock> = Arc::new(move || START.after(began.elapsed()));
        let ledger = Arc::new(MemoryLedger::new(5, clock.clone()).slow(EXCHANGE));
        let app = Arc::new(App { takes: Mutex::new(takes), arrived: AtomicUsize::new(0) });
        let courier = Arc::new(Self::courier(&ledger, &app, clock.clone(), concurrency));
        let stage = Self { ledger, app, body, courier, clock, began, stop: watch::Sender::new(None) };
        for number in 0..events {
            stage.record(number).await;
        }
        stage
    }

    fn courier(ledger: &Arc<MemoryLedger>, app: &Arc<App>, clock: Arc<dyn WallClock>, concurrency: usize) -> Courier {
        let mut destination = DestinationConfig::new("app", TransportConfig::InProcess);
        destination.concurrency = concurrency;
        destination.timeout = Duration::from_secs(100);
        let parts = CourierParts {
            ledger: ledger.clone(),
            owner: Owner::random(&SystemRandomness),
            transport: app.clone(),
            metrics: Arc::new(Metrics::new()),
            recorder: Arc::default(),
            clock,
            randomness: Arc::new(SystemRandomness),
        };
        Courier::new(&destination, parts)
    }

    fn begin(&self) {
        tokio::spawn(self.courier.clone().run(self.stop.subscribe()));
    }

    /// Has somebody else lease this many, and lets their leases run out.
    async fn interrupt(&self, count: usize) {
        let owner = Owner::random(&SystemRandomness);
        let lease = Duration::from_millis(1);
        let claim = Claim {
            owner,
            lease,
            free: count,
            ahead: 0,
            ahead_bytes: 0,
            repeats_first: 0,
            most_repeats: 0,
            latest_first: false,
            most_attempts: 9,
        };
        let exchange = Exchange { destination: "app".into(), settlements: Vec::new(), claim: Some(claim) };
        assert_eq!(self.ledger.exchange(exchange).await.unwrap().claimed.deliveries.len(), count);
        self.pass(1).await;
    }

    async fn record(&self, number: u16) {
        let [high, low] = number.to_be_bytes();
        let event = NewEvent {
            id: EventId::new(START, [0, 0, 0, 0, 0, 0, 0, 0, high, low]),
            endpoint: "webhook".into(),
            name: "issue_new".into(),
            kind: None,
            method: "POST".into(),
            target: "/".into(),
            query: None,
            headers: Headers::default(),
            passed: Vec::new(),
            body: verified(Payload::from(self.body.clone())),
            parked: None,
            deduplication: None,
            deliveries: vec![NewDelivery { destination: "app".into(), order_key: None }],
        };
        self.ledger.record(event).await.unwrap();
    }

    async fn in_state(&self, state: DeliveryState) -> usize {
        self.deliveries().await.iter().filter(|record| record.state == state).count()
    }

    /// The oldest event's first.
    async fn deliveries(&self) -> Vec<DeliveryRecord> {
        let page = Page { after: None, limit: u32::MAX, order: Order::OldestFirst };
        self.ledger.deliveries(DeliveryFilter::default(), page).await.unwrap()
    }

    /// Lets time pass.
    async fn pass(&self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn slots_do_not_wait_for_commits() {
    // One after the other, each with two commits, they would take two seconds and more.
    let stage = Stage::new(Duration::from_millis(1), 1, 200).await;
    while stage.app.arrived.load(Ordering::Relaxed) < 200 {
        stage.pass(1).await;
        assert!(stage.began.elapsed() < Duration::from_millis(500), "{:?}", stage.app.arrived);
    }
    stage.pass(50).await;
    assert_eq!(stage.in_state(DeliveryState::Delivered).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_slow_destination_leases_nothing_ahead() {
    let stage = Stage::new(Duration::from_millis(900), 3, 20).await;
    for _ in 0..1000 {
        stage.pass(7).await;
        assert!(stage.in_state(DeliveryState::Delivering).await <= 3);
    }
    assert_eq!(stage.in_state(DeliveryState::Delivered).await, 20);
}

#[tokio::test(start_paused = true)]
async fn what_was_leased_ahead_of_slots_that_stall_is_given_back() {
    let stage = Stage::new(Duration::from_millis(1), 2, 1000).await;
    stage.pass(150).await;
    assert!(stage.in_state(DeliveryState::Delivering).await > 10, "it runs ahead");
    *stage.app.takes.lock().unwrap() = Duration::from_secs(60);
    stage.pass(1200).await;
    assert_eq!(stage.in_state(DeliveryState::Delivering).await, 2, "for others to take");
    let attempts = stage.deliveries().await;
    assert!(attempts.iter().all(|record| record.due_at.is_none_or(|due| due == START)), "due as before");
    assert!(attempts.iter().all(|record| record.attempts == u32::from(record.state == DeliveryState::Delivered)));
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_what_has_not_begun_goes_back_and_what_has_begun_ends() {
    let stage = Stage::new(Duration::from_millis(1), 2, 1000).await;
    stage.pass(150).await;
    *stage.app.takes.lock().unwrap() = Duration::from_millis(700);
    stage.pass(5).await;
    stage.stop.send_replace(Some((Instant::now() + Duration::from_secs(5)).into_std()));
    stage.pass(1000).await;
    assert_eq!(stage.in_state(DeliveryState::Delivering).await, 0);
    assert_eq!(stage.in_state(DeliveryState::Delivered).await, stage.app.arrived.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_settled_however_long_the_ledger_was_out() {
    let stage = Stage::new(Duration::from_millis(500), 3, 3).await;
    stage.pass(100).await;
    stage.ledger.fail_after(Some(Duration::ZERO));
    // Longer than any lease.
    stage.pass(600_000).await;
    assert_eq!(stage.in_state(DeliveryState::Delivered).await, 0);
    stage.ledger.fail_after(None);
    stage.pass(2000).await;
    assert_eq!(stage.in_state(DeliveryState::Delivered).await, 3);
    assert_eq!(stage.app.arrived.load(Ordering::Relaxed), 3, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_during_an_exchange_is_heard() {
    let stage = Stage::new(Duration::from_millis(1), 2, 0).await;
    // Its first look has found nothing, and the answer is on its way.
    stage.pass(EXCHANGE.as_millis() as u64 / 2).await;
    stage.record(0).await;
    stage.courier.wake();
    stage.pass(100).await;
    assert_eq!(stage.app.arrived.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_interrupted_does_not_wait_for_the_backlog() {
    for (concurrency, suspects) in [(2, 10), (1, 10), (2, 300)] {
        let stage = Stage::idle(Duration::from_millis(1), concurrency, 1500).await;
        stage.interrupt(suspects).await;
        stage.begin();
        loop {
            stage.pass(20).await;
            let deliveries = stage.deliveries().await;
            let done = |records: &[DeliveryRecord]| {
                records.iter().filter(|record| record.state == DeliveryState::Delivered).count()
            };
            let (theirs, others) = (done(&deliveries[..suspects]), done(&deliveries[suspects..]));
            assert!(
                others <= 600,
                "{theirs} of {suspects} were delivered, and {others} others, at concurrency {concurrency}"
            );
            if theirs == suspects {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_leased_ahead_takes_a_bounded_number_of_bytes() {
    const EVENTS: usize = 400;
    let mebibyte = vec![b'x'; 1024 * 1024];
    // Without a bound it would run about 20 ahead, and fewer than eight end during one exchange.
    let stage = Stage::with_bodies(mebibyte, Duration::from_millis(20), 14, EVENTS as u16).await;
    stage.begin();
    let mut most = 0;
    loop {
        stage.pass(1).await;
        let arrived = stage.app.arrived.load(Ordering::Relaxed);
        if arrived == EVENTS {
            break;
        }
        most = most.max(EVENTS - stage.in_state(DeliveryState::Waiting).await - arrived);
        assert!(stage.began.elapsed() < Duration::from_secs(5), "{arrived} arrived");
    }
    assert!((20..=14 + 9).contains(&most), "{most} were held at once, 14 of them under way");
}

#[tokio::test(start_paused = true)]
async fn attempts_go_on_while_leases_are_renewed() {
    let stage = Stage::new(Duration::from_secs(60), 2, 2).await;
    stage.pass(100).await;
    // The first renewal comes after a third of the lease of 130 s, and takes longer than the attempts.
    stage.ledger.fail_after(Some(Duration::from_secs(30)));
    stage.pass(60_000).await;
    assert_eq!(stage.app.arrived.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_while_the_last_attempts_end() {
    let stage = Stage::new(Duration::from_secs(400), 1, 1).await;
    stage.pass(100).await;
    stage.stop.send_replace(Some((Instant::now() + Duration::from_secs(500)).into_std()));
    stage.pass(300_000).await;
    let next = Arc::new(Stage::courier(&stage.ledger, &stage.app, stage.clock.clone(), 1));
    let (_stop, stopped) = watch::channel(None);
    tokio::spawn(next.run(stopped));
    stage.pass(200_000).await;
    assert_eq!(stage.in_state(DeliveryState::Delivered).await, 1);
    assert_eq!(stage.app.arrived.load(Ordering::Relaxed), 1, "the courier that came next did not attempt it as well");
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_a_settlement_that_failed_is_tried_again_until_the_deadline() {
    for (out_for, delivered) in [(3000, 2), (20_000, 0)] {
        let stage = Stage::new(Duration::from_millis(500), 2, 2).await;
        stage.pass(100).await;
        stage.ledger.fail_after(Some(Duration::ZERO));
        stage.stop.send_replace(Some((Instant::now() + Duration::from_secs(10)).into_std()));
        stage.pass(out_for).await;
        stage.ledger.fail_after(None);
        stage.pass(5000).await;
        assert_eq!(stage.stop.receiver_count(), 0, "it has ended");
        assert_eq!(stage.in_state(DeliveryState::Delivered).await, delivered);
        assert_eq!(stage.app.arrived.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_courier_that_ends_reaches_the_next_one() {
    for round in 0..30 {
        let stage = Stage::new(Duration::from_millis(1), 1, 0).await;
        stage.pass(100).await;
        let next = Stage::courier(&stage.ledger, &stage.app, stage.clock.clone(), 1).succeeding(&stage.courier);
        let (_stop, stopped) = watch::channel(None);
        tokio::spawn(Arc::new(next).run(stopped));
        stage.pass(100).await;
        stage.record(0).await;
        // Both at once: the one that ends has waited longest for a message.
        stage.courier.wake();
        stage.stop.send_replace(Some(Instant::now().into_std()));
        stage.pass(100).await;
        assert_eq!(stage.app.arrived.load(Ordering::Relaxed), 1, "round {round}");
    }
}
