//! Which way a new event goes.

use super::*;
use crate::ledger::by_hand::ByHand;
use crate::ledger::contract::{Draft, event};
use crate::sqlite::polled;

fn text() -> Box<str> {
    "as told".into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_away_sends_events_to_the_spool_and_every_other_error_is_the_answer() {
    let away = [LedgerError::Unreachable(text()), LedgerError::Full, LedgerError::ReadOnly];
    let others = [
        LedgerError::Busy,
        LedgerError::Closed,
        LedgerError::Unconfirmed(text()),
        LedgerError::Damaged(text()),
        LedgerError::Displaced(text()),
        LedgerError::InUse(text()),
        LedgerError::Unknown(text()),
        LedgerError::Slow,
        LedgerError::Failed(text()),
    ];
    for (error, goes_to_the_spool) in
        away.map(|error| (error, true)).into_iter().chain(others.map(|error| (error, false)))
    {
        let stage = Stage::patient();
        let ledger = stage.start().await;
        stage.beyond.turn(Way::Away(error.clone()));
        let answer = ledger.record(event(1)).await;
        let expected = if goes_to_the_spool { Ok(Recorded::Stored) } else { Err(error.clone()) };
        assert_eq!((answer, is_spooling(&ledger)), (expected, goes_to_the_spool), "{error}");
        assert_eq!(status(&ledger).events, u64::from(goes_to_the_spool), "{error}");
        assert_eq!(status(&ledger).last_error, goes_to_the_spool.then_some(error));
        assert_eq!(stage.beyond().await, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_events_go_to_the_spool_all_new_ones_do_and_the_ledger_is_not_asked() {
    let stage = Stage::patient();
    let ledger = stage.start().await;
    keep(&ledger, event(0)).await;
    assert!(!is_spooling(&ledger));
    spool_patiently(&stage, &ledger, event(1)).await;
    let asked = stage.beyond.asked();
    stage.beyond.turn(Way::Up);
    for second in 2..10 {
        keep(&ledger, event(second)).await;
    }
    assert_eq!((stage.beyond.asked(), status(&ledger).events), (asked, 9));
    assert_eq!(stage.beyond().await, [event(0).id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_does_not_answer_in_time_is_away() {
    for way in [Way::Silent, Way::Mute] {
        let mut stage = Stage::new();
        stage.options.answer = Duration::from_millis(20);
        let ledger = stage.start().await;
        stage.beyond.turn(way.clone());
        let id = keep(&ledger, event(1).in_line("app", "line")).await;
        assert!(is_spooling(&ledger));
        let expected = LedgerError::Unreachable("expected an answer within 20ms, found none".into());
        assert_eq!(status(&ledger).last_error, Some(expected));
        stage.beyond.turn(Way::Up);
        direct(&ledger).await;
        // Mute, it had kept the event before: the event is known by its id.
        assert_eq!((stage.beyond().await, stage.beyond.kept()), (vec![id], vec![id]), "{way:?}");
        let deliveries = ledger.deliveries(DeliveryFilter::default(), all()).await.unwrap();
        assert_eq!(deliveries.len(), 1, "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_stops_waiting_has_it_spooled_all_the_same() {
    let stage = Stage::patient();
    let ledger = stage.start().await;
    stage.beyond.away();
    keep(&ledger, event(0)).await;
    drop(polled(ledger.record(event(1))).await);
    until("the event is in the spool", || status(&ledger).events == 2).await;
}

#[test]
fn a_caller_may_live_in_a_runtime_without_timers() {
    let stage = Stage::patient();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ledger = runtime.block_on(stage.start());
    let plain = tokio::runtime::Builder::new_current_thread().build().unwrap();
    plain.block_on(async {
        keep(&ledger, event(0)).await;
        assert_eq!(ledger.check().await, Ok(()));
        stage.beyond.away();
        keep(&ledger, event(1)).await;
        assert_eq!(ledger.check().await, Ok(()));
    });
    assert_eq!(status(&ledger).events, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_about_new_events_is_asked_of_the_ledger_alone() {
    let stage = Stage::patient();
    let ledger = stage.start().await;
    let id = keep(&ledger, event(0).to("app")).await;
    assert_eq!(ledger.redeliver(vec![id], None).await, Ok(1));
    spool_patiently(&stage, &ledger, event(1).to("app")).await;
    let away = LedgerError::Unreachable("no route".into());
    assert_eq!(ledger.stats().await, Err(away.clone()));
    assert_eq!(ledger.events(EventFilter::default(), all()).await, Err(away.clone()));
    assert_eq!(ledger.release(crate::ledger::contract::owner(1)).await, Err(away));
    stage.beyond.turn(Way::Up);
    // What waits in the spool is in no list.
    assert_eq!(ledger.stats().await.unwrap().events, 1);
    assert_eq!(ledger.event(event(1).id).await, Ok(None));
}
