//! Messages that something is due.

use super::*;
use std::collections::BTreeSet;

/// How long a message may take; a missing one fails the test.
const LONGEST: Duration = Duration::from_secs(20);

/// The destinations of the next messages, until all of these have been named.
async fn woken(wakes: &mut Wakes, expected: &[&str]) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    while !expected.iter().all(|name| named.contains(*name)) {
        match tokio::time::timeout(LONGEST, wakes.next()).await.expect("somebody is woken") {
            Some(Wake::At(destination)) => drop(named.insert(destination.to_string())),
            other => panic!("{other:?}"),
        }
    }
    named
}

pub(crate) async fn whatever_makes_something_due_wakes_its_destination<S: Subject>(desk: Desk<S>) {
    let (mut wakes, mut other) = (desk.ledger().wakes(), desk.second().wakes());
    let id = desk.keep(event(0).to("app").to("log")).await;
    for wakes in [&mut wakes, &mut other] {
        assert_eq!(woken(wakes, &["app", "log"]).await, BTreeSet::from(["app".to_owned(), "log".to_owned()]));
    }
    // An end lets the next one of a line go.
    let lease = desk.take(0).await.lease;
    desk.keep(event(1).in_line("app", "a")).await;
    desk.keep(event(2).in_line("app", "a")).await;
    let first = desk.take(2).await.lease;
    woken(&mut wakes, &["app"]).await;
    desk.settle(first, 2, Verdict::Delivered).await;
    woken(&mut wakes, &["app"]).await;
    // One is given back.
    desk.settle(lease, 2, Verdict::Released).await;
    woken(&mut wakes, &["app"]).await;
    assert_eq!(desk.due(3).await.len(), 2);
    assert_eq!(desk.ledger().release(owner(1)).await, Ok(2));
    woken(&mut wakes, &["app"]).await;
    // An operator's orders.
    desk.ledger().redeliver(vec![id], Some("third".into())).await.unwrap();
    woken(&mut wakes, &["third"]).await;
    for leased in desk.claim(claim(4)).await.deliveries {
        desk.settle(leased.lease, 4, Verdict::Dead("over".into())).await;
        desk.ledger().redeliver_dead(vec![leased.lease.delivery]).await.unwrap();
        woken(&mut wakes, &["app"]).await;
    }
}

pub(crate) async fn what_is_not_due_wakes_nobody<S: Subject>(desk: Desk<S>) {
    let held = desk.keep(event(0).in_line("app", "a")).await;
    let mut wakes = desk.ledger().wakes();
    desk.keep(event(1)).await;
    desk.keep(event(2).parked("it is not JSON")).await;
    desk.keep(event(3).in_line("app", "a")).await;
    desk.record(event(0).in_line("app", "a")).await;
    desk.ledger().redeliver(vec![named(99, 0)], Some("app".into())).await.unwrap();
    assert_eq!(desk.due(3).await, [delivery(held, 1)]);
    desk.keep(event(4).to("last")).await;
    assert_eq!(woken(&mut wakes, &["last"]).await, BTreeSet::from(["last".to_owned()]));
}

pub(crate) async fn a_listener_that_is_far_behind_is_told_to_look_everywhere<S: Subject>(desk: Desk<S>) {
    let mut wakes = desk.ledger().wakes();
    let mut new = event(0);
    for number in 0..3000 {
        new = new.to(&format!("app-{number}"));
    }
    desk.keep(new).await;
    // Everything before was missed.
    assert_eq!(tokio::time::timeout(LONGEST, wakes.next()).await.unwrap(), Some(Wake::Everywhere));
    assert!(matches!(tokio::time::timeout(LONGEST, wakes.next()).await.unwrap(), Some(Wake::At(_))));
}
