//! How it starts: with a ledger that is away, one that cannot be used, and a spool that is not empty.

use super::*;
use crate::ledger::contract::{Draft, event, owner};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_while_the_ledger_is_away_and_keeps_trying() {
    let stage = Stage::new();
    stage.beyond.away();
    let ledger = stage.start().await;
    assert!(is_spooling(&ledger));
    let mut wakes = ledger.wakes();
    let id = keep(&ledger, event(0).to("app")).await;
    assert_eq!(ledger.check().await, Ok(()));
    let away = LedgerError::Unreachable("no route".into());
    assert_eq!(ledger.stats().await, Err(away.clone()));
    assert_eq!(ledger.exchange(crate::ledger::contract::claim(0).exchange()).await.unwrap_err(), away);
    assert_eq!(ledger.release(owner(1)).await, Err(away));
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!(stage.beyond().await, [id]);
    // Who listened before it was there hears it, and looks everywhere once.
    let mut heard = Vec::new();
    while heard.len() < 2 || heard.last() != Some(&Wake::At("later".into())) {
        if heard.len() == 1 {
            keep(&ledger, event(1).to("later")).await;
        }
        heard.push(tokio::time::timeout(crate::wait::LONGEST, wakes.next()).await.unwrap().unwrap());
    }
    assert_eq!(heard[0], Wake::Everywhere);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_while_the_ledger_does_not_answer() {
    let mut stage = Stage::new();
    stage.options.answer = Duration::from_millis(20);
    stage.beyond.turn(Way::Silent);
    let ledger = stage.start().await;
    let id = keep(&ledger, event(0)).await;
    // That try is still under way; the next one is not.
    assert_eq!(stage.beyond().await, []);
    drop(ledger);
    stage.beyond.turn(Way::Up);
    let ledger = stage.start().await;
    direct(&ledger).await;
    assert_eq!(stage.beyond().await, [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_cannot_be_used_is_a_fault_at_the_start() {
    let stage = Stage::new();
    let faults = [
        LedgerError::Unknown("expected at most version 1, found 2".into()),
        LedgerError::Failed("password authentication failed".into()),
        LedgerError::ReadOnly,
        LedgerError::Unconfirmed("no standby".into()),
    ];
    for fault in faults {
        stage.beyond.turn(Way::Away(fault.clone()));
        assert_eq!(stage.try_start().await.map(drop), Err(fault));
    }
    // The spool is free again.
    stage.beyond.turn(Way::Up);
    stage.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_spool_at_the_start_goes_first() {
    let stage = Stage::new();
    stage.beyond.away();
    let ledger = stage.start().await;
    let mut ids = Vec::new();
    for second in 0..100 {
        ids.push(keep(&ledger, event(1000 - second).in_line("app", "line")).await);
    }
    drop(ledger);
    stage.beyond.turn(Way::Up);
    let ledger = stage.start().await;
    for second in 0..100 {
        ids.push(keep(&ledger, event(second).in_line("app", "line")).await);
    }
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept(), ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_receivers_never_have_one_spool() {
    let stage = Stage::new();
    let _first = stage.start().await;
    let path = stage.path().canonicalize().unwrap();
    let in_use = LedgerError::InUse(format!("{} is open in another receiver", path.display()).into());
    assert_eq!(stage.try_start().await.map(drop), Err(in_use.clone()));
    let link = stage.folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(SqliteLedger::open(link, SqliteOptions::default()).map(drop), Err(in_use));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_with_events_is_no_spool() {
    let stage = Stage::new();
    let file = SqliteLedger::open(stage.path(), SqliteOptions::default()).unwrap();
    file.record(event(0).to("app")).await.unwrap();
    file.close().await.unwrap();
    drop(file);
    let expected = format!(
        "the ledger failed: expected a spool at {}, found a ledger with 1 events; choose another file for the spool",
        stage.path().display()
    );
    assert_eq!(stage.try_start().await.map(drop).unwrap_err().to_string(), expected);
    // It is as it was.
    let file = SqliteLedger::open(stage.path(), SqliteOptions::default()).unwrap();
    assert_eq!(file.stats().await.unwrap().events, 1);
}
