//! What is left of a destination that is gone: given to another one, or dropped.

use super::*;
use DeliveryState::{Dead, Delivered, Delivering, Dropped, Held, Waiting};

/// Moves until nothing more can be moved; says how many.
async fn moved<S: Subject>(desk: &Desk<S>, now: i64, from: &str, to: &str) -> u64 {
    let mut moved = 0;
    for _ in 0..1000 {
        match desk.now(now).move_deliveries(from.into(), to.into()).await.unwrap() {
            0 => return moved,
            some => moved += some,
        }
    }
    panic!("there is always more");
}

/// The destinations and states of all deliveries, in the order of their events.
async fn all_of<S: Subject>(desk: &Desk<S>) -> Vec<(String, DeliveryState)> {
    let everything = desk.everything().await.into_iter().flat_map(|event| event.deliveries);
    everything.map(|(record, _)| (record.destination, record.state)).collect()
}

fn at_each(expected: &[(&str, DeliveryState)]) -> Vec<(String, DeliveryState)> {
    expected.iter().map(|&(destination, state)| (destination.to_owned(), state)).collect()
}

fn counts(stats: &Stats, destination: &str) -> [u64; 4] {
    let of = stats.destinations.iter().find(|of| of.destination == destination).cloned().unwrap_or_default();
    [of.waiting, of.held, of.delivering, of.dead]
}

pub(crate) async fn everything_left_of_a_destination_goes_to_another<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    desk.end(0, Verdict::Dead("over".into())).await;
    desk.keep(event(1).to("app")).await;
    desk.end(1, Verdict::Delivered).await;
    desk.keep(event(2).to("app").to("log")).await;
    desk.keep(event(3).in_line("app", "a")).await;
    desk.keep(event(4).in_line("app", "a")).await;
    assert_eq!(moved(&desk, 5, "app", "new").await, 4);
    let expected =
        [("new", Dead), ("app", Delivered), ("new", Waiting), ("log", Waiting), ("new", Waiting), ("new", Held)];
    assert_eq!(all_of(&desk).await, at_each(&expected));
    let stats = desk.stats(5).await;
    assert_eq!((counts(&stats, "app"), counts(&stats, "new")), ([0; 4], [2, 1, 0, 1]));
    assert_eq!(desk.due(5).await, [], "nothing is left there");
    let new = Ask { destination: "new".into(), ..claim(5) };
    assert_eq!(ids(&desk.claim(new).await), [2, 3].map(|second| delivery(named(second, 0), 1)));
}

pub(crate) async fn what_is_moved_keeps_what_is_known_of_it<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    let lease = desk.take(0).await.lease;
    desk.settle_with(lease, 1, retry(3600), attempt(500, "it failed")).await;
    let dead = desk.keep(event(1).in_line("app", "a")).await;
    let lease = desk.take(1).await.lease;
    desk.settle_with(lease, 1, Verdict::Dead("over".into()), attempt(404, "it is gone")).await;
    let before = [desk.event(id).await, desk.event(dead).await].map(|event| event.deliveries[0].clone());
    assert_eq!(moved(&desk, 5, "app", "new").await, 2);
    let after = [desk.event(id).await, desk.event(dead).await].map(|event| event.deliveries[0].clone());
    let expected = before.map(|(record, log)| {
        // Another destination may take at once what this one did not.
        let due_at = record.due_at.map(|_| at(5));
        // It names the order that moved it.
        let order = after[0].0.order;
        assert!(order.is_some());
        (DeliveryRecord { destination: "new".into(), due_at, order, ..record }, log)
    });
    assert_eq!(after, expected);
}

pub(crate) async fn a_line_that_is_moved_keeps_its_order<S: Subject>(desk: Desk<S>) {
    for second in 0..4 {
        desk.keep(event(second).in_line("app", "a")).await;
    }
    // The first one waits for its next attempt.
    let lease = desk.take(3).await.lease;
    desk.settle(lease, 4, retry(3600)).await;
    assert_eq!(moved(&desk, 5, "app", "new").await, 4);
    for second in 0..4 {
        let got = desk.claim(Ask { destination: "new".into(), ..claim(5) }).await;
        assert_eq!(ids(&got), [delivery(named(second, 0), 1)]);
        desk.settle(got.deliveries[0].lease, 5, Verdict::Delivered).await;
    }
}

pub(crate) async fn in_a_line_that_two_destinations_share_the_first_made_goes_first<S: Subject>(desk: Desk<S>) {
    // As after a destination was renamed: what came before waits at the old name.
    for (second, destination) in [(0, "new"), (1, "app"), (2, "app"), (3, "new"), (4, "app")] {
        desk.keep(event(second).in_line(destination, "a")).await;
    }
    let other = desk.keep(event(5).in_line("new", "b")).await;
    let first = desk.claim(Ask { destination: "new".into(), free: 1, ..claim(5) }).await;
    assert_eq!(ids(&first), [delivery(named(0, 0), 1)]);
    desk.settle(first.deliveries[0].lease, 5, Verdict::Delivered).await;
    // The fourth waits there now, and the second comes before it.
    assert_eq!(desk.state(delivery(named(3, 0), 1)).await, Waiting);
    assert_eq!(moved(&desk, 6, "app", "new").await, 3);
    assert_eq!(desk.state(delivery(named(3, 0), 1)).await, Held);
    assert_eq!(desk.state(delivery(other, 1)).await, Waiting, "another line");
    let stats = desk.stats(6).await;
    assert_eq!(counts(&stats, "new"), [2, 3, 0, 0]);
    let mut order = Vec::new();
    for _ in 0..5 {
        let got = desk.claim(Ask { destination: "new".into(), free: 1, ..claim(6) }).await;
        order.extend(ids(&got));
        desk.settle(got.deliveries[0].lease, 6, Verdict::Delivered).await;
    }
    order.retain(|delivery| delivery.event != other);
    assert_eq!(order, [1, 2, 3, 4].map(|second| delivery(named(second, 0), 1)));
}

pub(crate) async fn nothing_overtakes_an_attempt_in_progress<S: Subject>(desk: Desk<S>) {
    let old = desk.keep(event(0).in_line("app", "a")).await;
    let new = desk.keep(event(1).in_line("new", "a")).await;
    let at_new = |now| Ask { destination: "new".into(), ..claim(now) };
    let under_way = desk.claim(at_new(1)).await.deliveries.remove(0);
    assert_eq!(moved(&desk, 2, "app", "new").await, 1);
    assert_eq!((desk.state(delivery(old, 1)).await, desk.state(delivery(new, 1)).await), (Held, Delivering));
    assert_eq!(ids(&desk.claim(at_new(2)).await), []);
    // It fails, and is tried again before the one that has joined: it was there first.
    desk.settle(under_way.lease, 3, retry(1)).await;
    let again = desk.claim(at_new(4)).await;
    assert_eq!(ids(&again), [delivery(new, 1)]);
    desk.settle(again.deliveries[0].lease, 5, Verdict::Delivered).await;
    assert_eq!(ids(&desk.claim(at_new(5)).await), [delivery(old, 1)]);
}

pub(crate) async fn what_is_being_attempted_stays_with_its_line<S: Subject>(desk: Desk<S>) {
    let leased = desk.keep(event(0).in_line("app", "a")).await;
    let lease = desk.take(0).await.lease;
    let alone = desk.keep(event(1).to("app")).await;
    let lease_alone = desk.take(1).await.lease;
    desk.keep(event(2).in_line("app", "a")).await;
    desk.keep(event(3).in_line("app", "b")).await;
    assert_eq!(moved(&desk, 4, "app", "new").await, 1);
    let expected = [("app", Delivering), ("app", Delivering), ("app", Held), ("new", Waiting)];
    assert_eq!(all_of(&desk).await, at_each(&expected));
    assert_eq!(desk.now(4).drop_deliveries("app".into()).await, Ok(0));
    for (id, lease) in [(leased, lease), (alone, lease_alone)] {
        assert_eq!(desk.settle(lease, 5, retry(1)).await, Settled::Recorded);
        assert_eq!(desk.state(delivery(id, 1)).await, Waiting);
    }
    assert_eq!(moved(&desk, 6, "app", "new").await, 3);
    assert_eq!(all_of(&desk).await, at_each(&[("new", Waiting), ("new", Waiting), ("new", Held), ("new", Waiting)]));
}

pub(crate) async fn everything_left_of_a_destination_is_dropped<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    desk.end(0, Verdict::Dead("over".into())).await;
    desk.keep(event(1).to("app")).await;
    desk.end(1, Verdict::Delivered).await;
    let last = desk.keep(event(2).to("app").to("log")).await;
    for second in 3..6 {
        desk.keep(event(second).in_line("app", "a")).await;
    }
    assert_eq!(desk.now(7).drop_deliveries("app".into()).await, Ok(5));
    let expected = [
        ("app", Dropped),
        ("app", Delivered),
        ("app", Dropped),
        ("log", Waiting),
        ("app", Dropped),
        ("app", Dropped),
        ("app", Dropped),
    ];
    assert_eq!(all_of(&desk).await, at_each(&expected));
    assert_eq!(desk.delivery(delivery(last, 1)).await.finished_at, Some(at(7)));
    assert_eq!(counts(&desk.stats(7).await, "app"), [0; 4]);
    assert_eq!(desk.due(8).await, []);
    // Its line is as one that never was.
    let next = desk.keep(event(9).in_line("app", "a")).await;
    assert_eq!(desk.due(9).await, [delivery(next, 1)]);
}

pub(crate) async fn many_are_moved_or_dropped_a_limited_number_at_a_call<S: Subject>(desk: Desk<S>) {
    const MANY: usize = 1201;
    let ledger = desk.ledger();
    let mut recordings = Vec::new();
    for number in 0..MANY {
        let event = event(number as i64);
        recordings.push(ledger.record(if number % 2 == 0 { event.to("app") } else { event.in_line("app", "a") }));
    }
    for recording in recordings {
        assert_eq!(recording.await, Ok(Recorded::Stored));
    }
    assert_eq!(moved(&desk, 1, "app", "new").await, MANY as u64);
    assert_eq!(counts(&desk.stats(1).await, "new"), [602, 599, 0, 0]);
    let mut dropped = 0;
    for _ in 0..1000 {
        match desk.now(2).drop_deliveries("new".into()).await.unwrap() {
            0 => break,
            some => dropped += some,
        }
    }
    assert_eq!((dropped, counts(&desk.stats(2).await, "new")), (MANY as u64, [0; 4]));
}

pub(crate) async fn nothing_is_done_where_nothing_is_left<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    let before = desk.everything().await;
    for (from, to) in [("none", "app"), ("app", "app"), ("", "app")] {
        assert_eq!(desk.now(1).move_deliveries(from.into(), to.into()).await, Ok(0));
    }
    assert_eq!(desk.now(1).drop_deliveries("none".into()).await, Ok(0));
    assert_eq!(desk.everything().await, before);
}
