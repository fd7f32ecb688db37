//! Lines in which nothing waits any more, so that nothing goes: how they do not come about, and how they are moved and dropped.

use super::stage::{Stage, settle};
use crate::ledger::by_hand::ByHand;
use crate::ledger::contract::{Ask, Draft, claim, event, retry};
use pylon_receiver::ledger::*;
use std::time::Duration;

/// Sessions that wait for what a session has locked, or behind those that do.
fn waiting_for(pid: i32) -> String {
    format!("SELECT count(*) FROM pg_stat_activity WHERE {pid} = ANY(pg_blocking_pids(pid))")
}

/// A claim finds a delivery out of attempts, and before it ends the delivery, that goes to another destination, where another line is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_moved_meanwhile_is_not_ended_at_its_old_destination() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    assert_eq!(ledger.record(event(0).in_line("app", "a")).await, Ok(Recorded::Stored));
    let once = Ask { most_attempts: 1, ..claim(0) };
    let leased = ledger.exchange(once.exchange()).await.unwrap().claimed.deliveries.remove(0);
    let now = Verdict::Retry { after: Duration::ZERO, counts: true };
    settle(&*ledger, leased.lease, now).await;

    let mut holder = stage.another_session().await;
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let holding = holder.transaction().await.unwrap();
    holding.batch_execute("SELECT pg_advisory_xact_lock(line) FROM open").await.unwrap();
    let move_all = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.move_deliveries("app".into(), "other".into()).await }
    });
    stage.until("the move waits for the line", &format!("({}) = 1", waiting_for(pid))).await;
    let end = tokio::spawn(async move { ledger.exchange(once.exchange()).await });
    stage.until("the claim waits behind it", &format!("({}) = 2", waiting_for(pid))).await;
    holding.commit().await.unwrap();
    assert_eq!(move_all.await.unwrap(), Ok(1));
    let claimed = end.await.unwrap().unwrap().claimed;
    assert_eq!((claimed.exhausted.len(), claimed.deliveries.len()), (0, 0), "it is another destination's now");
    let waits = "SELECT count(*) FROM open WHERE destination = 'other' AND state = 0";
    assert_eq!(stage.number(waits).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_in_which_nothing_waits_is_moved_and_dropped_too() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    for seconds in 0..3 {
        assert_eq!(ledger.record(event(seconds).in_line("app", "a")).await, Ok(Recorded::Stored));
    }
    assert_eq!(ledger.record(event(3).in_line("app", "b")).await, Ok(Recorded::Stored));
    let strand = "
        UPDATE open SET state = 1 WHERE state = 0 AND order_key = 'a'";
    stage.sql(strand).await;
    assert_eq!(ledger.move_deliveries("app".into(), "other".into()).await, Ok(1), "what waits goes first");
    assert_eq!(ledger.move_deliveries("app".into(), "other".into()).await, Ok(3));
    assert_eq!(ledger.move_deliveries("app".into(), "other".into()).await, Ok(0));
    let first = "SELECT count(*) FROM open WHERE destination = 'other' AND state = 0 AND order_key = 'a'
        AND seq = (SELECT min(seq) FROM open WHERE order_key = 'a')";
    assert_eq!(stage.number(first).await, 1, "the first of the line goes again");
    stage.sql(strand).await;
    assert_eq!(ledger.drop_deliveries("other".into()).await, Ok(1));
    assert_eq!(ledger.drop_deliveries("other".into()).await, Ok(3));
    assert_eq!(stage.number("SELECT count(*) FROM open").await, 0);
}

/// A line of which something is being delivered only looks as if nothing waited in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_which_something_is_being_delivered_is_not_stranded() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    for seconds in 0..3 {
        assert_eq!(ledger.record(event(seconds).in_line("app", "a")).await, Ok(Recorded::Stored));
    }
    let leased = ledger.exchange(claim(0).exchange()).await.unwrap().claimed.deliveries.remove(0);
    assert_eq!(ledger.move_deliveries("app".into(), "other".into()).await, Ok(0));
    settle(&*ledger, leased.lease, retry(1)).await;
    assert_eq!(ledger.move_deliveries("app".into(), "other".into()).await, Ok(3));
}
