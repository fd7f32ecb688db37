//! What is new goes first, whatever has failed before and whatever operators order.

use super::stage::*;
use crate::ledger::by_hand::ByHand;
use pylon_receiver::config::{CircuitPolicy, DestinationConfig};
use pylon_receiver::internals::CircuitState;
use pylon_receiver::ledger::{DeliveryState, Ledger};
use std::time::Duration;

type Change = fn(&mut DestinationConfig);

/// Destinations, and how many others may go out while five new events wait.
const DESTINATIONS: [(&str, Change, usize); 4] = [
    ("as it is by default", |_| {}, 4),
    ("one slot", |destination| destination.concurrency = 1, 1),
    ("three a second", |destination| destination.rate = Some(3.0), 2),
    (
        "one slot, one in two seconds",
        |destination| {
            destination.concurrency = 1;
            destination.rate = Some(0.5);
        },
        1,
    ),
];

fn patient(change: Change) -> impl FnOnce(&mut DestinationConfig) {
    move |destination| {
        destination.retry = destination.retry.clone().attempts(1000).age(Duration::from_secs(1_000_000));
        change(destination);
    }
}

/// Five new events arrive; says how many others went out before the last of them.
async fn five_new(stage: &mut Stage) -> usize {
    let before = stage.seen().len();
    let mut new = Vec::new();
    for _ in 0..5 {
        new.push((stage.event(None).await, 1));
    }
    stage.work.wake();
    for _ in 0..100 {
        stage.step().await;
        let since = stage.seen()[before..].to_vec();
        if new.iter().all(|event| since.contains(event)) {
            let last = since.iter().rposition(|event| new.contains(event)).expect("all of them");
            return last + 1 - new.len();
        }
        stage.pass(1).await;
    }
    panic!("five new events do not arrive: {:?}", &stage.seen()[before..]);
}

#[tokio::test(start_paused = true)]
async fn what_the_app_refuses_holds_up_nothing_new() {
    for (name, change, most) in DESTINATIONS {
        let mut stage = Stage::new(patient(change));
        stage.failing(50, &refused()).await;
        assert_eq!(stage.courier.circuit(), CircuitState::Closed, "{name}: an answer is a sign of life");
        let others = five_new(&mut stage).await;
        assert!(others <= most, "{name}: {others} others went before");
    }
}

#[tokio::test(start_paused = true)]
async fn what_operators_redeliver_holds_up_nothing_new() {
    for (name, change, most) in DESTINATIONS {
        let mut stage = Stage::new(patient(change));
        let mut old = Vec::new();
        for _ in 0..50 {
            old.push(stage.event(None).await);
        }
        // What was there before goes first: that is new as well.
        stage.attempted(&old).await;
        assert_eq!(stage.ledger.redeliver(old, None).await, Ok(50));
        stage.pass(100).await;
        let others = five_new(&mut stage).await;
        assert!(others <= most, "{name}: {others} others went before");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_key_that_fails_holds_up_no_other() {
    let mut stage = Stage::new(patient(|destination| destination.concurrency = 2));
    let mut poison = Vec::new();
    for key in 0..50 {
        let key = format!("key {key}");
        let first = stage.event(Some(&key)).await;
        stage.always(first, refused());
        poison.push((first, stage.event(Some(&key)).await));
    }
    while stage.seen().len() < 50 {
        stage.step().await;
    }
    stage.pass(100).await;
    let others = five_new(&mut stage).await;
    assert!(others <= 2, "{others} others went before");
    let overtaken = poison.iter().filter(|(_, behind)| stage.seen().iter().any(|(seen, _)| seen == behind)).count();
    assert_eq!(overtaken, 0, "within a line nothing overtakes");
}

#[tokio::test(start_paused = true)]
async fn an_unending_stream_of_new_events_leaves_something_to_repeats() {
    for concurrency in [1, 2, 8] {
        let mut stage = Stage::new(move |destination| {
            patient(|_| {})(destination);
            destination.concurrency = concurrency;
        });
        stage.failing(10, &refused()).await;
        let before = stage.seen().len();
        let (mut new, mut repeated) = (0, 0);
        while repeated < 3 {
            for _ in 0..2 * concurrency {
                stage.event(None).await;
            }
            stage.step().await;
            let seen = stage.seen();
            repeated = seen[before..].iter().filter(|(_, attempt)| *attempt > 1).count();
            new = seen.len() - before - repeated;
            // One behind everything that may be leased ahead.
            assert!(new < 4 * (512 + concurrency), "{repeated} repeats beside {new}, with {concurrency} slots");
        }
        assert!(new >= 5 * repeated, "{repeated} repeats beside {new} new ones, with {concurrency} slots");
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_that_hang_leave_a_slot_to_what_is_new() {
    for (concurrency, repeats) in [(2, 1), (8, 7), (20, 18)] {
        let mut stage = Stage::new(move |destination| {
            patient(|_| {})(destination);
            destination.concurrency = concurrency;
        });
        for event in stage.failing(50, &refused()).await {
            stage.always(event, Act::Hang);
        }
        assert_eq!(stage.work.step().await, repeats);
        for _ in 0..10 {
            assert_eq!(stage.work.step().await, 0);
        }
        let new = stage.event(None).await;
        stage.work.wake();
        assert_eq!(stage.work.step().await, 1);
        assert_eq!(stage.started().await.last(), Some(&(new, 1)));
    }
}

/// Down at once, and for long.
fn brittle(destination: &mut DestinationConfig) {
    patient(|_| {})(destination);
    destination.circuit = CircuitPolicy::default()
        .failures(2)
        .first_pause(Duration::from_secs(1))
        .longest_pause(Duration::from_secs(1000));
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_the_latest_of_what_is_new() {
    let mut stage = Stage::new(brittle);
    for _ in 0..20 {
        let event = stage.event(None).await;
        stage.always(event, failed());
    }
    stage.step().await;
    assert!(matches!(stage.courier.circuit(), CircuitState::Open(_)));
    let genuine = stage.event(None).await;
    stage.pass(1).await;
    assert_eq!(stage.step().await, 1);
    assert_eq!(stage.seen().last(), Some(&(genuine, 1)), "and not one of the many that fail alike");
    assert_eq!(stage.courier.circuit(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn repeats_that_fail_as_probes_do_not_keep_what_is_new_waiting() {
    let mut stage = Stage::new(brittle);
    for _ in 0..3 {
        let event = stage.event(None).await;
        stage.always(event, failed());
    }
    // Probe after probe fails, and the pause grows.
    for _ in 0..400 {
        stage.step().await;
        stage.pass(1).await;
    }
    let CircuitState::Open(left) = stage.courier.circuit() else { panic!("{:?}", stage.courier.circuit()) };
    assert!(left > Duration::from_secs(10), "{left:?}");
    let genuine = stage.event(None).await;
    stage.work.wake();
    assert_eq!(stage.step().await, 1);
    assert_eq!(stage.seen().last(), Some(&(genuine, 1)));
    assert_eq!(stage.courier.circuit(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn repeats_of_a_sender_that_the_app_limits_hold_up_nothing_new() {
    for status in [429, 503] {
        let mut stage = Stage::new(patient(|_| {}));
        stage.failing(50, &asks(status, Some(5))).await;
        // The destination's last pause ends with something new.
        stage.event(None).await;
        while stage.courier.circuit() != CircuitState::Closed {
            stage.step().await;
            stage.pass(1).await;
        }
        let before = stage.seen().len();
        for second in 0..60 {
            let genuine = stage.event(None).await;
            stage.work.wake();
            let seen = stage.seen().len();
            // A repeat may have the turn that is due to it.
            for _ in 0..2 {
                stage.step().await;
            }
            assert!(stage.seen()[seen..].contains(&(genuine, 1)), "{status}: after {second} s");
            assert_eq!(stage.courier.circuit(), CircuitState::Closed, "{status}: after {second} s");
            stage.pass(1).await;
        }
        let repeats = stage.seen()[before..].iter().filter(|(_, number)| *number > 1).count();
        // As many as there are slots for at first, and then one in five seconds.
        assert!((10..=8 + 12).contains(&repeats), "{status}: {repeats} repeats");
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_that_are_put_off_go_on_when_their_time_has_come() {
    let mut stage = Stage::new(patient(|_| {}));
    let repeats = stage.failing(3, &refused()).await;
    stage.transport.always.lock().expect("no panic").clear();
    stage.will([asks(429, Some(100)), asks(429, Some(100)), asks(429, Some(100)), asks(429, Some(20))]);
    assert_eq!(stage.step().await, 3);
    for second in 0..100 {
        assert_eq!(stage.step().await, 0, "after {second} s");
        stage.pass(1).await;
    }
    assert_eq!(stage.step().await, 1, "one first");
    for second in 0..20 {
        assert_eq!(stage.step().await, 0, "after {second} s");
        stage.pass(1).await;
    }
    assert_eq!(stage.step().await, 1, "one first");
    stage.pass(100).await;
    while stage.step().await > 0 {}
    let delivered = stage.states().await.iter().filter(|&&state| state == DeliveryState::Delivered).count();
    assert_eq!(delivered, repeats.len());
}

#[tokio::test(start_paused = true)]
async fn many_that_fail_leave_every_second_turn_to_the_latest() {
    let mut stage = Stage::new(patient(|destination| destination.concurrency = 1));
    for _ in 0..15 {
        let event = stage.event(None).await;
        stage.always(event, failed());
    }
    stage.step().await;
    let mut genuine = Vec::new();
    for _ in 0..5 {
        genuine.push((stage.event(None).await, 1));
    }
    stage.work.wake();
    for _ in 0..2 * genuine.len() {
        stage.step().await;
    }
    let seen = stage.seen();
    let missing = genuine.iter().filter(|event| !seen.contains(event)).count();
    assert_eq!(missing, 0, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_interrupted_is_tried_once_before_it_goes_behind() {
    let mut stage = Stage::new(patient(|destination| destination.concurrency = 4));
    for _ in 0..200 {
        let event = stage.event(None).await;
        stage.always(event, refused());
    }
    let mut ahead = super::courier::claim(200);
    ahead.claim.as_mut().expect("there is one").ahead_bytes = 1 << 20;
    assert_eq!(stage.ledger.exchange(ahead).await.expect("an answer").claimed.deliveries.len(), 200);
    stage = stage.restarted_with(patient(|destination| destination.concurrency = 4));
    while stage.seen().len() < 200 {
        stage.step().await;
    }
    stage.pass(100).await;
    let others = five_new(&mut stage).await;
    assert!(others <= 3, "{others} others went before");
    let delivered = stage.states().await.iter().filter(|&&state| state == DeliveryState::Delivered).count();
    assert_eq!(delivered, 5);
}
