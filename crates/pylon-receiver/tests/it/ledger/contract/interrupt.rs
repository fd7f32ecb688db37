//! Leases that end without their owner's word.

use super::*;

pub(crate) async fn a_lease_that_ran_out_is_due_again_since_it_was<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    for (round, (expected, counted)) in [(1, 0), (2, 0), (3, 1), (4, 2)].into_iter().enumerate() {
        let now = 60 * round as i64;
        if round > 0 {
            assert_eq!(desk.due(now - 1).await, [], "the lease of round {round} holds");
        }
        let leased = desk.take(now).await;
        assert_eq!((leased.lease.delivery, leased.attempt, leased.counted), (delivery(id, 1), expected, counted));
        let record = desk.delivery(delivery(id, 1)).await;
        let state = (record.state, record.attempts, record.due_at);
        assert_eq!(state, (DeliveryState::Delivering, expected - 1, None), "round {round}");
    }
    // Before what failed later.
    let later = desk.keep(event(200).to("app")).await;
    desk.settle(desk.take(200).await.lease, 200, retry(30)).await;
    assert_eq!(desk.due(300).await, [delivery(id, 1), delivery(later, 1)]);
}

pub(crate) async fn the_first_interruption_costs_nothing<S: Subject>(mut desk: Desk<S>) {
    let id = delivery(desk.keep(event(0).to("app")).await, 1);
    let once = |now| Ask { most_attempts: 1, ..claim(now) };
    assert_eq!(ids(&desk.claim(Ask { free: 0, ahead: 5, ..once(0) }).await), [id], "leased ahead, and never begun");
    desk.crash().await;
    let got = desk.claim(once(1)).await;
    assert_eq!((ids(&got), got.exhausted, got.deliveries[0].attempt), (vec![id], vec![], 2));
    assert_eq!(got.deliveries[0].counted, 0);
    assert_eq!(desk.settle(got.deliveries[0].lease, 2, Verdict::Delivered).await, Settled::Recorded);
    assert_eq!(desk.delivery(id).await.attempts, 2);
}

pub(crate) async fn what_was_interrupted_is_never_leased_ahead<S: Subject>(mut desk: Desk<S>) {
    let mut all = Vec::new();
    for number in 0..3 {
        all.push(delivery(desk.keep(event(0).numbered(number).to("app")).await, 1));
    }
    assert_eq!(ids(&desk.claim(Ask { free: 2, ..claim(0) }).await), all[..2]);
    desk.crash().await;
    let got = desk.claim(Ask { free: 0, ahead: 9, ..claim(1) }).await;
    assert_eq!(ids(&got), all[2..], "others pass them");
    assert_eq!((got.next_due, got.suspects_wait), (Some(at(1)), true), "something is due, and needs a free slot");
    desk.settle(got.deliveries[0].lease, 1, Verdict::Released).await;
    let got = desk.claim(Ask { free: 1, ahead: 9, ..claim(2) }).await;
    assert_eq!(ids(&got), [all[0], all[2]], "the slot goes to the longest due");
    assert_eq!((got.next_due, got.suspects_wait), (Some(at(2)), true));
    let got = desk.claim(Ask { free: 1, ..claim(2) }).await;
    assert_eq!((ids(&got), got.suspects_wait), (vec![all[1]], false));
}

pub(crate) async fn a_filled_claim_tells_of_those_that_it_passed_over<S: Subject>(mut desk: Desk<S>) {
    let mut all = Vec::new();
    for number in 0..6 {
        all.push(delivery(desk.keep(event(0).numbered(number).with_body([b'x'; 100]).to("app")).await, 1));
    }
    assert_eq!(ids(&desk.claim(Ask { free: 2, ..claim(0) }).await), all[..2]);
    desk.crash().await;
    let got = desk.claim(Ask { free: 0, ahead: 1, ..claim(1) }).await;
    assert_eq!((ids(&got), got.suspects_wait), (vec![all[2]], true), "as many as were asked for");
    let got = desk.claim(Ask { free: 0, ahead: 9, ahead_bytes: 100, ..claim(1) }).await;
    assert_eq!((ids(&got), got.suspects_wait), (vec![all[3]], true), "as many bytes as were asked for");
    let got = desk.claim(Ask { free: 2, ..claim(1) }).await;
    assert_eq!((ids(&got), got.suspects_wait), (all[..2].to_vec(), false), "they have their slots");
    let got = desk.claim(Ask { free: 0, ahead: 1, ..claim(1) }).await;
    assert_eq!((ids(&got), got.suspects_wait), (vec![all[4]], false), "none waits any more");
}

pub(crate) async fn what_is_interrupted_again_and_again_is_dead<S: Subject>(mut desk: Desk<S>) {
    let id = delivery(desk.keep(event(0).to("app")).await, 1);
    let twice = |now| Ask { most_attempts: 2, ..claim(now) };
    // The first interruption is free, the second and third count.
    for attempt in [1, 2, 3] {
        let got = desk.claim(twice(1)).await;
        assert_eq!((got.deliveries[0].attempt, got.exhausted), (attempt, vec![]));
        desk.crash().await;
    }
    let got = desk.claim(twice(3)).await;
    assert_eq!((ids(&got), &*got.exhausted, got.next_due), (vec![], &[id][..], None));
    let record = desk.delivery(id).await;
    assert_eq!((record.state, record.attempts, record.finished_at), (DeliveryState::Dead, 3, Some(at(3))));
    assert!(record.reason.is_some_and(|reason| !reason.is_empty()), "it says why");
    assert_eq!(desk.claim(twice(1000)).await.exhausted, [], "it is told once");

    // The same where the process lives on and the lease runs out.
    let id = delivery(desk.keep(event(2000).to("app")).await, 1);
    for now in [2000, 2060, 2120] {
        assert_eq!(ids(&desk.claim(twice(now)).await), [id]);
        assert_eq!(desk.claim(twice(now + 59)).await.exhausted, []);
    }
    assert_eq!(desk.claim(twice(2180)).await.exhausted, [id]);

    // Settled attempts and interruptions count together.
    let id = delivery(desk.keep(event(3000).to("app")).await, 1);
    desk.end(3000, retry(0)).await;
    for now in [3000, 3060] {
        assert_eq!(ids(&desk.claim(twice(now)).await), [id]);
    }
    assert_eq!(desk.claim(twice(3120)).await.exhausted, [id]);

    // An attempt that settles is the caller's to end: it says to try again.
    let id = delivery(desk.keep(event(4000).to("app")).await, 1);
    desk.end(4000, retry(1)).await;
    desk.end(4001, retry(1)).await;
    assert_eq!(ids(&desk.claim(Ask { most_attempts: 3, ..claim(4002) }).await), [id]);
}

pub(crate) async fn the_exhausted_make_room_for_others_and_let_those_behind_them_go<S: Subject>(mut desk: Desk<S>) {
    let first = desk.keep(event(0).in_line("app", "a")).await;
    let poison = desk.keep(event(1).to("app")).await;
    for _ in 0..2 {
        assert_eq!(desk.due(1).await.len(), 2);
        desk.crash().await;
    }
    let behind = desk.keep(event(2).in_line("app", "a")).await;
    let other = desk.keep(event(3).to("app")).await;
    let got = desk.claim(Ask { most_attempts: 1, free: 2, repeats_first: 1, ..claim(10) }).await;
    assert_eq!(got.exhausted, [delivery(first, 1), delivery(poison, 1)]);
    assert_eq!(ids(&got), [delivery(other, 1), delivery(behind, 1)], "what was held is due since now");
}

pub(crate) async fn what_an_owner_gives_back_is_no_interruption<S: Subject>(desk: Desk<S>) {
    let mut all = Vec::new();
    for number in 0..3 {
        all.push(delivery(desk.keep(event(0).numbered(number).to("app")).await, 1));
    }
    let mine = desk.claim(Ask { free: 2, ..claim(0) }).await;
    let theirs = desk.claim(Ask { owner: owner(2), ..claim(0) }).await;
    assert_eq!((ids(&mine), ids(&theirs)), (all[..2].to_vec(), all[2..].to_vec()));
    desk.settle(mine.deliveries[0].lease, 1, Verdict::Delivered).await;
    assert_eq!(desk.ledger().release(owner(1)).await, Ok(1));
    assert_eq!(desk.ledger().release(owner(1)).await, Ok(0));
    let record = desk.delivery(all[1]).await;
    assert_eq!((record.state, record.attempts, record.due_at), (DeliveryState::Waiting, 0, Some(at(0))));
    assert_eq!(desk.settle(mine.deliveries[1].lease, 2, Verdict::Delivered).await, Settled::Fenced);
    assert_eq!(desk.settle(theirs.deliveries[0].lease, 2, Verdict::Delivered).await, Settled::Recorded);
    let got = desk.claim(Ask { free: 0, ahead: 1, ..claim(3) }).await;
    assert_eq!(ids(&got), [all[1]], "it is no suspect");
}

pub(crate) async fn what_an_owner_gives_back_another_one_has_at_once<S: Subject>(desk: Desk<S>) {
    let id = delivery(desk.keep(event(0).in_line("app", "a")).await, 1);
    desk.keep(event(0).numbered(1).in_line("app", "a")).await;
    let held = desk.claim(Ask { lease: 3600, ..claim(0) }).await;
    assert_eq!(ids(&held), [id]);
    let (mine, others) = (desk.ledger(), desk.second());
    let theirs = Ask { owner: owner(2), ..claim(1) };
    desk.now(1);
    let claimed = async || others.exchange(theirs.exchange()).await.unwrap().claimed.deliveries;
    assert!(claimed().await.is_empty(), "it is leased");
    assert_eq!(mine.release(owner(1)).await, Ok(1));
    let claimed = claimed().await;
    let [leased] = claimed.as_slice() else { panic!("{claimed:?}") };
    assert_eq!((leased.lease.delivery, leased.attempt, leased.is_suspect), (id, 1, false));
}
