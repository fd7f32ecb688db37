//! A courier that is driven by hand.

use super::stage::*;
use pylon_receiver::SystemRandomness;
use pylon_receiver::config::{CircuitPolicy, DestinationConfig, TransportConfig};
use pylon_receiver::internals::{CircuitState, Courier};
use pylon_receiver::ledger::{Claim, DeliveryRecord, DeliveryState, Exchange, Ledger, Owner};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

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
    stage.will([refused()]);
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
    stage.will([refused(), refused(), refused()]);
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
    stage.will([refused()]);
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
    stage.will([refused()]);
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
pub(super) fn claim(ahead: usize) -> Exchange {
    let owner = Owner::random(&SystemRandomness);
    let claim = Claim {
        owner,
        lease: Duration::from_secs(60),
        free: 1,
        ahead,
        ahead_bytes: 1000,
        repeats_first: 0,
        most_repeats: 0,
        latest_first: false,
        most_attempts: 1,
    };
    Exchange { destination: "app".into(), settlements: Vec::new(), claim: Some(claim) }
}
