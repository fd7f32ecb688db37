//! Events that the ledger refuses when they are handed over, and a ledger that does not keep its promise.

use super::*;
use crate::ledger::contract::{Draft, event};

fn bad() -> LedgerError {
    LedgerError::Failed("a key of 9000 bytes".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_event_stays_in_the_spool_and_stops_nobody() {
    let mut stage = Stage::new();
    let ledger = stage.start().await;
    stage.beyond.away();
    stage.beyond.refuse(Some(("bad", bad())));
    let mut ids = Vec::new();
    let mut bad_ids = Vec::new();
    for second in 0..600 {
        let new = event(second).in_line("app", "line");
        if second % 100 == 50 {
            bad_ids.push(keep(&ledger, new.through("bad")).await);
        } else {
            ids.push(keep(&ledger, new).await);
        }
    }
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept(), ids);
    let SpoolStatus { events, refused, bytes, handed_over, .. } = status(&ledger);
    assert_eq!((events, refused, handed_over), (0, 6, 594));
    assert!(bytes > 6 * 512);
    // New ones go to the ledger, and those that are spooled later go past them too.
    ids.push(keep(&ledger, event(1000)).await);
    stage.beyond.away();
    ids.push(keep(&ledger, event(1001)).await);
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!((stage.beyond.kept(), status(&ledger).refused), (ids.clone(), 6));
    // After a start as well; then the cause is mended, and they are tried again.
    ledger.close().await.unwrap();
    drop(ledger);
    stage.options.reminder = Duration::from_millis(20);
    let ledger = stage.start().await;
    assert!(!is_spooling(&ledger));
    assert_eq!((status(&ledger).events, status(&ledger).refused, status(&ledger).bytes), (0, 6, bytes));
    let asked = stage.beyond.asked();
    until("they are tried again and again", || stage.beyond.asked() > asked + 3).await;
    assert_eq!(status(&ledger).refused, 6);
    stage.beyond.refuse(None);
    until("they are handed over", || status(&ledger).refused == 0).await;
    ids.extend(bad_ids);
    assert_eq!(stage.beyond.kept(), ids);
    assert_eq!((status(&ledger).events, status(&ledger).bytes), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_refused_events_than_go_together_are_all_tried_again() {
    let mut stage = Stage::new();
    stage.options.reminder = Duration::from_millis(5);
    let ledger = stage.start().await;
    stage.beyond.away();
    stage.beyond.refuse(Some(("bad", bad())));
    keep(&ledger, event(0)).await;
    for second in 1..600 {
        keep(&ledger, event(second).through("bad")).await;
    }
    let last = keep(&ledger, event(600).through("mended")).await;
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!((status(&ledger).refused, stage.beyond.kept().len()), (599, 2));
    assert!(stage.beyond.kept().contains(&last));
    stage.beyond.refuse(None);
    until("they are handed over", || status(&ledger).refused == 0).await;
    assert_eq!(stage.beyond.kept().len(), 601);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_refuses_everything_and_cannot_be_checked_refuses_nothing_for_its_own_sake() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    stage.beyond.away();
    let id = keep(&ledger, event(0)).await;
    let asked = stage.beyond.asked();
    stage.beyond.refuse(Some(("main", bad())));
    stage.beyond.fail_checks(Some(LedgerError::Failed("no table".into())));
    stage.beyond.turn(Way::Up);
    until("it is tried again and again", || stage.beyond.asked() > asked + 3).await;
    let SpoolStatus { events, refused, last_error, .. } = status(&ledger);
    assert_eq!((events, refused, last_error), (1, 0, Some(LedgerError::Failed("no table".into()))));
    stage.beyond.refuse(None);
    stage.beyond.fail_checks(None);
    direct(&ledger).await;
    assert_eq!(stage.beyond().await, [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_spool_does_not_stand_in_for_a_standby() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    let missing = LedgerError::Unconfirmed("expected a standby, found none".into());
    stage.beyond.turn(Way::Away(missing.clone()));
    assert_eq!(ledger.record(event(0)).await, Err(missing.clone()));
    assert_eq!((is_spooling(&ledger), ledger.check().await), (false, Err(missing.clone())));
    // Away, it is stood in for. Back without its standby, it is not.
    stage.beyond.away();
    let id = keep(&ledger, event(1)).await;
    assert_eq!(ledger.check().await, Ok(()));
    stage.beyond.turn(Way::Away(missing.clone()));
    until("the standby is missed", || status(&ledger).last_error.as_ref() == Some(&missing)).await;
    assert_eq!(ledger.record(event(2)).await, Err(missing.clone()));
    assert_eq!((ledger.check().await, status(&ledger).events), (Err(missing), 1));
    // Away once more, it is stood in for again.
    stage.beyond.away();
    until("it is away", || matches!(status(&ledger).last_error, Some(LedgerError::Unreachable(_)))).await;
    let second = keep(&ledger, event(3)).await;
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept(), [id, second]);
}
