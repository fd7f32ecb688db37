//! The index of terms in the file.

use super::{Files, eventually, ids};
use crate::ledger::contract::{Draft, all, at, event, owner};
use pylon_receiver::EventId;
use pylon_receiver::ledger::*;
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;

/// The ledger, which takes so many events together into the index.
fn open(files: &Files, indexed_together: usize) -> SqliteLedger {
    let clock = Arc::new(files.clock.clone());
    SqliteLedger::open(files.path(), SqliteOptions { clock, indexed_together, ..SqliteOptions::default() }).unwrap()
}

/// An event about one of seven issues of one account.
fn of_many(second: i64) -> NewEvent {
    event(second).with_body(format!(r#"{{"issue_number": {}, "issue_account_name": "All"}}"#, second % 7))
}

async fn keep(ledger: &SqliteLedger, seconds: std::ops::Range<i64>) -> Vec<EventId> {
    let mut kept = Vec::new();
    for second in seconds {
        kept.push(of_many(second).id);
        assert_eq!(ledger.record(of_many(second)).await, Ok(Recorded::Stored));
    }
    kept
}

async fn found(ledger: &SqliteLedger, term: &str) -> Vec<EventId> {
    let filter = EventFilter { term: Some(term.to_owned()), ..EventFilter::default() };
    ids(&ledger.events(filter, all()).await.unwrap())
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Waits until all events up to this `seq` are in the index.
async fn until_indexed(connection: &Connection, place: i64) {
    eventually("the events come into the index", || number(connection, "SELECT place FROM term_index") >= place).await;
}

fn every_seventh(kept: &[EventId], first: usize) -> Vec<EventId> {
    kept.iter().skip(first).step_by(7).copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_are_found_in_few_segments_also_after_a_start() {
    let files = Files::new();
    let ledger = open(&files, 4);
    let kept = keep(&ledger, 0..402).await;
    let beside = files.connect();
    until_indexed(&beside, 400).await;
    eventually("segments are merged", || number(&beside, "SELECT count(*) FROM term_segments") < 30).await;
    assert_eq!(number(&beside, "SELECT sum(events) FROM term_segments"), 400, "two are in none");
    let check = async |ledger: SqliteLedger| {
        assert_eq!(found(&ledger, "All").await, kept);
        assert_eq!(found(&ledger, "#5").await, every_seventh(&kept, 5));
        assert_eq!(found(&ledger, "7").await, []);
        ledger.close().await.unwrap();
    };
    check(ledger).await;
    check(open(&files, 4)).await;
    let read_only = SqliteLedger::open_read_only(files.path()).unwrap();
    assert_eq!(found(&read_only, "6").await, every_seventh(&kept, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_it_ends_everything_is_found_at_the_next_start() {
    let files = Files::new();
    let mut kept = Vec::new();
    for round in 0..12 {
        let ledger = open(&files, 1);
        kept.extend(keep(&ledger, 10 * round..10 * (round + 1)).await);
        if round % 3 == 0 {
            // The thread of the index is somewhere.
            until_indexed(&files.connect(), 10 * round + 1).await;
        }
        assert_eq!(found(&ledger, "all").await, kept);
        drop(ledger);
    }
    let ledger = open(&files, 1);
    until_indexed(&files.connect(), 120).await;
    assert_eq!(found(&ledger, "all").await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_the_place_of_a_forgotten_one_is_found() {
    let files = Files::new();
    let ledger = open(&files, 5);
    keep(&ledger, 0..20).await;
    let beside = files.connect();
    until_indexed(&beside, 20).await;
    files.clock.set(at(100));
    while let Ok(Pruned::Here { more: true, .. }) =
        ledger.prune(Prune { owner: owner(1), kept_for: Some(Duration::from_secs(50)) }).await
    {}
    assert_eq!(number(&beside, "SELECT count(*) FROM events"), 0);
    let kept = keep(&ledger, 100..112).await;
    assert_eq!(number(&beside, "SELECT min(seq) FROM events"), 1, "the numbers begin anew");
    assert_eq!(found(&ledger, "All").await, kept);
    until_indexed(&beside, 10).await;
    assert_eq!(found(&ledger, "All").await, kept);
    drop(ledger);
    let ledger = open(&files, 5);
    let of_before =
        format!("SELECT count(*) FROM term_segments WHERE last_id < x'{}'", hexadecimal(kept[0].as_bytes()));
    eventually("segments without an event go", || number(&beside, &of_before) == 0).await;
    assert_eq!(
        number(&beside, "SELECT count(*) FROM term_blocks WHERE segment NOT IN (SELECT number FROM term_segments)"),
        0
    );
    assert_eq!(found(&ledger, "All").await, kept);
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of a term, as the index has it.
pub(crate) fn hash(term: &str) -> i64 {
    let hash = term
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash.cast_signed()
}

/// A block that says that the first event of its segment has this term.
pub(crate) fn block_of(term: &str) -> Vec<u8> {
    [&hash(term).to_be_bytes()[..], &1_u16.to_be_bytes(), &0_u16.to_be_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_index_says_is_compared_with_the_body() {
    let files = Files::new();
    let ledger = open(&files, 1);
    let kept = keep(&ledger, 0..3).await;
    let beside = files.connect();
    until_indexed(&beside, 3).await;
    // As if the hash of another term were the same; and of an event that is gone.
    for id in [kept[1], event(50).id] {
        let id = id.as_bytes();
        let insert = "INSERT INTO term_segments (level, first_id, last_id, events, ids) VALUES (0, ?1, ?1, 1, ?1)";
        beside.execute(insert, [id]).unwrap();
        let insert = "INSERT INTO term_blocks (segment, first_hash, entries) VALUES (last_insert_rowid(), ?1, ?2)";
        beside.execute(insert, rusqlite::params![hash("2"), block_of("2")]).unwrap();
    }
    assert_eq!(found(&ledger, "2").await, [kept[2]]);
    beside.execute("DELETE FROM term_blocks WHERE first_hash <> ?1", [hash("2")]).unwrap();
    assert_eq!(found(&ledger, "1").await, [], "it is found by the index alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_before_the_index_are_found_before_and_after_they_come_into_it() {
    let files = Files::new();
    let ledger = open(&files, usize::MAX);
    let kept = keep(&ledger, 0..50).await;
    drop(ledger);
    let beside = files.connect();
    // More than are looked at one by one, of which most are of no interest.
    beside
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
             INSERT INTO events (id, endpoint, name, method, target, headers, body)
             SELECT randomblob(16), 'main', '', 'POST', '/', x'', x'7b7d' FROM n",
        )
        .unwrap();
    let ledger = open(&files, usize::MAX);
    assert_eq!(found(&ledger, "#4").await, every_seventh(&kept, 4));
    let filter = DeliveryFilter { issue: Some("4".into()), ..DeliveryFilter::default() };
    assert_eq!(ledger.deliveries(filter, all()).await, Ok(Vec::new()));
    drop(ledger);
    let ledger = open(&files, 1000);
    until_indexed(&beside, 9000).await;
    assert_eq!(found(&ledger, "#4").await, every_seventh(&kept, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_takes_too_long_says_how_far_it_came() {
    let files = Files::new();
    let ledger = open(&files, usize::MAX);
    let kept = keep(&ledger, 0..200).await;
    let filter = EventFilter { contains: Some("\"ISSUE_NUMBER\":0".into()), ..EventFilter::default() };
    let page = Page { after: None, limit: 50, order: Order::OldestFirst };
    let found = ledger.search(filter.clone(), page, Duration::ZERO).await.unwrap();
    assert_eq!(found.searched_to, Some(kept[63]));
    assert_eq!(ids(&found.events), every_seventh(&kept[..64], 0));
    let whole = ledger.search(filter, page, Duration::from_secs(60)).await.unwrap();
    assert_eq!((ids(&whole.events), whole.searched_to), (every_seventh(&kept, 0), None));
}
