//! Events that share a commit: what holds one of them up holds up no other.

use super::address;
use super::place::Place;
use super::proxy::Commit;
use super::stage::{Stage, numbered};
use crate::ledger::contract::{Draft, event};
use futures_util::future::join_all;
use pylon_receiver::ledger::*;
use pylon_test_support::postgres::Cluster;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn spawn(ledger: &Arc<dyn Ledger>, event: NewEvent) -> tokio::task::JoinHandle<Result<Recorded, LedgerError>> {
    let ledger = ledger.clone();
    tokio::spawn(async move { ledger.record(event).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_line_holds_up_its_own_events_alone() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger_called("held up").await;
    let writers = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'held up write%' ORDER BY pid";
    let writers = async || -> Vec<i32> {
        stage.session.query(writers, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(ledger.record(numbered(0).in_line("app", "a")).await, Ok(Recorded::Stored));
    let mut holder = stage.another_session().await;
    let holding = holder.transaction().await.unwrap();
    holding.batch_execute("SELECT pg_advisory_xact_lock(line) FROM open").await.unwrap();
    // One writer waits for the line, then the other one.
    let mut held_up = vec![spawn(&ledger, numbered(1).in_line("app", "a").in_line("app", "c"))];
    stage.until_waiting_for(holding.client(), 1).await;
    held_up.extend((2..20).map(|number| spawn(&ledger, numbered(number).in_line("app", "a"))));
    let (began, mut number, mut before) = (Instant::now(), 20, Vec::new());
    while began.elapsed() < Duration::from_millis(3500) {
        let asked = Instant::now();
        let others = [numbered(number).in_line("app", "b"), numbered(number + 1).to("app")];
        for recorded in join_all(others.map(|event| ledger.record(event))).await {
            assert_eq!(recorded, Ok(Recorded::Stored), "after {:?}", began.elapsed());
        }
        assert!(asked.elapsed() < Duration::from_millis(2500), "{:?}", asked.elapsed());
        number += 2;
        if before.is_empty() {
            before = writers().await;
        }
    }
    assert!(held_up.iter().all(|held_up| !held_up.is_finished()), "they wait for their line");
    holding.commit().await.unwrap();
    for recorded in join_all(held_up).await {
        assert_eq!(recorded.unwrap(), Ok(Recorded::Stored));
    }
    assert_eq!(writers().await, before, "no connection is lost");
    assert_eq!(stage.number("SELECT count(*) FROM open WHERE order_key = 'a' AND state = 0").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_locked_line_for_too_long_is_refused() {
    let Some(stage) = Stage::open().await else { return };
    let options = PostgresOptions { answer_within: Duration::from_secs(2), ..PostgresOptions::default() };
    let ledger = stage.ledger_with(options).await;
    assert_eq!(ledger.record(numbered(0).in_line("app", "a")).await, Ok(Recorded::Stored));
    let mut holder = stage.another_session().await;
    let holding = holder.transaction().await.unwrap();
    holding.batch_execute("SELECT pg_advisory_xact_lock(line) FROM open").await.unwrap();
    let began = Instant::now();
    let refused = ledger.record(numbered(1).in_line("app", "a")).await;
    assert!(matches!(refused, Err(LedgerError::Unreachable(_))), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    holding.commit().await.unwrap();
    assert_eq!(ledger.record(numbered(2).in_line("app", "a")).await, Ok(Recorded::Stored));
    assert_eq!(stage.number("SELECT count(*) FROM events").await, 2, "nobody records what was refused");
}

/// More lines in one transaction than the server has room for locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_very_many_lines_are_recorded_and_handed_over() {
    // With room for fewer locks than a batch may want, it is recorded in parts; many batches at once would be too much for such a server.
    for (locks, at_once) in [("64", 600), ("10", 16)] {
        let small = Cluster::setup().with("max_connections", "30").with("max_locks_per_transaction", locks);
        let Some(cluster) = small.start() else { return };
        let url = cluster.url(&cluster.fresh_database());
        let options = PostgresOptions { answer_within: Duration::from_secs(30), ..PostgresOptions::default() };
        let ledger = PostgresLedger::connect(&address(&url), options).await.unwrap();
        let event = |number| {
            (0..60).fold(numbered(number), |event, to| event.in_line(&format!("app{to}"), &number.to_string()))
        };
        for first in (0..600).step_by(at_once) {
            let events = (first..600).take(at_once).map(event);
            for recorded in join_all(events.map(|event| ledger.record(event))).await {
                assert_eq!(recorded, Ok(Recorded::Stored), "with {locks} locks a transaction");
            }
        }
        let handed_over = ledger.hand_over((600..1200).map(event).collect()).await.unwrap();
        assert_eq!(handed_over.len(), 600);
        for recorded in handed_over {
            assert_eq!(recorded, Ok(Recorded::Stored), "with {locks} locks a transaction");
        }
        assert_eq!(ledger.stats().await.unwrap().events, 1200);
        ledger.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_for_an_answer_begins_when_the_event_comes() {
    let Some(stage) = Stage::open().await else { return };
    let options = PostgresOptions { answer_within: Duration::from_secs(1), ..PostgresOptions::default() };
    let ledger = stage.ledger_with(options).await;
    assert_eq!(ledger.record(numbered(0)).await, Ok(Recorded::Stored));
    let mut holder = stage.another_session().await;
    let holding = holder.transaction().await.unwrap();
    holding.batch_execute("LOCK TABLE events").await.unwrap();
    let began = Instant::now();
    // As many as fill many commits.
    for refused in join_all((1..2001).map(|number| ledger.record(numbered(number)))).await {
        assert!(matches!(refused, Err(LedgerError::Unreachable(_))), "{refused:?}");
    }
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_wakes_other_receivers() {
    let Some(place) = Place::new().await else { return };
    let mut wakes = place.desk.second().wakes();
    place.proxy.next_commit(Commit::AnswerCut);
    assert_eq!(place.behind.record(event(0).to("app").to("log")).await, Ok(Recorded::Stored));
    for destination in ["app", "log"] {
        let wake = crate::wait::within("it is woken", wakes.next()).await;
        assert_eq!(wake, Some(Wake::At(destination.into())));
    }
}
