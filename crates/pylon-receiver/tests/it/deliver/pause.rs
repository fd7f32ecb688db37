//! A destination that asks to be left alone is left alone; what the receiver itself lacks is no failure of a destination.

use super::stage::*;
use futures_util::future::poll_immediate;
use pylon_receiver::config::{CircuitPolicy, DestinationConfig, HttpTransport, TransportConfig};
use pylon_receiver::internals::{CircuitState, Code, Report, Shortage};
use pylon_receiver::ledger::AttemptAnswer;
use pylon_receiver::ledger::{DeliveryState, Ledger};
use pylon_test_support::log::logged;
use rusqlite::Connection;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One attempt for each delivery, and pauses of 5 and 10 s.
fn strict(destination: &mut DestinationConfig) {
    destination.retry.attempts = 1;
    destination.retry.longest_delay = seconds(3600);
    destination.circuit = CircuitPolicy::default().first_pause(seconds(5)).longest_pause(seconds(10));
    destination.concurrency = 4;
}

/// Nothing begins for so long, however many wait; then one does, alone, and after it the others.
async fn rests(stage: &mut Stage, told: &str, pause: u64) {
    for second in 0..pause {
        assert_eq!(stage.step().await, 0, "{told}: after {second} of {pause} s");
        stage.pass(1).await;
    }
    assert_eq!(stage.step().await, 1, "{told}: one first");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_asks_for_time_gets_it_and_then_one_delivery_first() {
    let cases = [
        // What it answers first; how long it rests; whether that costs the delivery its attempt.
        (asks(429, Some(20)), 20, false),
        (asks(429, Some(0)), 5, false),
        (asks(429, None), 5, false),
        (asks(503, Some(20)), 20, true),
        (asks(429, Some(1_000_000)), 3600, false),
        (asks(503, Some(u64::MAX)), 3600, true),
    ];
    for (answer, pause, costs) in cases {
        let mut stage = Stage::new(strict);
        let told = format!("{answer:?}");
        stage.will([answer]);
        for _ in 0..12 {
            stage.event(None).await;
        }
        assert_eq!(stage.step().await, 4, "all slots");
        assert_eq!(stage.courier.circuit(), CircuitState::Open(seconds(pause)), "{told}");
        rests(&mut stage, &told, pause).await;
        assert_eq!(stage.courier.circuit(), CircuitState::Closed, "{told}");
        stage.pass(20).await;
        while stage.step().await > 0 {}
        let dead = stage.states().await.iter().filter(|&&state| state == DeliveryState::Dead).count();
        assert_eq!(dead, usize::from(costs), "{told}");
        let delivered = stage.states().await.iter().filter(|&&state| state == DeliveryState::Delivered).count();
        assert_eq!(delivered + dead, 12, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_ends_while_the_ledger_is_asked_is_over() {
    let mut stage = Stage::new(strict);
    stage.will([asks(429, None), asks(429, None)]);
    stage.event(None).await;
    assert_eq!(stage.step().await, 1);
    stage.pass(10).await;
    assert_eq!(stage.step().await, 1, "a repeat, which is asked to wait");
    // The ledger answers only once the file is free again.
    let lock = Connection::open(&stage.path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut asking = Box::pin(stage.work.step());
    assert_eq!(poll_immediate(&mut asking).await, None, "asked without repeats");
    stage.now.fetch_add(20_000, Ordering::Relaxed);
    tokio::time::advance(seconds(20)).await;
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(asking.await, 0);
    stage.pass(1).await;
    assert_eq!(stage.step().await, 1, "it does not wait for the longest time between two looks");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_no_longer_than_the_longest_delay() {
    let mut stage = Stage::new(|destination| {
        strict(destination);
        destination.retry.longest_delay = seconds(30);
    });
    stage.will([asks(429, Some(3600))]);
    stage.event(None).await;
    assert_eq!(stage.step().await, 1);
    rests(&mut stage, "429", 30).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_a_pause_begins_ends_and_may_prolong_it() {
    let mut stage = Stage::new(strict);
    stage.will([asks(429, Some(10)), asks(429, Some(30)), asks(429, Some(20)), asks(429, None)]);
    for _ in 0..8 {
        stage.event(None).await;
    }
    assert_eq!(stage.step().await, 4);
    rests(&mut stage, "429", 30).await;
    while stage.step().await > 0 {}
    stage.pass(40).await;
    while stage.step().await > 0 {}
    assert!(stage.states().await.iter().all(|&state| state == DeliveryState::Delivered));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_stays_busy_is_tried_less_and_less() {
    let mut stage = Stage::new(strict);
    stage.will([asks(429, None), asks(429, None), asks(429, None), asks(429, Some(60)), asks(429, None)]);
    stage.event(None).await;
    assert_eq!(stage.step().await, 1);
    for (number, pause) in [5, 10, 10, 60, 10].into_iter().enumerate() {
        // The delivery itself waits longer than the destination's pause.
        let later = stage.event(None).await;
        stage.work.wake();
        rests(&mut stage, &format!("pause {number}"), pause).await;
        assert_eq!(stage.seen().last(), Some(&(later, 1)), "it is new");
    }
    assert_eq!(stage.courier.circuit(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_busy_for_ever_ends_with_the_age() {
    let mut stage = Stage::new(|destination| {
        strict(destination);
        destination.retry.age = seconds(1000);
    });
    stage.will(vec![asks(429, None); 1000]);
    stage.event(None).await;
    while stage.states().await == [DeliveryState::Waiting] {
        stage.step().await;
        stage.pass(1).await;
    }
    let record = stage.deliveries().await.remove(0);
    assert_eq!(record.state, DeliveryState::Dead);
    let reason = format!("gave up after {} attempts, older than 16m40s: answered 429", record.attempts);
    assert_eq!(record.reason, Some(reason));
    assert!(record.attempts >= 5, "{}", record.attempts);
}

#[tokio::test(start_paused = true)]
async fn other_answers_that_name_a_time_delay_their_event_alone() {
    for status in [500, 302, 400] {
        let mut stage = Stage::new(|_| {});
        let report = Report::refused(Code::Http(status as u16), Some(status), "answered");
        stage.will([Act::Report(Report { retry_after: Some(seconds(60)), ..report })]);
        let first = stage.event(None).await;
        stage.step().await;
        assert_eq!(stage.courier.circuit(), CircuitState::Closed);
        let second = stage.event(None).await;
        stage.work.wake();
        assert_eq!(stage.step().await, 1);
        stage.pass(59).await;
        assert_eq!(stage.step().await, 0);
        stage.pass(1).await;
        assert_eq!(stage.step().await, 1);
        assert_eq!(stage.seen(), [(first, 1), (second, 1), (first, 2)]);
    }
}

const SHORTAGES: [Shortage; 4] = [Shortage::Descriptors, Shortage::Memory, Shortage::Ports, Shortage::Processes];

#[tokio::test(start_paused = true)]
async fn what_the_receiver_lacks_costs_nothing_and_is_tried_again_after_a_second() {
    for shortage in SHORTAGES {
        let mut stage = Stage::new(strict);
        stage.will(vec![Act::Report(Report::not_tried(shortage)); 12]);
        let mut events = Vec::new();
        for _ in 0..4 {
            events.push(stage.event(None).await);
        }
        for _ in 0..3 {
            assert_eq!(stage.step().await, 4);
            assert_eq!(stage.step().await, 0, "not at once");
            stage.pass(1).await;
        }
        assert_eq!(stage.courier.circuit(), CircuitState::Closed, "{shortage}: it is not the destination's fault");
        for record in stage.deliveries().await {
            assert_eq!((record.state, record.attempts, record.reason), (DeliveryState::Waiting, 0, None), "{shortage}");
        }
        assert_eq!(stage.ledger.event(events[0]).await.unwrap().unwrap().deliveries[0].1, [], "no attempt");
        assert_eq!(stage.step().await, 4);
        for record in stage.deliveries().await {
            assert_eq!((record.state, record.attempts), (DeliveryState::Delivered, 1), "{shortage}");
        }
        assert!(stage.seen().iter().all(|(_, number)| *number == 1), "{shortage}: the number of the attempt stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_for_which_the_receiver_lacks_something_is_followed_by_another() {
    let mut stage = Stage::new(strict);
    stage.will([asks(503, Some(10)), Act::Report(Report::not_tried(Shortage::Ports))]);
    stage.event(None).await;
    stage.step().await;
    stage.event(None).await;
    rests(&mut stage, "503", 10).await;
    stage.pass(1).await;
    assert_eq!(stage.step().await, 1);
    assert_eq!(stage.courier.circuit(), CircuitState::Closed);
}

/// What a stage logs, in time that is moved by hand.
fn lines<F: Future>(play: impl FnOnce() -> F) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    logged(|| runtime.block_on(play())).1.into_iter().filter(|line| !line.contains("new ledger")).collect()
}

#[test]
fn one_line_tells_of_a_burst_of_shortages_and_what_to_do() {
    let lines = lines(|| async {
        let mut stage = Stage::new(strict);
        stage.will(vec![Act::Report(Report::not_tried(Shortage::Descriptors)); 100]);
        for _ in 0..4 {
            stage.event(None).await;
        }
        for _ in 0..25 {
            stage.step().await;
            stage.pass(1).await;
        }
        stage.step().await;
    });
    let told: Vec<_> = lines.iter().filter(|line| line.starts_with("ERROR")).collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    assert!(told[0].contains("destination=app"), "{told:?}");
    assert!(told[0].contains("no file descriptor is free: raise the limit (`LimitNOFILE`, `ulimit -n`)"), "{told:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("not delivered")).count(), 0, "{lines:#?}");
}

#[test]
fn a_line_tells_why_something_was_not_delivered_and_where_to() {
    let url = "http://app.example:8080/hook?token=sesame".parse().unwrap();
    let lines = lines(|| async {
        let mut stage = Stage::new(|destination| {
            destination.transport = TransportConfig::Http(HttpTransport::new(url));
            destination.retry.attempts = 2;
        });
        let printed = Report::refused(Code::Exit(3), Some(3), "exit code 3")
            .with_detail("exit code 3: a customer's private words")
            .with_answer(Some(AttemptAnswer::beginning(Some(b"text/private words"), b"more private words", true)));
        stage.will([Act::Report(printed.clone()), Act::Report(printed), asks(429, Some(20))]);
        stage.event(None).await;
        stage.step().await;
        stage.pass(20).await;
        stage.step().await;
        stage.event(None).await;
        stage.step().await;
    });
    let with = |message: &str| {
        let found: Vec<_> = lines.iter().filter(|line| line.contains(&format!("message={message}"))).collect();
        found.first().unwrap_or_else(|| panic!("{message}: {lines:#?}")).to_string()
    };
    for message in ["not delivered", "dead"] {
        let line = with(message);
        assert!(line.contains("address=http://app.example:8080/hook"), "{line}");
        assert!(line.contains("cause=exit code 3") && line.contains("status=3"), "{line}");
    }
    let pause = with("the destination asks for fewer events");
    assert!(pause.contains("pause_seconds=20") && pause.contains("cause=answered 429"), "{pause}");
    assert!(lines.iter().all(|line| !line.contains("private words") && !line.contains("sesame")), "{lines:#?}");
}
