//! What is due is leased, to one at a time.

use super::*;
use std::collections::HashSet;

pub(crate) async fn the_longest_due_comes_first_and_of_equals_the_first_made<S: Subject>(desk: Desk<S>) {
    let late = desk.keep(event(9).to("app")).await;
    // Three of one moment, recorded in another order than that of their names.
    let mut equals = Vec::new();
    for number in [2, 1, 3] {
        equals.push(desk.keep(event(5).numbered(number).to("app")).await);
    }
    let early = desk.keep(event(1).to("app")).await;
    let retried = desk.keep(event(0).to("app")).await;
    assert_eq!(desk.end(0, Verdict::RetryAt(at(7))).await, delivery(retried, 1));

    let expected = [early, equals[0], equals[1], equals[2], retried, late];
    assert_eq!(desk.due(10).await, expected.map(|id| delivery(id, 1)));
}

pub(crate) async fn no_more_than_the_limit_are_claimed<S: Subject>(desk: Desk<S>) {
    let mut ids = Vec::new();
    for second in 0..5 {
        ids.push(delivery(desk.keep(event(second).to("app")).await, 1));
    }
    assert_eq!(names(&desk.claim(Claim { limit: 0, ..claim(9) }).await), []);
    assert_eq!(names(&desk.claim(Claim { limit: 2, ..claim(9) }).await), ids[..2]);
    assert_eq!(names(&desk.claim(Claim { limit: 2, ..claim(9) }).await), ids[2..4]);
    assert_eq!(names(&desk.claim(Claim { limit: 2, ..claim(9) }).await), ids[4..]);
    assert_eq!(names(&desk.claim(Claim { limit: 2, ..claim(9) }).await), []);
}

pub(crate) async fn only_what_is_due_at_this_destination_is_claimed<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(5).to("log").to("app").to("App")).await;
    assert_eq!(desk.due(4).await, []);
    assert_eq!(desk.due(5).await, [delivery(id, 2)]);
    assert_eq!(desk.due(5).await, []);
    for (destination, expected) in [("nowhere", vec![]), ("", vec![]), ("log", vec![1]), ("App", vec![3])] {
        let claimed = desk.claim(Claim { destination: destination.into(), ..claim(5) }).await;
        let expected: Vec<_> = expected.into_iter().map(|number| delivery(id, number)).collect();
        assert_eq!(names(&claimed), expected, "{destination:?}");
    }
}

pub(crate) async fn what_seems_due_later_than_anything_can_be_is_due<S: Subject>(desk: Desk<S>) {
    // The clock stood a year ahead, then was set right.
    let ahead = desk.keep(event(31_536_000).to("app")).await;
    let latest = desk.keep(event(110).to("app")).await;
    let later = desk.keep(event(111).to("app")).await;
    let due = desk.keep(event(5).to("app")).await;
    let claimed = desk.claim(Claim { latest_due: at(110), limit: 2, ..claim(10) }).await;
    assert_eq!(names(&claimed), [delivery(due, 1), delivery(later, 1)]);
    assert_eq!(claimed.next_due, Some(at(10)), "the one that stood a year ahead is due now");
    let claimed = desk.claim(Claim { latest_due: at(110), ..claim(10) }).await;
    assert_eq!(names(&claimed), [delivery(ahead, 1)]);
    assert_eq!(desk.state(delivery(latest, 1)).await, DeliveryState::Waiting);

    // A bound before the present excludes nothing that is due.
    let id = desk.keep(event(20).to("app")).await;
    let claimed = desk.claim(Claim { latest_due: at(0), limit: 1, ..claim(20) }).await;
    assert_eq!(names(&claimed), [delivery(id, 1)]);
}

pub(crate) async fn a_lease_that_ran_out_is_due_again_with_one_more_attempt<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    for expected in 1..=4 {
        let now = i64::from(expected) * 60;
        if expected > 1 {
            assert_eq!(desk.due(now - 1).await, [], "the lease of attempt {} holds", expected - 1);
        }
        let leased = desk.take(now).await;
        assert_eq!((leased.lease.delivery, leased.attempt), (delivery(id, 1), expected));
        let record = desk.delivery(delivery(id, 1)).await;
        assert_eq!((record.state, record.attempts, record.due_at), (DeliveryState::Delivering, expected, None));
        if expected == 1 {
            // It is leased until then, whatever another worker's leases are.
            assert_eq!(names(&desk.claim(Claim { lease_until: at(9999), ..claim(now) }).await), []);
        }
    }
    // Due since it was: before what came in later.
    desk.keep(event(100).to("app")).await;
    assert_eq!(desk.due(300).await[0], delivery(id, 1));
}

pub(crate) async fn no_two_leases_have_one_token<S: Subject>(mut desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    let mut tokens = HashSet::new();
    let lease = async |desk: &Desk<S>, now| {
        desk.claim(Claim { most_attempts: u32::MAX, ..claim(now) }).await.deliveries[0].lease
    };
    for round in 0..30 {
        let now = 100 * round;
        assert!(tokens.insert(lease(&desk, now).await.token), "round {round}");
        // It ends in every way in which a lease can end.
        match round % 3 {
            0 => desk.crash().await,
            1 => {}
            _ => {
                let lease = lease(&desk, now + 60).await;
                assert!(tokens.insert(lease.token), "round {round}");
                desk.settle(lease, now + 60, Verdict::Released).await;
            }
        }
    }
}

pub(crate) async fn one_that_never_settled_its_last_attempt_is_dead<S: Subject>(mut desk: Desk<S>) {
    let id = delivery(desk.keep(event(0).to("app")).await, 1);
    let claim = |now| Claim { most_attempts: 2, ..claim(now) };
    for attempt in 1..=2 {
        let claimed = desk.claim(claim(1)).await;
        assert_eq!((claimed.deliveries[0].attempt, claimed.exhausted), (attempt, vec![]));
        desk.crash().await;
    }
    let claimed = desk.claim(claim(3)).await;
    assert_eq!((names(&claimed), &*claimed.exhausted, claimed.next_due), (vec![], &[id][..], None));
    let record = desk.delivery(id).await;
    assert_eq!((record.state, record.attempts, record.finished_at), (DeliveryState::Dead, 2, Some(at(3))));
    assert!(record.reason.is_some_and(|reason| !reason.is_empty()), "it says why");
    assert_eq!(desk.claim(claim(1000)).await.exhausted, [], "it is told once");

    // The same where the process lives on and the lease has run out.
    let id = delivery(desk.keep(event(10).to("app")).await, 1);
    for now in [10, 70] {
        assert_eq!(names(&desk.claim(claim(now)).await), [id]);
        assert_eq!(desk.claim(claim(now + 59)).await.exhausted, []);
    }
    assert_eq!(desk.claim(claim(130)).await.exhausted, [id]);

    // Those that settle are the caller's to end; it has said to try again.
    let id = delivery(desk.keep(event(200).to("app")).await, 1);
    desk.end(200, Verdict::RetryAt(at(201))).await;
    desk.end(201, Verdict::RetryAt(at(202))).await;
    assert_eq!(names(&desk.claim(Claim { most_attempts: 3, ..claim(202) }).await), [id]);
}

pub(crate) async fn the_exhausted_make_room_for_others_and_let_those_behind_them_go<S: Subject>(mut desk: Desk<S>) {
    let first = desk.keep(event(0).in_line("app", "a")).await;
    let poison = desk.keep(event(1).to("app")).await;
    assert_eq!(desk.due(1).await.len(), 2);
    desk.crash().await;
    let behind = desk.keep(event(2).in_line("app", "a")).await;
    let other = desk.keep(event(3).to("app")).await;
    let claimed = desk.claim(Claim { most_attempts: 1, limit: 2, ..claim(10) }).await;
    assert_eq!(claimed.exhausted, [delivery(first, 1), delivery(poison, 1)]);
    assert_eq!(names(&claimed), [delivery(other, 1), delivery(behind, 1)], "what was held is due since now");
    assert_eq!(claimed.next_due, None);
}

pub(crate) async fn next_due_is_when_something_will_be_due<S: Subject>(desk: Desk<S>) {
    let next = async |now, limit| {
        let claimed = desk.claim(Claim { limit, ..claim(now) }).await;
        (claimed.deliveries.len(), claimed.next_due)
    };
    assert_eq!(next(0, 9).await, (0, None), "there is nothing");
    desk.keep(event(1).to("log")).await;
    assert_eq!(next(9, 9).await, (0, None), "nothing here");
    desk.keep(event(50).to("app")).await;
    assert_eq!(next(10, 9).await, (0, Some(at(50))), "one waits");
    desk.keep(event(10).to("app")).await;
    assert_eq!(next(10, 9).await, (1, Some(at(50))), "the one that was just claimed does not count");
    assert_eq!(next(11, 9).await, (0, Some(at(50))), "a lease runs out at 70, one waits for 50");
    assert_eq!(next(50, 9).await, (1, Some(at(70))), "the lease of another claim runs out");
    assert_eq!(next(51, 9).await, (0, Some(at(70))), "the first of two leases");
    for second in [60, 61] {
        desk.keep(event(second).in_line("app", "a")).await;
    }
    let (claimed, next_due) = next(61, 0).await;
    assert!(
        claimed == 0 && next_due.is_some_and(|due| due <= at(61)),
        "one is due, and there was no room: {next_due:?}"
    );
    assert_eq!(next(61, 9).await, (1, Some(at(70))), "what is held has no time of its own");
}

pub(crate) async fn many_claimers_never_get_the_same_delivery<S: Subject>(desk: Desk<S>) {
    for number in 0..200 {
        desk.keep(event(0).numbered(number).to("app")).await;
    }
    let claimer = || {
        let ledger = desk.ledger();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = ledger.claim(Claim { limit: 7, ..claim(1) }).await.unwrap();
                if claimed.deliveries.is_empty() {
                    return mine;
                }
                mine.extend(names(&claimed));
            }
        })
    };
    let mut claimed = Vec::new();
    for task in (0..8).map(|_| claimer()).collect::<Vec<_>>() {
        claimed.extend(task.await.unwrap());
    }
    assert_eq!(claimed.len(), 200);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 200);
}
