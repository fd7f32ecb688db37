//! Receivers that stop for a while: others go on, and what the one that stopped says then counts only as far as its leases hold.

use super::place::Place;
use super::proxy::Commit;
use crate::ledger::contract::{Ask, Draft, attempt, claim, delivery, event, ids, owner};
use pylon_receiver::ledger::*;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_slept_past_its_lease_is_fenced() {
    let Some(place) = Place::new().await else { return };
    let desk = &place.desk;
    let id = desk.keep(event(0).in_line("app", "a")).await;
    let behind = desk.keep(event(0).numbered(1).in_line("app", "a")).await;
    let slept = desk.take(0).await.lease;
    let other = Ask { owner: owner(2), ..claim(60) };
    let leased = desk.second().exchange(Ask { now: 0, ..other.clone() }.exchange()).await.unwrap().claimed;
    assert!(leased.deliveries.is_empty());
    desk.now(60);
    let leased = desk.second().exchange(other.exchange()).await.unwrap().claimed.deliveries.remove(0);
    assert_eq!(leased.lease.delivery, slept.delivery);
    let settle = |lease, detail| {
        let told = attempt(200, detail);
        Exchange {
            destination: "app".into(),
            settlements: vec![Settlement { lease, verdict: Verdict::Delivered, attempt: Some(told) }],
            claim: None,
        }
    };
    let settled = desk.second().exchange(settle(leased.lease, "theirs")).await.unwrap().settled;
    assert_eq!(settled, [Settled::Recorded]);
    // It wakes.
    assert_eq!(desk.ledger().renew(vec![slept], Duration::from_secs(60)).await, Ok(vec![false]));
    assert_eq!(desk.ledger().exchange(settle(slept, "ours")).await.unwrap().settled, [Settled::Fenced]);
    assert_eq!(place.count("SELECT count(*) FROM finished").await, 1);
    let event = desk.event(id).await;
    let logged: Vec<_> = event.deliveries[0].1.iter().map(|logged| (logged.attempt, &*logged.detail)).collect();
    assert_eq!(logged, [(2, "theirs")]);
    assert_eq!(desk.due(60).await, [delivery(behind, 1)], "it was let go once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stops_in_a_claim_keeps_others_from_nothing_but_what_it_has_locked() {
    let Some(place) = Place::new().await else { return };
    for number in 0..4 {
        place.desk.keep(event(0).numbered(number).to("app")).await;
    }
    place.proxy.next_commit(Commit::Held);
    let (ledger, ask) = (place.behind.clone(), Ask { owner: owner(2), free: 2, ..claim(0) });
    let held = tokio::spawn(async move { ledger.exchange(ask.exchange()).await });
    place.proxy.has_met(1).await;
    let got = place.desk.claim(Ask { free: 3, ..claim(0) }).await;
    assert_eq!(got.deliveries.len(), 2, "the others");
    assert_eq!(got.next_due, Some(crate::ledger::contract::at(0).after(Duration::from_millis(10))), "soon again");
    place.proxy.let_go();
    let theirs = held.await.unwrap().unwrap().claimed.deliveries;
    assert_eq!(theirs.len(), 2);
    assert!(theirs.iter().all(|leased| !ids(&got).contains(&leased.lease.delivery)), "nothing is leased twice");
    assert_eq!(place.desk.due(0).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_about_to_be_settled_does_not_run_out() {
    let Some(place) = Place::new().await else { return };
    place.desk.keep(event(0).to("app")).await;
    let leased = place.lease().await;
    place.proxy.next_commit(Commit::Held);
    let settlements = vec![Settlement { lease: leased.lease, verdict: Verdict::Delivered, attempt: None }];
    let (ledger, settle) = (place.behind.clone(), Exchange { destination: "app".into(), settlements, claim: None });
    let held = tokio::spawn(async move { ledger.exchange(settle).await });
    place.proxy.has_met(1).await;
    assert_eq!(place.desk.due(61).await, []);
    place.proxy.let_go();
    assert_eq!(held.await.unwrap().unwrap().settled, [Settled::Recorded]);
    assert_eq!(place.desk.due(61).await, []);
    assert_eq!(place.count("SELECT count(*) FROM finished").await, 1);
}
