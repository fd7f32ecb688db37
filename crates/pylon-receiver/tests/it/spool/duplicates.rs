//! Duplicates, and events that go in a circle, are found in the spool or when they are handed over.

use super::*;
use crate::ledger::contract::{Draft, at, event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_found_among_the_spooled_and_when_they_are_handed_over() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    let first = keep(&ledger, event(0).keyed("a", None)).await;
    let timed = keep(&ledger, event(0).numbered(1).keyed("b", Some(100))).await;
    stage.beyond.away();
    // Duplicates of what the ledger has: nobody knows as yet.
    keep(&ledger, event(1).keyed("a", None)).await;
    keep(&ledger, event(1).numbered(1).keyed("b", Some(100))).await;
    let spooled = keep(&ledger, event(2).keyed("c", Some(100))).await;
    assert_eq!(ledger.record(event(3).keyed("c", Some(100))).await, Ok(Recorded::Duplicate(spooled)));
    assert_eq!(ledger.record(event(2).keyed("c", Some(100))).await, Ok(Recorded::Stored), "it is the same");
    let circle = keep(&ledger, NewEvent { passed: vec![first], ..event(4) }).await;
    assert_eq!(
        ledger.record(NewEvent { passed: vec![circle], ..event(5) }).await,
        Ok(Recorded::Looped(circle)),
        "also among the spooled"
    );
    assert_eq!(status(&ledger).events, 4);
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept(), [first, timed, spooled]);
    assert_eq!(ledger.record(event(6).keyed("c", Some(100))).await, Ok(Recorded::Duplicate(spooled)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_lasts_as_long_as_it_was_to_from_the_arrival_on() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    stage.beyond.away();
    let kept = [
        keep(&ledger, event(0).numbered(1).keyed("short", Some(10))).await,
        keep(&ledger, event(0).numbered(2).keyed("long", Some(100))).await,
        keep(&ledger, event(0).numbered(3).keyed("for ever", None)).await,
    ];
    // Beyond the time of the first key, the same key is another event's; within it, a duplicate.
    stage.clock.set(at(9));
    assert_eq!(ledger.record(event(9).keyed("short", Some(10))).await, Ok(Recorded::Duplicate(kept[0])));
    stage.clock.set(at(11));
    let second = keep(&ledger, event(11).keyed("short", Some(10))).await;
    stage.clock.set(at(60));
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept(), [kept[0], kept[1], kept[2], second]);
    stage.clock.set(at(99));
    assert_eq!(ledger.record(event(99).keyed("long", Some(100))).await, Ok(Recorded::Duplicate(kept[1])));
    keep(&ledger, event(99).numbered(2).keyed("short", Some(10))).await;
    stage.clock.set(at(100));
    keep(&ledger, event(100).keyed("long", Some(100))).await;
    assert_eq!(ledger.record(event(100).numbered(9).keyed("for ever", None)).await, Ok(Recorded::Duplicate(kept[2])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_one_request_during_a_long_absence_are_one_event() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    stage.beyond.away();
    let mut stored = 0;
    for number in 0..100 {
        let copy = event(0).numbered(number).keyed("a request", Some(300)).to("app");
        stored += usize::from(ledger.record(copy).await == Ok(Recorded::Stored));
    }
    assert_eq!(stored, 1);
    // By then the ledger would not remember the key any more.
    stage.clock.set(at(3600));
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_remembered_while_events_are_handed_over() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    stage.beyond.away();
    let first = keep(&ledger, event(0).keyed("a", Some(100))).await;
    for second in 1..10 {
        keep(&ledger, event(second)).await;
    }
    // The first is handed over, the others are not.
    stage.beyond.away_after(1);
    until("it is cut off", || status(&ledger).events == 9).await;
    assert_eq!(ledger.record(event(10).keyed("a", Some(100))).await, Ok(Recorded::Duplicate(first)));
    assert_eq!(ledger.record(event(0).keyed("a", Some(100))).await, Ok(Recorded::Stored), "it is the same");
    assert_eq!(status(&ledger).events, 9);
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept().len(), 10);
}
