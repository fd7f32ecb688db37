//! Refused requests: several receivers share one ring, and nobody waits for it.

use super::stage::Stage;
use crate::ledger::contract::{Draft, event, refused};
use pylon_receiver::ledger::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_share_a_ledger_keep_no_more_than_one_would() {
    const MOST: usize = 20;
    let Some(stage) = Stage::open().await else { return };
    let options = || PostgresOptions { refused: MOST, ..PostgresOptions::default() };
    let handles = [stage.ledger_with(options()).await, stage.ledger_with(options()).await];
    let full = format!("SELECT count(*) = {MOST} FROM refused");
    for round in 0..10 {
        for number in 0..50 {
            for (handle, code) in handles.iter().zip(["signature_mismatch", "too_large"]) {
                handle.keep_refused(refused(0, code, &format!("{round}.{number}")));
            }
        }
        // Never more, also in between.
        for _ in 0..200 {
            assert!(stage.number("SELECT count(*) FROM refused").await <= MOST as i64);
        }
        stage.until("as many are kept as may be", &full).await;
    }
    for (number, handle) in handles.iter().enumerate() {
        let is_kept = format!("SELECT count(*) > 0 FROM refused WHERE reason = 'last {number}'");
        // While the flood waits to be kept, others are dropped.
        while !stage.session.query_one(&is_kept, &[]).await.unwrap().get::<_, bool>(0) {
            handle.keep_refused(refused(0, "timestamp_stale", &format!("last {number}")));
            stage.until("the flood is over", &full).await;
        }
    }
    let kinds = "SELECT count(DISTINCT code) FROM refused";
    assert_eq!((stage.number("SELECT count(*) FROM refused").await, stage.number(kinds).await), (MOST as i64, 3));
    assert_eq!(handles[0].stats().await.unwrap().refused, MOST as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_share_a_ledger_look_into_the_ring_one_after_the_other() {
    let Some(stage) = Stage::open().await else { return };
    let (first, second) = (stage.ledger().await, stage.ledger().await);
    let mut other = stage.another_session().await;
    let holder = other.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE refused IN ACCESS EXCLUSIVE MODE").await.unwrap();
    first.keep_refused(refused(0, "too_large", "the first"));
    stage.until_waiting_for(holder.client(), 1).await;
    second.keep_refused(refused(0, "too_large", "the second"));
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let waits = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity AS second JOIN pg_stat_activity AS first ON first.pid = ANY(pg_blocking_pids(second.pid))
         WHERE second.wait_event = 'advisory' AND {pid} = ANY(pg_blocking_pids(first.pid))"
    );
    stage.until("the second waits for the first", &waits).await;
    holder.commit().await.unwrap();
    stage.until("both are kept", "SELECT count(*) = 2 FROM refused").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_cannot_be_kept_waits_in_no_memory_and_holds_up_no_event() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    let mut other = stage.another_session().await;
    let holder = other.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE refused IN ACCESS EXCLUSIVE MODE").await.unwrap();
    ledger.keep_refused(refused(0, "too_large", "the first"));
    stage.until_waiting_for(holder.client(), 1).await;
    for number in 0..5000 {
        ledger.keep_refused(refused(0, "too_large", &number.to_string()));
    }
    for second in 0..20 {
        assert_eq!(ledger.record(event(second).to("app")).await, Ok(Recorded::Stored));
    }
    holder.commit().await.unwrap();
    ledger.keep_refused(refused(0, "timestamp_stale", "perhaps"));
    // The first one, and as many as may wait.
    stage.until("those that waited are kept", "SELECT count(*) >= 65 FROM refused").await;
    ledger.close().await.unwrap();
    assert!(stage.number("SELECT count(*) FROM refused").await <= 66);
}
