//! What is new goes before what has failed and before what an operator ordered.

use super::*;

pub(crate) async fn what_has_failed_goes_behind_what_is_new<S: Subject>(desk: Desk<S>) {
    let failed = failed(&desk, 3).await;
    let uncounted = delivery(desk.keep(event(1).to("app")).await, 1);
    desk.end_uncounted(1, 0, uncounted).await;
    let new = [delivery(desk.keep(event(5).to("app")).await, 1), delivery(desk.keep(event(6).to("app")).await, 1)];
    let got = desk.claim(claim(9)).await;
    assert_eq!(ids(&got), [new[0], new[1], failed[0], failed[1], failed[2], uncounted]);
    let repeats: Vec<_> = got.deliveries.iter().map(|leased| leased.is_repeat).collect();
    assert_eq!(repeats, [false, false, true, true, true, true]);
}

pub(crate) async fn what_an_operator_ordered_goes_behind_what_is_new<S: Subject>(desk: Desk<S>) {
    let dead = desk.keep(event(0).to("app")).await;
    desk.end(0, Verdict::Dead("over".into())).await;
    let delivered = desk.keep(event(1).to("app")).await;
    desk.end(1, Verdict::Delivered).await;
    let unrouted = desk.keep(event(2)).await;
    assert_eq!(desk.now(3).redeliver_dead(vec![delivery(dead, 1)]).await, Ok(1));
    assert_eq!(desk.now(4).redeliver(vec![delivered, unrouted], Some("app".into())).await, Ok(2));
    let new = delivery(desk.keep(event(5).to("app")).await, 1);
    let expected = [new, delivery(dead, 2), delivery(delivered, 2), delivery(unrouted, 1)];
    assert_eq!(desk.due(9).await, expected);
}

pub(crate) async fn what_was_interrupted_once_is_as_new_as_before<S: Subject>(mut desk: Desk<S>) {
    let suspect = delivery(desk.keep(event(0).to("app")).await, 1);
    let new = delivery(desk.keep(event(1).to("app")).await, 1);
    let once = |now| Ask { free: 1, ..claim(now) };
    for (round, expected) in [suspect, suspect, new].into_iter().enumerate() {
        assert_eq!(ids(&desk.claim(once(1)).await), [expected], "round {round}");
        desk.crash().await;
    }
    // The same where leases run out.
    assert_eq!(ids(&desk.claim(once(2)).await), [new]);
    let after = desk.claim(claim(2)).await;
    assert_eq!((ids(&after), after.deliveries[0].is_repeat), (vec![suspect], true));
    let again = desk.claim(claim(62)).await;
    let told = |leased: &LeasedDelivery| (leased.lease.delivery, leased.is_repeat, leased.is_suspect);
    assert_eq!(again.deliveries.iter().map(told).collect::<Vec<_>>(), [(suspect, true, true), (new, true, true)]);
}

pub(crate) async fn as_many_repeats_as_the_claim_puts_first_go_first<S: Subject>(desk: Desk<S>) {
    let repeats = failed(&desk, 6).await;
    let mut new = Vec::new();
    for number in 0..4 {
        new.push(delivery(desk.keep(event(1).numbered(number).to("app")).await, 1));
    }
    let got = desk.claim(Ask { free: 2, repeats_first: 1, ..claim(5) }).await;
    assert_eq!((ids(&got), got.next_due), (vec![repeats[0], new[0]], Some(at(5))));
    let got = desk.claim(Ask { free: 1, ahead: 3, repeats_first: 2, ..claim(5) }).await;
    assert_eq!(ids(&got), [repeats[1], repeats[2], new[1], new[2]], "those that go first may be leased ahead");
    let got = desk.claim(Ask { free: 0, ahead: 9, ..claim(5) }).await;
    assert_eq!((ids(&got), got.next_due), (vec![new[3]], Some(at(65))), "the others may not, and nobody asks for them");
    let got = desk.claim(Ask { free: 9, repeats_first: 5, most_repeats: 1, ..claim(5) }).await;
    assert_eq!((ids(&got), got.next_due), (vec![repeats[3]], Some(at(65))), "as many as there may be");
    let got = desk.claim(Ask { free: 9, most_repeats: 0, ..claim(5) }).await;
    assert_eq!((ids(&got), got.next_due), (vec![], Some(at(65))), "none");
    let got = desk.claim(Ask { free: 2, ahead: 9, ..claim(5) }).await;
    assert_eq!(ids(&got), repeats[4..], "free slots");
}

pub(crate) async fn a_suspect_among_those_that_go_first_waits_for_a_free_slot<S: Subject>(mut desk: Desk<S>) {
    let suspect = delivery(desk.keep(event(0).to("app")).await, 1);
    for _ in 0..2 {
        assert_eq!(desk.due(0).await, [suspect]);
        desk.crash().await;
    }
    let new = [delivery(desk.keep(event(1).to("app")).await, 1), delivery(desk.keep(event(2).to("app")).await, 1)];
    let got = desk.claim(Ask { free: 0, ahead: 1, repeats_first: 1, ..claim(5) }).await;
    assert_eq!((ids(&got), got.suspects_wait, got.next_due), (vec![new[0]], true, Some(at(5))));
    let got = desk.claim(Ask { free: 0, ahead: 2, ..claim(5) }).await;
    assert_eq!((ids(&got), got.suspects_wait), (vec![new[1]], false), "it was not its turn");
    let got = desk.claim(Ask { free: 1, repeats_first: 1, ..claim(5) }).await;
    assert_eq!((ids(&got), got.suspects_wait), (vec![suspect], false));
}

pub(crate) async fn the_latest_of_what_is_new_goes_first_where_that_is_asked<S: Subject>(desk: Desk<S>) {
    let repeat = delivery(desk.keep(event(0).to("app")).await, 1);
    desk.end(0, retry(3)).await;
    let mut new = Vec::new();
    for (second, number) in [(1, 2), (2, 1), (2, 0)] {
        new.push(delivery(desk.keep(event(second).numbered(number).to("app")).await, 1));
    }
    let probe = |now| Ask { free: 1, latest_first: true, ..claim(now) };
    for expected in [new[2], new[1], new[0], repeat] {
        assert_eq!(ids(&desk.claim(probe(9)).await), [expected]);
    }
    assert_eq!(ids(&desk.claim(probe(9)).await), []);
}

pub(crate) async fn within_a_line_nothing_new_overtakes_a_repeat<S: Subject>(desk: Desk<S>) {
    let first = delivery(desk.keep(event(0).in_line("app", "a")).await, 1);
    desk.end(0, retry(0)).await;
    let second = delivery(desk.keep(event(1).in_line("app", "a")).await, 1);
    let other = delivery(desk.keep(event(2).in_line("app", "b")).await, 1);
    let got = desk.claim(claim(5)).await;
    assert_eq!(ids(&got), [other, first]);
    desk.settle(got.deliveries[1].lease, 5, Verdict::Delivered).await;
    assert_eq!(desk.due(5).await, [second]);
}

pub(crate) async fn the_next_repeat_is_told_as_well<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    desk.end(0, retry(30)).await;
    assert_eq!(desk.claim(claim(5)).await.next_due, Some(at(30)));
    assert_eq!(desk.claim(Ask { most_repeats: 0, ..claim(5) }).await.next_due, None);
    assert_eq!(desk.claim(Ask { free: 0, ahead: 1, ..claim(5) }).await.next_due, None);
    assert_eq!(desk.stats(31).await.destinations[0].oldest_due_at, Some(at(30)));
    desk.keep(event(32).to("app")).await;
    assert_eq!(desk.stats(33).await.destinations[0].oldest_due_at, Some(at(30)));
}

/// So many that have failed, all due.
async fn failed<S: Subject>(desk: &Desk<S>, count: u8) -> Vec<DeliveryId> {
    for number in 0..count {
        desk.keep(event(0).numbered(number).to("app")).await;
    }
    let got = desk.claim(claim(0)).await;
    for leased in &got.deliveries {
        assert_eq!(desk.settle(leased.lease, 0, retry(0)).await, Settled::Recorded);
    }
    ids(&got)
}
