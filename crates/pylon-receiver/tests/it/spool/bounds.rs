//! The spool is bounded in bytes, and counts them exactly.

use super::*;
use crate::ledger::contract::{Draft, event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_is_told_and_has_room_again_once_events_were_handed_over() {
    let mut stage = Stage::new();
    stage.options.size = 100 * 1024;
    let ledger = stage.start().await;
    stage.beyond.away();
    let body = "a".repeat(1000);
    let mut kept = Vec::new();
    let full = loop {
        let new = event(kept.len() as i64).with_body(&body);
        match ledger.record(new.clone()).await {
            Ok(Recorded::Stored) => kept.push(new.id),
            answer => break answer,
        }
        assert!(kept.len() < 100, "it is bounded");
    };
    assert_eq!((full, ledger.check().await), (Err(LedgerError::Full), Err(LedgerError::Full)));
    let SpoolStatus { events, bytes, size, is_full, .. } = status(&ledger);
    assert_eq!((events, size, is_full), (kept.len() as u64, 100 * 1024, true));
    assert!(bytes <= size && bytes > size - 2048, "{bytes}");
    // A duplicate needs no room, and a small one may have some.
    assert_eq!(ledger.record(event(0).with_body(&body)).await, Err(LedgerError::Full));
    assert_eq!(stage.beyond().await, []);
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!((stage.beyond.kept(), ledger.check().await), (kept, Ok(())));
    let SpoolStatus { events, bytes, is_full, .. } = status(&ledger);
    assert_eq!((events, bytes, is_full), (0, 0, false));
    stage.beyond.away();
    keep(&ledger, event(1000).with_body(&body)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_spool_is_counted_the_same_after_a_start() {
    let mut stage = Stage::patient();
    stage.options.size = 1 << 20;
    let ledger = stage.start().await;
    stage.beyond.away();
    keep(&ledger, event(0).with_body("é".repeat(500)).named("née").in_line("app", "ключ").to("log")).await;
    let one = status(&ledger).bytes;
    assert!((1500..3000).contains(&one), "{one}");
    for second in 1..50 {
        let new = NewEvent { query: Some("a=1".into()), ..event(second).with_body("a".repeat(second as usize)) };
        keep(&ledger, new.keyed(&second.to_string(), Some(10)).in_line("app", "line")).await;
    }
    // What is not kept takes no room: the same event, a duplicate, one without room.
    let before = status(&ledger);
    ledger.record(event(49)).await.unwrap();
    assert_eq!(ledger.record(event(50).keyed("49", Some(10))).await, Ok(Recorded::Duplicate(event(49).id)));
    assert_eq!(ledger.record(event(51).with_body(vec![0; 1 << 20])).await, Err(LedgerError::Full));
    assert_eq!(SpoolStatus { is_full: false, ..status(&ledger) }, before);
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = stage.start().await;
    assert_eq!((status(&ledger).events, status(&ledger).bytes), (before.events, before.bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_do_not_take_more_than_there_is() {
    let mut stage = Stage::patient();
    stage.options.size = 64 * 1024;
    let ledger = stage.start().await;
    stage.beyond.away();
    keep(&ledger, event(0)).await;
    let recordings: Vec<_> = (1..200)
        .map(|second| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.record(event(second).with_body(vec![b'a'; 1000])).await })
        })
        .collect();
    let mut stored = 1;
    for recording in recordings {
        match recording.await.unwrap() {
            Ok(Recorded::Stored) => stored += 1,
            answer => assert_eq!(answer, Err(LedgerError::Full)),
        }
    }
    let SpoolStatus { events, bytes, size, .. } = status(&ledger);
    assert_eq!(events, stored);
    assert!(bytes <= size && bytes > size - 2048, "{bytes}");
}
