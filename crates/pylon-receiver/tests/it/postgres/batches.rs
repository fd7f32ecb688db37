//! Very many events at once go in batches that the server can take.

use super::stage::{Stage, numbered};
use crate::ledger::contract::Draft;
use futures_util::future::join_all;
use pylon_receiver::ledger::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// More lines than the server has room for locks of one transaction by default.
const MANY: u32 = 20_000;
/// As many go into one commit at most.
const MOST: usize = 256;

/// The sizes of batches.
#[derive(Debug, Default)]
struct Sizes(Mutex<Vec<usize>>);

impl CommitObserver for Sizes {
    fn committed(&self, events: usize, _: Duration) {
        self.0.lock().unwrap().push(events);
    }

    fn failed(&self) {
        self.0.lock().unwrap().push(usize::MAX);
    }
}

fn many(from: u32) -> impl Iterator<Item = NewEvent> {
    (from..from + MANY).map(|number| {
        let name = format!("{number:064}");
        numbered(number).keyed(&name, Some(3600)).in_line("app", &name)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_keys_and_lines_at_once_are_kept_in_batches() {
    let Some(stage) = Stage::open().await else { return };
    let sizes = Arc::new(Sizes::default());
    let options = PostgresOptions {
        queue: MANY as usize,
        observer: Some(sizes.clone()),
        answer_within: Duration::from_secs(60),
        ..PostgresOptions::default()
    };
    let ledger = stage.ledger_with(options).await;
    for recorded in join_all(many(0).map(|event| ledger.record(event))).await {
        assert_eq!(recorded, Ok(Recorded::Stored));
    }
    let handed_over = ledger.hand_over(many(MANY).collect()).await.unwrap();
    assert_eq!(handed_over, vec![Ok(Recorded::Stored); MANY as usize]);
    for table in ["events", "open", "deduplication_keys"] {
        assert_eq!(stage.number(&format!("SELECT count(*) FROM {table}")).await, 2 * i64::from(MANY), "{table}");
    }
    let sizes = sizes.0.lock().unwrap();
    assert!(sizes.iter().all(|size| (1..=MOST).contains(size)), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() >= MANY as usize, "{sizes:?}");
    assert!(sizes.len() < MANY as usize / 10, "they share commits: {} of them", sizes.len());
}
