//! The index of terms in the database.

use super::stage::Stage;
use crate::ledger::contract::{Draft, all, event};
use crate::sqlite::{block_of, hash};
use futures_util::future::join_all;
use pylon_receiver::EventId;
use pylon_receiver::ledger::*;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

async fn open(stage: &Stage, indexed_together: usize) -> Arc<dyn Ledger> {
    stage.ledger_with(PostgresOptions { indexed_together, ..PostgresOptions::default() }).await
}

/// An event about one of seven issues of one account.
fn of_many(second: i64) -> NewEvent {
    event(second).with_body(format!(r#"{{"issue_number": {}, "issue_account_name": "All"}}"#, second % 7)).to("app")
}

async fn found(ledger: &Arc<dyn Ledger>, term: &str) -> Vec<EventId> {
    let filter = EventFilter { term: Some(term.to_owned()), ..EventFilter::default() };
    ledger.events(filter, all()).await.unwrap().iter().map(|record| record.id).collect()
}

const UNINDEXED: &str = "SELECT coalesce(sum(cardinality(events)), 0) FROM unindexed_events";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_receivers_record_at_once_is_found_in_few_segments() {
    let Some(stage) = Stage::open().await else { return };
    let ledgers = [open(&stage, 4).await, open(&stage, 4).await];
    let record = async |first: i64| {
        for second in (first..400).step_by(8) {
            let ledger = &ledgers[usize::try_from(first).unwrap() % 2];
            assert_eq!(ledger.record(of_many(second)).await, Ok(Recorded::Stored));
            // What is recorded is found at once, wherever it is.
            let filter = EventFilter { term: Some(format!("{}", second % 7)), ..EventFilter::default() };
            let page = Page { after: None, limit: 400, order: Order::NewestFirst };
            let events = ledgers[0].events(filter, page).await.unwrap();
            assert!(events.iter().any(|record| record.id == of_many(second).id), "{second}");
        }
    };
    join_all((0..8).map(record)).await;
    stage.until("the events come into the index", &format!("SELECT ({UNINDEXED}) < 4")).await;
    stage.until("segments are merged", "SELECT count(*) < 40 FROM term_segments").await;
    let kept: Vec<EventId> = (0..400).map(|second| of_many(second).id).collect();
    for ledger in &ledgers {
        assert_eq!(found(ledger, "ALL").await, kept);
        let expected: Vec<EventId> = kept.iter().skip(5).step_by(7).copied().collect();
        assert_eq!(found(ledger, "#5").await, expected);
        let filter = DeliveryFilter { issue: Some("5".into()), ..DeliveryFilter::default() };
        let deliveries = ledger.deliveries(filter, all()).await.unwrap();
        assert_eq!(deliveries.iter().map(|delivery| delivery.id.event).collect::<Vec<_>>(), expected);
    }
    let twice = "SELECT count(*) FROM term_blocks WHERE segment NOT IN (SELECT number FROM term_segments)";
    assert_eq!(stage.number(twice).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_before_the_index_are_found_before_and_after_they_come_into_it() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = open(&stage, usize::MAX).await;
    for second in 0..30 {
        assert_eq!(ledger.record(of_many(second)).await, Ok(Recorded::Stored));
    }
    // As the tables are after they were brought to this version.
    stage.sql("DELETE FROM unindexed_events; UPDATE chores SET place = (SELECT id FROM events ORDER BY id DESC LIMIT 1) WHERE name = 'terms'").await;
    let kept: Vec<EventId> = (0..30).map(|second| of_many(second).id).collect();
    assert_eq!(found(&ledger, "all").await, kept);
    let other = open(&stage, 7).await;
    stage.until("they come into the index", "SELECT place IS NULL FROM chores WHERE name = 'terms'").await;
    assert_eq!(stage.number("SELECT sum(events) FROM term_segments").await, 30);
    assert_eq!(found(&other, "all").await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_index_says_is_compared_with_the_body() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = open(&stage, 1).await;
    for second in 0..3 {
        assert_eq!(ledger.record(of_many(second)).await, Ok(Recorded::Stored));
    }
    stage
        .until("they come into the index", &format!("SELECT ({UNINDEXED}) = 0 AND EXISTS (SELECT FROM term_segments)"))
        .await;
    // As if the hash of another term were the same; and of an event that is gone.
    for id in [of_many(1).id, event(50).id] {
        let (uuid, bytes) = (Uuid::from_bytes(*id.as_bytes()), id.as_bytes().as_slice());
        let insert = "
            WITH segment AS (
                INSERT INTO term_segments (level, first_id, last_id, events, ids) VALUES (0, $1, $1, 1, $2) RETURNING number
            ) INSERT INTO term_blocks (segment, first_hash, entries) SELECT number, $3, $4 FROM segment";
        stage.session.execute(insert, &[&uuid, &bytes, &hash("2"), &block_of("2")]).await.unwrap();
    }
    assert_eq!(found(&ledger, "2").await, [of_many(2).id]);
    stage.session.execute("DELETE FROM term_blocks WHERE first_hash <> $1", &[&hash("2")]).await.unwrap();
    assert_eq!(found(&ledger, "1").await, [], "it is found by the index alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_takes_too_long_says_how_far_it_came() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = open(&stage, usize::MAX).await;
    join_all((0..400).map(|second| ledger.record(of_many(second)))).await;
    let filter = EventFilter { contains: Some("\"ISSUE_NUMBER\":0".into()), ..EventFilter::default() };
    let page = Page { after: None, limit: 100, order: Order::OldestFirst };
    let found = ledger.search(filter.clone(), page, Duration::ZERO).await.unwrap();
    assert_eq!(found.searched_to, Some(of_many(255).id));
    assert_eq!(found.events.len(), 37);
    let whole = ledger.search(filter, page, Duration::from_secs(60)).await.unwrap();
    assert_eq!((whole.events.len(), whole.searched_to), (58, None));
}
