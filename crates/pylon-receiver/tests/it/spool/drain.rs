//! What was spooled is handed over as it came, once, in its order.

use super::*;
use crate::ledger::contract::{Draft, at, delivery, event};
use crate::ledger::memory::MemoryLedger;
use pylon_receiver::Headers;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spooled_event_comes_with_everything_that_came_with_it() {
    let stage = Stage::patient();
    let ledger = stage.start().await;
    stage.beyond.away();
    let every_byte: Vec<u8> = (0..=255).collect();
    let events = [
        event(1).to("app"),
        NewEvent { method: "PUT".into(), target: "/a b".into(), query: Some("".into()), ..event(2) },
        NewEvent { query: Some("a=1&b=%00".into()), ..event(3).named("Ticket.Created").in_line("app", "").to("log") },
        event(4).through("Ünïcødé 🦀").with_body(&every_byte).parked("it is not JSON"),
        NewEvent { headers: Headers::from_stored([b"x-bytes: ", &every_byte[11..], b"\n"].concat()), ..event(5) },
        event(6).with_body(every_byte.repeat(9000)).in_line("app", &"key".repeat(9000)),
        NewEvent { passed: vec![event(90).id, event(91).id], ..event(7) },
    ];
    let straight = MemoryLedger::new(5, Arc::new(stage.clock.clone()));
    for event in &events {
        keep(&ledger, event.clone()).await;
        straight.record(event.clone()).await.unwrap();
    }
    ledger.close().await.unwrap();
    stage.beyond.turn(Way::Up);
    // Later, and by another process.
    stage.clock.set(at(1000));
    let ledger = stage.start().await;
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept(), events.each_ref().map(|event| event.id));
    for event in &events {
        let expected = straight.event(event.id).await.unwrap().unwrap();
        let found = ledger.event(event.id).await.unwrap().unwrap();
        let timeless = |mut detail: EventDetail| {
            detail.deliveries.iter_mut().for_each(|(delivery, _)| delivery.due_at = None);
            detail
        };
        assert_eq!(timeless(found.clone()), timeless(expected), "{}", event.id);
        // Due since it was handed over.
        let due = found.deliveries.iter().filter_map(|(delivery, _)| delivery.due_at);
        assert!(due.into_iter().all(|due| due == at(1000)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_spooled_goes_first_in_its_order_and_each_once() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    let mut ids = Vec::new();
    let mut seconds = (0..100_000).rev();
    // Their ids are in another order.
    let mut next = move || event(seconds.next().unwrap()).in_line("app", "line");
    for cut_after in [None, Some(3), Some(5), Some(700)] {
        ids.push(keep(&ledger, next()).await);
        let before = ids.len();
        stage.beyond.away();
        for _ in 0..1000 {
            ids.push(keep(&ledger, next()).await);
        }
        if let Some(cut_after) = cut_after {
            stage.beyond.away_after(cut_after);
            until("it is cut off", || stage.beyond.kept().len() == before + cut_after).await;
        }
        assert!(is_spooling(&ledger));
        stage.beyond.turn(Way::Up);
        direct(&ledger).await;
    }
    assert_eq!(stage.beyond.kept(), ids);
    assert_eq!(ledger.deliveries(DeliveryFilter::default(), all()).await.unwrap().len(), ids.len());
    assert_eq!((status(&ledger).events, status(&ledger).bytes, status(&ledger).handed_over), (0, 0, 4000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_between_the_answer_and_the_deletion_hands_over_once_more() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    stage.beyond.away();
    let mut ids = Vec::new();
    for second in 0..600 {
        ids.push(keep(&ledger, event(second).in_line("app", "line")).await);
    }
    // The files as they are when the ledger has events that the spool has still.
    let copy = Stage { beyond: stage.beyond.clone(), ..Stage::new() };
    let (from, to) = (stage.folder.path().to_owned(), copy.folder.path().to_owned());
    let is_copied = Arc::new(AtomicBool::new(false));
    let copied = is_copied.clone();
    stage.beyond.before_answer(move || {
        for name in ["spool.db", "spool.db-wal"] {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
        copied.store(true, Ordering::SeqCst);
    });
    stage.beyond.turn(Way::Up);
    until("the files are copied", || is_copied.load(Ordering::SeqCst)).await;
    direct(&ledger).await;
    drop(ledger);
    let before = stage.beyond.asked();
    let again = copy.start().await;
    assert!(is_spooling(&again));
    direct(&again).await;
    assert_eq!(status(&again).handed_over, 600, "all of them are still in the spool");
    assert!(stage.beyond.asked() > before);
    assert_eq!(stage.beyond.kept(), ids);
    let deliveries = again.deliveries(DeliveryFilter::default(), all()).await.unwrap();
    assert_eq!(
        deliveries.into_iter().map(|it| it.id).collect::<Vec<_>>(),
        ids.iter().map(|&id| delivery(id, 1)).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_as_fast_as_it_goes_out_does_not_keep_events_in_the_spool() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    // Slower than the spool: 256 events in a tenth of a second.
    stage.beyond.takes(Duration::from_millis(100));
    stage.beyond.away();
    for second in 0..300 {
        keep(&ledger, event(second).numbered(1)).await;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..16_u8)
        .map(|sender| {
            let (ledger, is_over) = (ledger.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                while !is_over.load(Ordering::SeqCst) {
                    keep(&ledger, event(sent).numbered(2 + sender)).await;
                    sent += 1;
                    // The model takes longer the more it has.
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                sent
            })
        })
        .collect();
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    is_over.store(true, Ordering::SeqCst);
    let mut sent = 300;
    for sender in senders {
        sent += sender.await.unwrap();
    }
    assert_eq!(i64::try_from(stage.beyond().await.len()).unwrap(), sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_takes_its_time_gets_it() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    stage.beyond.away();
    keep(&ledger, event(0)).await;
    // Longer than the gate is shut at first.
    stage.beyond.takes(Duration::from_millis(700));
    stage.beyond.turn(Way::Up);
    let sending = {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let mut sent = 1;
            while is_spooling(&ledger) {
                keep(&ledger, event(sent)).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                sent += 1;
            }
        })
    };
    direct(&ledger).await;
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_that_breaks_off_goes_on() {
    let stage = Stage::new();
    let ledger = stage.start().await;
    stage.beyond.away();
    let id = keep(&ledger, event(0)).await;
    stage.beyond.before_answer(|| panic!("on purpose"));
    stage.beyond.turn(Way::Up);
    direct(&ledger).await;
    assert_eq!(stage.beyond().await, [id]);
}
