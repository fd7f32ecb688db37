//! What is due is leased, to one at a time.

use super::*;
use std::collections::HashSet;

pub(crate) async fn the_longest_due_comes_first_and_of_equals_the_first_made<S: Subject>(desk: Desk<S>) {
    let early = desk.keep(event(1).to("app")).await;
    // Three of one moment, recorded in another order than that of their ids.
    let mut equals = Vec::new();
    for number in [2, 1, 3] {
        equals.push(desk.keep(event(5).numbered(number).to("app")).await);
    }
    let late = desk.keep(event(9).to("app")).await;
    let expected = [early, equals[0], equals[1], equals[2], late].map(|id| delivery(id, 1));
    let got = desk.claim(claim(10)).await;
    assert_eq!(ids(&got), expected);
    // Repeats as well.
    for (leased, seconds) in got.deliveries.iter().zip([9, 5, 5, 5, 1]) {
        desk.settle(leased.lease, 10, retry(seconds)).await;
    }
    assert_eq!(desk.due(20).await, [expected[4], expected[1], expected[2], expected[3], expected[0]]);
}

pub(crate) async fn no_more_than_the_limit_are_leased<S: Subject>(desk: Desk<S>) {
    let mut expected = Vec::new();
    for second in 0..6 {
        expected.push(delivery(desk.keep(event(second).to("app")).await, 1));
    }
    assert_eq!(ids(&desk.claim(Ask { free: 0, ..claim(9) }).await), []);
    assert_eq!(ids(&desk.claim(Ask { free: 2, ..claim(9) }).await), expected[..2]);
    assert_eq!(ids(&desk.claim(Ask { free: 1, ahead: 2, ..claim(9) }).await), expected[2..5], "some of them ahead");
    assert_eq!(ids(&desk.claim(Ask { free: 0, ahead: 2, ..claim(9) }).await), expected[5..], "all of them ahead");
    assert_eq!(ids(&desk.claim(Ask { free: 2, ..claim(9) }).await), []);
}

pub(crate) async fn only_what_is_due_at_this_destination_is_leased<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(5).to("log").to("app").to("App")).await;
    assert_eq!(desk.due(5).await, [delivery(id, 2)]);
    assert_eq!(desk.due(5).await, []);
    for (destination, expected) in [("nowhere", vec![]), ("", vec![]), ("log", vec![1]), ("App", vec![3])] {
        let got = desk.claim(Ask { destination: destination.into(), ..claim(5) }).await;
        let expected: Vec<_> = expected.into_iter().map(|number| delivery(id, number)).collect();
        assert_eq!(ids(&got), expected, "{destination:?}");
    }
}

pub(crate) async fn what_is_leased_comes_with_its_event_and_its_age<S: Subject>(desk: Desk<S>) {
    let new = NewEvent {
        method: "PUT".into(),
        target: "/pylon/a%20b".into(),
        query: Some("a=1&a=2".into()),
        ..event(3).named("Ticket.Created").through("second").with_body("{\"a\": 1}").to("app")
    };
    let id = desk.keep(new.clone()).await;
    let leased = desk.take(10).await;
    assert_eq!((leased.lease.delivery, leased.attempt, leased.redelivery_of), (delivery(id, 1), 1, None));
    assert_eq!((&*leased.endpoint, &*leased.name, leased.kind.as_deref()), ("second", "Ticket.Created", None));
    assert_eq!((&*leased.method, &*leased.target, leased.query.as_deref()), ("PUT", "/pylon/a%20b", Some("a=1&a=2")));
    assert_eq!((leased.headers, &leased.body[..]), (new.headers, new.body.as_bytes()));
    assert_eq!(leased.age, Duration::from_secs(7));
}

pub(crate) async fn no_two_leases_have_one_token<S: Subject>(mut desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    let mut tokens = HashSet::new();
    let lease =
        async |desk: &Desk<S>, now| desk.claim(Ask { most_attempts: u32::MAX, ..claim(now) }).await.deliveries[0].lease;
    for round in 0..30 {
        let now = 100 * round;
        assert!(tokens.insert(lease(&desk, now).await.token), "round {round}");
        // It ends in every way in which a lease can end.
        match round % 4 {
            0 => desk.crash().await,
            1 => {}
            2 => assert_eq!(desk.ledger().release(owner(1)).await, Ok(1)),
            _ => {
                let lease = lease(&desk, now + 60).await;
                assert!(tokens.insert(lease.token), "round {round}");
                desk.settle(lease, now + 60, Verdict::Released).await;
            }
        }
    }
}

pub(crate) async fn next_due_is_when_something_will_be_due<S: Subject>(desk: Desk<S>) {
    let next = async |now, free| {
        let got = desk.claim(Ask { free, ..claim(now) }).await;
        (got.deliveries.len(), got.next_due)
    };
    assert_eq!(next(0, 9).await, (0, None), "there is nothing");
    desk.keep(event(1).to("log")).await;
    assert_eq!(next(9, 9).await, (0, None), "nothing here");
    desk.keep(event(9).to("app")).await;
    desk.end(9, retry(41)).await;
    assert_eq!(next(10, 9).await, (0, Some(at(50))), "one waits");
    desk.keep(event(10).to("app")).await;
    assert_eq!(next(10, 9).await, (1, Some(at(50))), "the one that was just leased does not count");
    assert_eq!(next(11, 9).await, (0, Some(at(50))), "a lease ends at 70, one waits for 50");
    assert_eq!(next(50, 9).await, (1, Some(at(70))), "the lease of an earlier claim ends");
    assert_eq!(next(51, 9).await, (0, Some(at(70))), "the first of two leases");
    for second in [60, 61] {
        desk.keep(event(second).in_line("app", "a")).await;
    }
    assert_eq!(next(61, 0).await, (0, Some(at(61))), "one is due, and there was no room");
    assert_eq!(next(61, 9).await, (1, Some(at(70))), "what is held has no time of its own");
}

pub(crate) async fn a_filled_claim_says_to_come_again<S: Subject>(desk: Desk<S>) {
    for number in 0..4 {
        desk.keep(event(0).numbered(number).to("app")).await;
    }
    for _ in 0..2 {
        let got = desk.claim(Ask { free: 1, ahead: 1, ..claim(5) }).await;
        assert_eq!((got.deliveries.len(), got.next_due), (2, Some(at(5))));
    }
}

pub(crate) async fn bodies_that_are_leased_ahead_are_bounded<S: Subject>(desk: Desk<S>) {
    for number in 0..6 {
        desk.keep(event(0).numbered(number).with_body([b'x'; 100]).to("app")).await;
    }
    let got = desk.claim(Ask { free: 1, ahead: 9, ahead_bytes: 150, ..claim(5) }).await;
    assert_eq!((got.deliveries.len(), got.next_due), (3, Some(at(5))), "one for a slot, and two with enough bytes");
    let got = desk.claim(Ask { free: 2, ahead: 9, ahead_bytes: 0, ..claim(5) }).await;
    assert_eq!((got.deliveries.len(), got.next_due), (3, Some(at(5))), "slots do not count, and one is enough");
}

pub(crate) async fn many_claimers_never_get_the_same_delivery<S: Subject>(desk: Desk<S>) {
    for number in 0..200 {
        desk.keep(event(0).numbered(number).to("app")).await;
    }
    let claimer = |number: u8| {
        let ledger = if number.is_multiple_of(2) { desk.ledger() } else { desk.second() };
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let ask = Ask { free: 3, ahead: 4, owner: owner(number), ..claim(1) };
                let claimed = ledger.exchange(ask.exchange()).await.unwrap().claimed;
                if claimed.deliveries.is_empty() {
                    return mine;
                }
                mine.extend(claimed.deliveries.iter().map(|leased| leased.lease.delivery));
            }
        })
    };
    let mut claimed = Vec::new();
    for task in (0..8).map(claimer).collect::<Vec<_>>() {
        claimed.extend(task.await.unwrap());
    }
    assert_eq!(claimed.len(), 200);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 200);
}
