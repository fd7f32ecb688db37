//! Deliveries to one destination that share an order key are made one after the other.

use super::*;

/// Three in one line, of the seconds 0, 1 and 2.
async fn line<S: Subject>(desk: &Desk<S>) -> [DeliveryId; 3] {
    let mut ids = Vec::new();
    for second in 0..3 {
        ids.push(delivery(desk.keep(event(second).in_line("app", "a")).await, 1));
    }
    ids.try_into().unwrap()
}

pub(crate) async fn the_first_unfinished_one_alone_is_claimed<S: Subject>(desk: Desk<S>) {
    let ids = line(&desk).await;
    let states = async || {
        let mut states = Vec::new();
        for id in ids {
            states.push(desk.state(id).await);
        }
        states
    };
    use DeliveryState::*;
    assert_eq!(states().await, [Waiting, Held, Held]);
    assert_eq!(desk.delivery(ids[1]).await.due_at, None);
    for (now, id) in (10..).zip(ids) {
        let leased = desk.take(now).await;
        assert_eq!(leased.lease.delivery, id);
        assert_eq!(desk.due(now).await, [], "those behind it wait for it");
        desk.settle(leased.lease, now, Verdict::Delivered).await;
    }
    assert_eq!(states().await, [Delivered; 3]);

    // One that comes while another one is under way, and none waits.
    let under_way = delivery(desk.keep(event(20).in_line("app", "a")).await, 1);
    assert_eq!(desk.due(20).await, [under_way]);
    let behind = delivery(desk.keep(event(21).in_line("app", "a")).await, 1);
    assert_eq!(desk.state(behind).await, Held);
}

pub(crate) async fn every_end_lets_the_next_one_go_at_once<S: Subject>(desk: Desk<S>) {
    let ids = line(&desk).await;
    assert_eq!(desk.end(10, Verdict::Delivered).await, ids[0]);
    assert_eq!(desk.delivery(ids[1]).await.due_at, Some(at(10)), "due since the one before it came to its end");
    assert_eq!(desk.state(ids[2]).await, DeliveryState::Held);
    assert_eq!(desk.end(20, Verdict::Dead("over".into())).await, ids[1]);
    assert_eq!(desk.delivery(ids[2]).await.due_at, Some(at(20)));
    // Exhausted is dead too.
    for now in [30, 90] {
        assert_eq!(desk.due(now).await, [ids[2]]);
    }
    let last = delivery(desk.keep(event(90).in_line("app", "a")).await, 1);
    let got = desk.claim(Ask { most_attempts: 1, ..claim(150) }).await;
    assert_eq!((got.exhausted.as_slice(), super::ids(&got)), (&ids[2..], vec![last]));
}

pub(crate) async fn a_retry_holds_up_those_behind_it<S: Subject>(desk: Desk<S>) {
    let ids = line(&desk).await;
    desk.end(10, retry(490)).await;
    assert_eq!(desk.due(499).await, []);
    assert_eq!(desk.end(500, Verdict::Released).await, ids[0]);
    assert_eq!(desk.due(500).await, [ids[0]]);
}

pub(crate) async fn a_lease_that_ran_out_holds_up_those_behind_it<S: Subject>(desk: Desk<S>) {
    let ids = line(&desk).await;
    assert_eq!(desk.due(2).await, [ids[0]]);
    assert_eq!(desk.due(62).await, [ids[0]]);
    assert_eq!(desk.due(121).await, []);
    assert_eq!(desk.due(122).await, [ids[0]]);
}

pub(crate) async fn other_destinations_other_keys_and_no_key_are_not_held_up<S: Subject>(desk: Desk<S>) {
    let first = desk.keep(event(0).in_line("app", "a").in_line("log", "a")).await;
    let others = [
        event(1).in_line("app", "A"),
        event(2).in_line("app", ""),
        event(3).to("app"),
        event(4).to("app"),
        event(5).in_line("app", "a "),
    ];
    let mut expected = vec![delivery(first, 1)];
    for new in others {
        expected.push(delivery(desk.keep(new).await, 1));
    }
    let held = desk.keep(event(6).in_line("app", "a").in_line("log", "b")).await;
    assert_eq!(desk.due(10).await, expected);
    assert_eq!(desk.state(delivery(held, 1)).await, DeliveryState::Held);
    let claimed = desk.claim(Ask { destination: "log".into(), ..claim(10) }).await;
    assert_eq!(ids(&claimed), [delivery(first, 2), delivery(held, 2)]);
    // One at another endpoint is in the same line.
    let through = desk.keep(event(7).through("second").in_line("app", "a")).await;
    assert_eq!(desk.state(delivery(through, 1)).await, DeliveryState::Held);
}

pub(crate) async fn the_order_is_that_of_recording_not_that_of_names<S: Subject>(desk: Desk<S>) {
    let mut ids = Vec::new();
    for (second, number) in [(5, 9), (5, 1), (0, 0), (7, 0), (3, 0)] {
        ids.push(delivery(desk.keep(event(second).numbered(number).in_line("app", "a")).await, 1));
    }
    for id in ids {
        assert_eq!(desk.end(10, Verdict::Delivered).await, id);
    }
}

pub(crate) async fn a_redelivery_joins_at_the_end_of_its_line<S: Subject>(desk: Desk<S>) {
    let ids = line(&desk).await;
    let [first, second, _] = ids.map(|id| id.event);
    assert_eq!(desk.end(10, Verdict::Delivered).await, ids[0]);
    assert_eq!(desk.end(11, Verdict::Dead("over".into())).await, ids[1]);
    assert_eq!(desk.now(12).redeliver(vec![first], None).await, Ok(1));
    assert_eq!(desk.now(13).redeliver_dead(vec![ids[1]]).await, Ok(1));
    let fresh = delivery(desk.keep(event(14).in_line("app", "a")).await, 1);
    for redelivered in [delivery(first, 2), delivery(second, 2)] {
        let record = desk.delivery(redelivered).await;
        assert_eq!((record.state, record.order_key.as_deref()), (DeliveryState::Held, Some("a")));
    }
    for expected in [ids[2], delivery(first, 2), delivery(second, 2), fresh] {
        assert_eq!(desk.end(20, Verdict::Delivered).await, expected);
    }
}

pub(crate) async fn dropping_or_redelivering_a_dead_one_lets_nobody_overtake<S: Subject>(desk: Desk<S>) {
    let ids = line(&desk).await;
    let last = delivery(desk.keep(event(3).in_line("app", "a")).await, 1);
    assert_eq!(desk.end(10, Verdict::Dead("over".into())).await, ids[0]);
    assert_eq!(desk.end(11, Verdict::Dead("over".into())).await, ids[1]);
    assert_eq!(desk.due(12).await, [ids[2]]);
    assert_eq!(desk.now(13).drop_dead(vec![ids[0]]).await, Ok(1));
    assert_eq!(desk.now(13).redeliver_dead(vec![ids[1]]).await, Ok(1));
    assert_eq!(desk.state(last).await, DeliveryState::Held, "the one before it is being delivered");
    assert_eq!(desk.due(14).await, []);
}

pub(crate) async fn a_line_is_kept_through_a_crash<S: Subject>(mut desk: Desk<S>) {
    let ids = line(&desk).await;
    for now in [10, 11] {
        assert_eq!(desk.due(now).await, [ids[0]]);
        desk.crash().await;
    }
    for id in ids {
        assert_eq!(desk.end(20, Verdict::Delivered).await, id);
        desk.crash().await;
    }
}
