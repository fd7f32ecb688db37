//! Exchanges whose answer is lost: nobody knows whether they were committed.

use super::place::Place;
use super::proxy::Commit;
use crate::ledger::contract::{Ask, Draft, attempt, claim, event, retry};
use pylon_receiver::ledger::*;
use std::time::Duration;

/// Short, for a server that says nothing; long enough for one that is busy.
fn impatient() -> PostgresOptions {
    PostgresOptions { answer_within: Duration::from_secs(1), ..PostgresOptions::default() }
}

fn settle(lease: Lease, verdict: Verdict) -> Exchange {
    let settlements = vec![Settlement { lease, verdict, attempt: Some(attempt(200, "found 200")) }];
    Exchange { destination: "app".into(), settlements, claim: None }
}

fn verdicts() -> [Verdict; 4] {
    [Verdict::Delivered, Verdict::Dead("over".into()), retry(5000), Verdict::Released]
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(answer: Result<T, LedgerError>) {
    assert!(matches!(answer, Err(LedgerError::Unreachable(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_claim_has_leased_the_next_one_gets_as_if_it_had_not_been() {
    for commit in [Commit::Cut, Commit::AnswerCut, Commit::Silence] {
        let Some(place) = Place::with(impatient()).await else { return };
        place.desk.keep(event(0).to("app")).await;
        place.desk.keep(event(0).numbered(1).in_line("app", "a")).await;
        place.desk.keep(event(0).numbered(2).to("other")).await;
        place.proxy.next_commit(commit);
        assert_lost(place.behind.exchange(claim(0).exchange()).await);
        if commit != Commit::Cut {
            assert_eq!(place.desk.due(0).await, [], "{commit:?}: they are leased");
        }
        let claimed = place.claim(claim(0).exchange(), 2).await;
        for leased in &claimed.deliveries {
            let told = (leased.attempt, leased.counted, leased.is_suspect, leased.is_repeat);
            assert_eq!(told, (1, 0, false, false), "{commit:?}");
            let settled = place.behind.exchange(settle(leased.lease, Verdict::Delivered)).await.unwrap().settled;
            assert_eq!(settled, [Settled::Recorded], "{commit:?}");
        }
        assert_eq!(place.count("SELECT count(*) FROM finished").await, 2, "{commit:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_settlement_is_recorded_when_it_is_asked_for_again_and_only_then() {
    let Some(place) = Place::with(impatient()).await else { return };
    let mut cases = vec![(Commit::Silence, Verdict::Delivered)];
    for commit in [Commit::Cut, Commit::AnswerCut, Commit::CutAfterwards] {
        cases.extend(verdicts().map(|verdict| (commit, verdict)));
    }
    for (number, (commit, verdict)) in (0..).zip(cases) {
        let told = format!("{commit:?}, {verdict:?}");
        place.desk.keep(event(0).numbered(number).in_line("app", &told)).await;
        let leased = place.lease().await;
        let before = place.count("SELECT count(*) FROM attempts").await;
        place.proxy.next_commit(commit);
        let answer = place.behind.exchange(settle(leased.lease, verdict.clone())).await;
        if commit != Commit::CutAfterwards {
            assert_lost(answer);
            let again = place.behind.exchange(settle(leased.lease, verdict.clone())).await;
            assert_eq!(again.unwrap().settled, [Settled::Recorded], "{told}");
        } else {
            let settled = answer.map(|answer| answer.settled);
            assert_eq!(settled, Ok(vec![Settled::Recorded]), "{told}");
        }
        let once_more = place.desk.ledger().exchange(settle(leased.lease, verdict.clone())).await;
        assert_eq!(once_more.unwrap().settled, [Settled::Fenced], "{told}: for somebody else");
        if commit != Commit::CutAfterwards {
            let once_more = place.behind.exchange(settle(leased.lease, verdict.clone())).await;
            assert_eq!(once_more.unwrap().settled, [Settled::Fenced], "{told}: for a caller who has the answer");
        }
        assert_eq!(place.count("SELECT count(*) FROM attempts").await, before + 1, "{told}");
        if verdict == Verdict::Released {
            let leased = place.desk.take(0).await;
            assert_eq!(leased.attempt, 1, "{told}");
            assert_eq!(place.desk.settle(leased.lease, 0, Verdict::Delivered).await, Settled::Recorded);
        }
    }
    let stats = place.desk.stats(0).await;
    let app = stats.destinations.iter().find(|destination| destination.destination == "app").unwrap();
    assert_eq!((app.waiting, app.delivering, app.dead), (3, 0, 3), "those that wait for 5000 s, and the dead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_is_lost_whole_is_asked_for_again_whole() {
    let Some(place) = Place::new().await else { return };
    for number in 0..3 {
        place.desk.keep(event(0).numbered(number).in_line("app", "a")).await;
    }
    let first = place.lease().await;
    let exchange = Exchange { claim: Some(claim(0).claim()), ..settle(first.lease, Verdict::Delivered) };
    place.proxy.next_commit(Commit::AnswerCut);
    assert_lost(place.behind.exchange(exchange.clone()).await);
    let answer = place.behind.exchange(exchange).await.unwrap();
    assert_eq!(answer.settled, [Settled::Recorded]);
    let [second] = &*answer.claimed.deliveries else { panic!("{:?}", answer.claimed) };
    assert_eq!((second.attempt, second.is_suspect), (1, false));
    assert_ne!(second.lease.delivery, first.lease.delivery);
    assert_eq!(place.count("SELECT count(*) FROM finished").await, 1);
    assert_eq!(place.count("SELECT count(*) FROM open WHERE state IN (0, 2)").await, 1, "one of the line goes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_arrives_late_is_given_back_too() {
    let Some(place) = Place::new().await else { return };
    place.desk.keep(event(0).to("app")).await;
    place.proxy.next_commit(Commit::Late);
    assert_lost(place.behind.exchange(claim(0).exchange()).await);
    let claimed = place.behind.exchange(claim(0).exchange()).await.unwrap().claimed;
    assert!(claimed.deliveries.is_empty(), "the late one has locked it");
    assert_eq!(claimed.next_due, Some(Duration::from_millis(10)), "which is soon over");
    place.proxy.let_go();
    place.proxy.has_arrived(1).await;
    assert_eq!(place.desk.due(0).await, [], "it is leased, and nobody knows");
    let leased = place.lease().await;
    assert_eq!((leased.attempt, leased.is_suspect), (1, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_that_arrives_late_counts_once() {
    for verdict in verdicts() {
        let Some(place) = Place::new().await else { return };
        place.desk.keep(event(0).in_line("app", "a")).await;
        let leased = place.lease().await;
        place.proxy.next_commit(Commit::Late);
        assert_lost(place.behind.exchange(settle(leased.lease, verdict.clone())).await);
        let (behind, again) = (place.behind.clone(), settle(leased.lease, verdict.clone()));
        let again = tokio::spawn(async move { behind.exchange(again).await });
        place.proxy.let_go();
        place.proxy.has_arrived(1).await;
        assert_eq!(again.await.unwrap().unwrap().settled, [Settled::Recorded], "{verdict:?}");
        assert_eq!(place.count("SELECT count(*) FROM attempts").await, 1, "{verdict:?}");
        let ends = i64::from(matches!(verdict, Verdict::Delivered | Verdict::Dead(_)));
        assert_eq!(place.count("SELECT count(*) FROM finished").await, ends, "{verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_leased_since_is_not_given_back() {
    let Some(place) = Place::new().await else { return };
    place.desk.keep(event(0).to("app")).await;
    place.proxy.next_commit(Commit::AnswerCut);
    assert_lost(place.behind.exchange(claim(0).exchange()).await);
    // Its lease runs out, and somebody else takes it.
    let theirs = place.desk.take(60).await;
    assert_eq!((theirs.attempt, theirs.is_suspect), (2, true), "an interruption: nobody has given it back before");
    let claimed = place.behind.exchange(claim(60).exchange()).await.unwrap().claimed;
    assert!(claimed.deliveries.is_empty(), "{claimed:?}");
    assert_eq!(place.desk.settle(theirs.lease, 61, Verdict::Delivered).await, Settled::Recorded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_claim_of_another_destination_is_left_to_its_courier() {
    let Some(place) = Place::new().await else { return };
    place.desk.keep(event(0).to("app")).await;
    place.proxy.next_commit(Commit::AnswerCut);
    assert_lost(place.behind.exchange(claim(0).exchange()).await);
    let other = Ask { destination: "other".into(), ..claim(0) };
    place.behind.exchange(other.exchange()).await.unwrap();
    assert_eq!(place.count("SELECT count(*) FROM open WHERE state = 2").await, 1);
    place.claim(claim(0).exchange(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_was_settled_by_somebody_else_since_is_fenced() {
    let Some(place) = Place::new().await else { return };
    place.desk.keep(event(0).to("app")).await;
    let leased = place.lease().await;
    place.proxy.next_commit(Commit::Cut);
    assert_lost(place.behind.exchange(settle(leased.lease, Verdict::Dead("over".into()))).await);
    let theirs = place.desk.take(60).await;
    assert_eq!(place.desk.settle(theirs.lease, 60, Verdict::Delivered).await, Settled::Recorded);
    let again = place.behind.exchange(settle(leased.lease, Verdict::Dead("over".into()))).await;
    assert_eq!(again.unwrap().settled, [Settled::Fenced]);
    assert_eq!(place.count("SELECT count(*) FROM finished WHERE state = 3").await, 1);
}
