//! Events that cannot be read: they end, and nobody waits behind them.

use super::place::Place;
use crate::ledger::contract::{Draft, claim, delivery, event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_whose_event_is_gone_is_dead_and_lets_the_next_one_go() {
    let Some(place) = Place::new().await else { return };
    let gone = place.desk.keep(event(0).in_line("app", "a")).await;
    let next = place.desk.keep(event(0).numbered(1).in_line("app", "a")).await;
    let other = place.desk.keep(event(0).numbered(2).to("app")).await;
    let beside = place.desk.subject().beside().await;
    beside.batch_execute(&format!("DELETE FROM events WHERE id = '{gone}'")).await.unwrap();
    dead_then_the_others(&place, gone, [next, other]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_whose_event_is_damaged_is_dead_and_lets_the_next_one_go() {
    let Some(place) = Place::new().await else { return };
    // Too long and too random for its row: it is kept beside it.
    let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(50_000).collect();
    let damaged = place.desk.keep(event(0).in_line("app", "a").with_body(body)).await;
    let next = place.desk.keep(event(0).numbered(1).in_line("app", "a")).await;
    let other = place.desk.keep(event(0).numbered(2).to("app")).await;
    let beside = place.desk.subject().beside().await;
    let toast = "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'events'::regclass";
    let toast: String = beside.query_one(toast, &[]).await.unwrap().get(0);
    let damage = format!(
        "CREATE EXTENSION IF NOT EXISTS pg_surgery SCHEMA public;
         SELECT public.heap_force_kill('{toast}', ARRAY(SELECT ctid FROM {toast}))"
    );
    beside.batch_execute(&damage).await.unwrap();
    dead_then_the_others(&place, damaged, [next, other]).await;
}

async fn dead_then_the_others(place: &Place, bad: pylon_receiver::EventId, others: [pylon_receiver::EventId; 2]) {
    let mut leased = Vec::new();
    let mut exhausted = Vec::new();
    // A claim that meets it may have to be asked again.
    for _ in 0..3 {
        let got = place.desk.claim(claim(1)).await;
        leased.extend(got.deliveries.iter().map(|leased| leased.lease.delivery));
        exhausted.extend(got.exhausted);
    }
    assert_eq!(exhausted, [delivery(bad, 1)], "it is told once");
    leased.sort_unstable();
    assert_eq!(leased, others.map(|other| delivery(other, 1)));
    let reason =
        "SELECT count(*) FROM finished WHERE state = 4 AND convert_from(reason, 'UTF8') LIKE '%cannot be read%'";
    assert_eq!(place.count(reason).await, 1);
}
