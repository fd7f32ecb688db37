//! How it ends.

use super::*;
use crate::ledger::contract::event;
use crate::wait::within;
use pylon_test_support::log::logged;

#[test]
fn what_stays_in_the_spool_is_told_and_handed_over_after_the_next_start() {
    let stage = Stage::patient();
    let (ids, lines) = logged(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            stage.beyond.away();
            let ledger = stage.start().await;
            let ids = [keep(&ledger, event(0)).await, keep(&ledger, event(1)).await];
            within("it closes", ledger.close()).await.unwrap();
            assert_eq!(ledger.record(event(2)).await, Err(LedgerError::Closed));
            assert_eq!(ledger.check().await, Err(LedgerError::Closed));
            assert_eq!(ledger.stats().await, Err(LedgerError::Closed));
            assert_eq!(ledger.close().await, Ok(()));
            ids
        })
    });
    let last = format!(
        "WARN message=events stay in the spool: they are handed over after the next start events=2 path={}",
        stage.path().canonicalize().unwrap().display()
    );
    assert_eq!(lines.last(), Some(&last), "{lines:?}");
    stage.beyond.turn(Way::Up);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = stage.start().await;
        direct(&ledger).await;
        assert_eq!(stage.beyond.kept(), ids);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_does_not_answer_does_not_keep_it_from_closing() {
    let mut stage = Stage::new();
    stage.options.answer = Duration::from_millis(20);
    let ledger = stage.start().await;
    stage.beyond.turn(Way::Silent);
    keep(&ledger, event(0)).await;
    assert_eq!(within("it closes", ledger.close()).await, Ok(()));
    drop(ledger);
    stage.beyond.turn(Way::Up);
    let ledger = stage.start().await;
    direct(&ledger).await;
    assert_eq!(stage.beyond().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_it_lets_the_spool_go() {
    let stage = Stage::new();
    stage.beyond.away();
    let ledger = stage.start().await;
    keep(&ledger, event(0)).await;
    drop(ledger);
    let ledger = stage.start().await;
    assert_eq!(status(&ledger).events, 1);
}
