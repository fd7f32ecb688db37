//! What a receiver does in the background on the database.

use super::stage::{Stage, deliver_all, keep_all, numbered};
use crate::ledger::contract::Draft;
use pylon_receiver::ledger::*;
use pylon_test_support::log::{logged, so_far};
use pylon_test_support::postgres::{Cluster, Replication, Stop};
use pylon_test_support::wait::eventually;
use std::time::{Duration, Instant};
use tokio_postgres::IsolationLevel;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_rows_are_cleaned_up_without_waiting_for_autovacuum() {
    let Some(stage) = Stage::open().await else { return };
    let vacuums = "SELECT coalesce(sum(vacuum_count), 0) FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname = 'open'";
    let options = PostgresOptions { clean_up_every: Duration::from_millis(10), ..PostgresOptions::default() };
    let ledger = stage.ledger_with(options).await;
    keep_all(&ledger, (0..3000).map(|number| numbered(number).to("app"))).await;
    assert_eq!(stage.number(vacuums).await, 0, "nothing is dead yet");
    assert_eq!(deliver_all(&*ledger, &Verdict::Delivered).await, 3000);
    // The sessions tell of what they did within ten seconds.
    stage.until("it is cleaned up", &format!("SELECT ({vacuums}) > 0")).await;
    let autovacuums = vacuums.replace("vacuum_count", "autovacuum_count");
    assert_eq!(stage.number(&autovacuums).await, 0, "autovacuum has not looked yet");
}

#[test]
fn the_log_tells_what_keeps_postgresql_from_cleaning_up() {
    let Some(cluster) = Cluster::setup().with("max_prepared_transactions", "3").start() else { return };
    let database = cluster.fresh_database();
    let url = cluster.url(&database);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_, lines) = logged(|| {
        runtime.block_on(async {
            let stage = Stage::at(&url).await;
            let mut other = stage.another_session().await;
            let open = other.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await.unwrap();
            open.batch_execute("SELECT FROM events").await.unwrap();
            stage.sql("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'left'").await;
            leave_a_slot(&cluster);
            let options = PostgresOptions {
                clean_up_every: Duration::from_millis(1),
                hold_up: Duration::ZERO,
                ..PostgresOptions::default()
            };
            let ledger = stage.ledger_with(options).await;
            let end = Instant::now() + Duration::from_secs(60);
            while warnings(so_far()).len() < 3 {
                assert!(Instant::now() < end, "the log tells of {:?} only", so_far());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ledger.close().await.unwrap();
        })
    });
    let [transaction, prepared, slot] = warnings(lines).try_into().expect("one line for each kind");
    assert!(
        transaction.contains("a transaction has been open for long") && transaction.contains("of postgres"),
        "{transaction}"
    );
    assert!(prepared.contains("a prepared transaction") && prepared.contains("transaction=\"left\""), "{prepared}");
    assert!(slot.contains("nobody uses a replication slot") && slot.contains("slot=\"unused\""), "{slot}");
}

fn warnings(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| line.starts_with("WARN"));
    lines
}

/// Leaves a replication slot behind whose standby held up the primary when it stopped.
fn leave_a_slot(cluster: &Cluster) {
    cluster.sql("postgres", "SELECT pg_create_physical_replication_slot('unused')");
    let standby = cluster.standby(Replication::Asynchronous);
    standby.conf([
        ("primary_slot_name", "unused"),
        ("hot_standby_feedback", "on"),
        ("wal_receiver_status_interval", "1"),
    ]);
    let has_xmin = "SELECT xmin IS NOT NULL FROM pg_replication_slots";
    eventually("the standby holds up the primary", || (cluster.sql("postgres", has_xmin) == "t").then_some(()));
    standby.stop(Stop::Fast);
    let is_unused = "SELECT NOT active FROM pg_replication_slots";
    eventually("the slot is unused", || (cluster.sql("postgres", is_unused) == "t").then_some(()));
}
