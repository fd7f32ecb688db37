//! What is forgotten leaves its room to what comes.

use super::stage::{Stage, deliver_all, keep_all, numbered};
use crate::ledger::contract::{Draft, owner};
use pylon_receiver::ledger::*;
use std::time::Duration;

/// How much larger the ledger may be after later days. An index gets back the pages of a day when the next day is cleaned up.
const ROOM: f64 = 1.1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_events_again_need_no_more_room() {
    const DAY: u32 = 6000;
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    let mut sizes = Vec::new();
    for day in 0..3 {
        let events = (0..DAY).map(|number| {
            let number = day * DAY + number;
            let body = format!(
                "{{\"text\": \"{}\"}}",
                (0..200).map(|_| format!("{:016x}", fastrand::u64(..))).collect::<String>()
            );
            let lasts = number.is_multiple_of(2).then_some(0);
            numbered(number)
                .with_body(body)
                .keyed(&format!("{number:064x}"), lasts)
                .in_line("app", &(number % 50).to_string())
        });
        keep_all(&ledger, events).await;
        let mut delivered = 0;
        while delivered < DAY as usize {
            delivered += deliver_all(&*ledger, &Verdict::Delivered).await;
        }
        let prune = Prune { owner: owner(1), kept_for: Some(Duration::ZERO) };
        let mut forgotten = 0;
        while let Pruned::Here { events, more } = ledger.prune(prune).await.unwrap() {
            forgotten += events;
            if !more {
                break;
            }
        }
        assert_eq!(forgotten, u64::from(DAY), "day {day}");
        // As autovacuum does within the minute.
        stage.sql("VACUUM (TRUNCATE off) events, open, finished, attempts, deduplication_keys, tallies").await;
        sizes.push(ledger.stats().await.unwrap().ledger_bytes);
    }
    let [first, .., last] = sizes[..] else { panic!("{sizes:?}") };
    assert!(first > 2000 * u64::from(DAY), "the bodies were there: {sizes:?}");
    assert!(last as f64 <= ROOM * first as f64, "{sizes:?}");
    let left = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM open) + (SELECT count(*) FROM finished)
        + (SELECT count(*) FROM attempts) + (SELECT count(*) FROM deduplication_keys)";
    assert_eq!(stage.number(left).await, 0, "nothing is left of them");
}
