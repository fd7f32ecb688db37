//! A ledger that comes and goes, and many who record meanwhile.

use super::*;
use crate::ledger::contract::{Draft, event};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Events of each recorder.
const EACH: i64 = 100;
const RECORDERS: u8 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_kept_twice_and_no_line_loses_its_order_however_the_ledger_flaps() {
    for round in 0..2 {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut stage = Stage::new();
        stage.options.answer = Duration::from_millis(50);
        let ledger = stage.start().await;
        let done = Arc::new(AtomicUsize::new(0));
        let recorders: Vec<_> = (0..RECORDERS)
            .map(|recorder| {
                let (ledger, done) = (ledger.clone(), done.clone());
                tokio::spawn(async move {
                    for second in 0..EACH {
                        // Each has a line of its own, and all have one in common.
                        let new = event(second).numbered(recorder).in_line("app", &recorder.to_string());
                        keep(&ledger, new.in_line("log", "common")).await;
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let all_of_them = EACH as usize * usize::from(RECORDERS);
        let mut turns = 0;
        // One that fails ends before the others do.
        while recorders.iter().any(|recorder| !recorder.is_finished()) {
            match random.u8(..6) {
                0 => stage.beyond.away(),
                1 => stage.beyond.turn(Way::Away(LedgerError::Full)),
                2 => stage.beyond.turn(Way::Silent),
                3 => stage.beyond.turn(Way::Mute),
                4 => stage.beyond.away_after(random.usize(..40)),
                _ => stage.beyond.turn(Way::Up),
            }
            turns += 1;
            let before = done.load(Ordering::SeqCst);
            let few = random.usize(1..40);
            // A few events later, or soon.
            let _ = tokio::time::timeout(
                Duration::from_millis(random.u64(1..40)),
                until("a few events later", || done.load(Ordering::SeqCst) >= (before + few).min(all_of_them)),
            )
            .await;
        }
        stage.beyond.turn(Way::Up);
        for recorder in recorders {
            recorder.await.unwrap();
        }
        direct(&ledger).await;
        assert!(turns > 5, "it has flapped {turns} times, seed {seed}");
        let kept = stage.beyond.kept();
        assert_eq!(kept.len(), all_of_them, "round {round}, seed {seed}");
        let deliveries = ledger.deliveries(DeliveryFilter::default(), all()).await.unwrap();
        assert_eq!(deliveries.len(), 2 * all_of_them, "round {round}, seed {seed}");
        let mut seen: HashMap<u8, Vec<EventId>> = HashMap::new();
        for id in kept {
            seen.entry(id.as_bytes()[15]).or_default().push(id);
        }
        for (recorder, ids) in seen {
            assert!(ids.is_sorted(), "recorder {recorder} was overtaken: round {round}, seed {seed}");
        }
        assert_eq!((status(&ledger).events, status(&ledger).bytes), (0, 0), "round {round}, seed {seed}");
    }
}
