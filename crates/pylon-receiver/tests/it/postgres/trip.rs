//! How often an exchange waits for the server, and what it asks of it.

use super::place::Place;
use super::proxy::Commit;
use crate::ledger::contract::{Draft, claim, event};
use pylon_receiver::ledger::*;
use std::time::Duration;

fn settle(lease: Lease, verdict: Verdict) -> Exchange {
    let settlements = vec![Settlement { lease, verdict, attempt: None }];
    Exchange { destination: "app".into(), settlements, claim: None }
}

/// Does the exchange while so many answers pass; its commit is on its way all the same.
async fn commits_after(place: &Place, answers: u64, exchange: Exchange) -> Exchanged {
    place.proxy.pass_answers(Some(answers));
    place.proxy.next_commit(Commit::Held);
    let ledger = place.behind.clone();
    let exchanged = tokio::spawn(async move { ledger.exchange(exchange).await });
    place.proxy.has_met(1).await;
    place.proxy.pass_answers(None);
    place.proxy.let_go();
    exchanged.await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_is_one_round_trip() {
    for verdict in [Verdict::Delivered, Verdict::Released] {
        let Some(place) = Place::new().await else { return };
        place.desk.keep(event(0).in_line("app", "a")).await;
        let leased = place.lease().await;
        // What is asked for the first time is prepared.
        let stale = Lease { token: 0, ..leased.lease };
        place.behind.exchange(settle(stale, verdict.clone())).await.unwrap();
        let answer = commits_after(&place, 0, settle(leased.lease, verdict)).await;
        assert_eq!(answer.settled, [Settled::Recorded]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_with_settlements_is_two_round_trips() {
    let Some(place) = Place::new().await else { return };
    for number in 0..3 {
        place.desk.keep(event(0).numbered(number).in_line("app", "a")).await;
    }
    let first = place.lease().await;
    let exchange = |lease| Exchange { claim: Some(claim(0).claim()), ..settle(lease, Verdict::Delivered) };
    let second = place.behind.exchange(exchange(first.lease)).await.unwrap().claimed.deliveries.remove(0);
    // The answers to what is sent at first: to begin, to lock lines, to end, to expire, the present, what is due.
    let answer = commits_after(&place, 6, exchange(second.lease)).await;
    assert_eq!((answer.settled.as_slice(), answer.claimed.deliveries.len()), (&[Settled::Recorded][..], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_prepared_twice() {
    let Some(place) = Place::new().await else { return };
    let mut prepared = 0;
    for round in 0..10_u8 {
        place.desk.keep(event(0).numbered(round).in_line("app", "a")).await;
        let leased = place.lease().await;
        place.behind.renew(vec![leased.lease], Duration::from_secs(60)).await.unwrap();
        let verdict = if round % 2 == 0 { Verdict::Delivered } else { Verdict::Dead("over".into()) };
        let exchange = Exchange { claim: Some(claim(0).claim()), ..settle(leased.lease, verdict) };
        assert_eq!(place.behind.exchange(exchange).await.unwrap().settled, [Settled::Recorded]);
        // A delivery that dies has a statement of its own for its answer.
        if round == 1 {
            prepared = place.proxy.prepared();
        }
    }
    assert_eq!(place.proxy.prepared(), prepared);
}
