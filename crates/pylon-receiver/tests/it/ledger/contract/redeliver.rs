//! What an operator orders: deliver again, or give up.

use super::*;

pub(crate) async fn an_event_is_redelivered_to_every_destination_that_it_went_to<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app").in_line("log", "a")).await;
    desk.end(1, Verdict::Delivered).await;
    assert_eq!(desk.now(5).redeliver(vec![id], None).await, Ok(2));
    let made: Vec<_> = desk.event(id).await.deliveries.into_iter().map(|(record, _)| record).collect();
    let known =
        |record: &DeliveryRecord| (record.id.number, record.destination.clone(), record.state, record.redelivery_of);
    use DeliveryState::*;
    let expected = [
        (1, "app".to_owned(), Delivered, None),
        (2, "log".to_owned(), Waiting, None),
        (3, "app".to_owned(), Waiting, Some(1)),
        (4, "log".to_owned(), Held, Some(2)),
    ];
    assert_eq!(made.iter().map(known).collect::<Vec<_>>(), expected);
    assert_eq!((made[2].created_at, made[2].due_at, made[2].attempts), (at(5), Some(at(5)), 0));
    assert_eq!(made[3].order_key.as_deref(), Some("a"));
    let leased = desk.take(5).await;
    assert_eq!((leased.lease.delivery, leased.attempt), (delivery(id, 3), 1));
    assert_eq!((leased.redelivery_of, leased.age), (Some(1), Duration::ZERO));

    // Once for each destination, however often it went there; what it repeats is the last one.
    assert_eq!(desk.now(6).redeliver(vec![id], None).await, Ok(2));
    assert_eq!(desk.delivery(delivery(id, 5)).await.redelivery_of, Some(3));
    assert_eq!(desk.delivery(delivery(id, 6)).await.redelivery_of, Some(4));
}

pub(crate) async fn an_event_is_redelivered_to_a_given_destination<S: Subject>(desk: Desk<S>) {
    let first = desk.keep(event(0).to("app").in_line("log", "a")).await;
    let second = desk.keep(event(1).to("log")).await;
    desk.end(1, Verdict::Delivered).await;
    assert_eq!(desk.now(5).redeliver(vec![first, second], Some("app".into())).await, Ok(2));
    assert_eq!(desk.due(5).await, [delivery(first, 3), delivery(second, 2)]);
    assert_eq!(desk.delivery(delivery(first, 3)).await.redelivery_of, Some(1));
    let to_new_place = desk.delivery(delivery(second, 2)).await;
    assert_eq!((to_new_place.redelivery_of, to_new_place.order_key), (None, None), "it never went there");
}

pub(crate) async fn a_dead_delivery_of_a_redelivered_event_is_redelivered<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    desk.end(1, Verdict::Dead("over".into())).await;
    assert_eq!(desk.now(5).redeliver(vec![id], None).await, Ok(1));
    let redelivered = desk.delivery(delivery(id, 1)).await;
    assert_eq!((redelivered.state, redelivered.reason.as_deref()), (DeliveryState::Redelivered, Some("over")));
    assert_eq!(redelivered.finished_at, Some(at(1)), "it came to its end when it died");
    assert_eq!(desk.event(id).await.record.state, EventState::Pending);
    assert_eq!(desk.end(6, Verdict::Delivered).await, delivery(id, 2));
    assert_eq!(desk.event(id).await.record.state, EventState::Delivered);
}

pub(crate) async fn the_dead_of_other_destinations_stay_dead<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app").to("log")).await;
    let other = desk.keep(event(1).to("app")).await;
    for leased in desk.claim(claim(1)).await.deliveries {
        desk.settle(leased.lease, 1, Verdict::Dead("over".into())).await;
    }
    assert_eq!(desk.now(5).redeliver(vec![id], Some("log".into())).await, Ok(1));
    assert_eq!(desk.state(delivery(id, 1)).await, DeliveryState::Dead);
    assert_eq!(desk.state(delivery(id, 2)).await, DeliveryState::Waiting, "it was not dead");
    assert_eq!(desk.now(5).redeliver(vec![id], Some("app".into())).await, Ok(1));
    assert_eq!(desk.state(delivery(id, 1)).await, DeliveryState::Redelivered);
    assert_eq!(desk.state(delivery(other, 1)).await, DeliveryState::Dead, "another event");
}

pub(crate) async fn parked_and_unrouted_events_go_where_they_are_sent<S: Subject>(desk: Desk<S>) {
    let parked = desk.keep(event(0).parked("it is not JSON")).await;
    let unrouted = desk.keep(event(1)).await;
    let both = || vec![parked, unrouted];
    assert_eq!(desk.now(5).redeliver(both(), None).await, Ok(0), "they went nowhere");
    assert_eq!(desk.event(parked).await.record.state, EventState::Parked);
    assert_eq!(desk.event(unrouted).await.record.state, EventState::Unrouted);
    assert_eq!(desk.now(5).redeliver(both(), Some("app".into())).await, Ok(2));
    assert_eq!(desk.due(5).await, [delivery(parked, 1), delivery(unrouted, 1)]);
    let detail = desk.event(parked).await;
    assert_eq!(detail.record.state, EventState::Pending);
    assert_eq!(detail.record.parked.as_deref(), Some("it is not JSON"), "it says so still");
    assert_eq!((detail.deliveries[0].0.redelivery_of, detail.deliveries[0].0.order_key.clone()), (None, None));
}

pub(crate) async fn events_that_went_nowhere_are_routed_once<S: Subject>(desk: Desk<S>) {
    let to = |destination: &str, order_key: Option<&str>| NewDelivery {
        destination: destination.into(),
        order_key: order_key.map(Into::into),
    };
    let (first, second) = (desk.keep(event(0)).await, desk.keep(event(1)).await);
    let routed = desk.keep(event(2).to("app")).await;
    desk.end(2, Verdict::Delivered).await;
    let both = || vec![to("app", Some("a")), to("log", None)];
    let order = vec![(first, both()), (second, both()), (routed, both()), (named(9, 0), both())];
    assert_eq!(desk.now(5).route(order.clone()).await, Ok(4), "one went somewhere before, one is unknown");
    let made: Vec<_> = desk.event(first).await.deliveries.into_iter().map(|(record, _)| record).collect();
    assert_eq!(
        made.iter().map(|record| (record.id.number, &*record.destination)).collect::<Vec<_>>(),
        [(1, "app"), (2, "log")]
    );
    assert_eq!((made[0].order_key.as_deref(), made[0].redelivery_of), (Some("a"), None));
    assert_eq!((made[0].created_at, made[0].due_at), (at(5), Some(at(5))));
    assert_eq!(desk.state(delivery(second, 1)).await, DeliveryState::Held, "behind the first one in its line");
    assert_eq!(desk.now(6).route(order).await, Ok(0), "they are on their way");
    assert_eq!(desk.now(6).route(vec![(named(9, 0), Vec::new())]).await, Ok(0));
    assert_eq!(desk.end(7, Verdict::Delivered).await, delivery(first, 1));
    assert_eq!(desk.event(routed).await.record.deliveries, 1);
}

pub(crate) async fn unknown_events_are_passed_over<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    assert_eq!(desk.due(0).await.len(), 1);
    let ids = vec![named(8, 0), id, named(9, 0)];
    assert_eq!(desk.now(5).redeliver(ids, Some("app".into())).await, Ok(1));
    assert_eq!(desk.due(5).await, [delivery(id, 2)]);
    for destination in [None, Some("app".into())] {
        assert_eq!(desk.now(5).redeliver(vec![named(8, 0)], destination.clone()).await, Ok(0));
        assert_eq!(desk.now(5).redeliver(Vec::new(), destination).await, Ok(0));
    }
}

pub(crate) async fn each_dead_delivery_is_redelivered_in_its_place<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app").to("log")).await;
    // Redelivered while it was under way, so that two to one destination die.
    let first = desk.take(0).await.lease;
    desk.now(1).redeliver(vec![id], Some("app".into())).await.unwrap();
    let second = desk.take(1).await.lease;
    for lease in [first, second] {
        desk.settle(lease, 2, Verdict::Dead("over".into())).await;
    }
    assert_eq!(desk.now(3).redeliver_dead(vec![first.delivery]).await, Ok(1));
    assert_eq!(desk.delivery(delivery(id, 4)).await.redelivery_of, Some(1));
    assert_eq!(desk.state(second.delivery).await, DeliveryState::Dead, "nobody asked for it");
    // Named twice it is redelivered once: it is not dead any more.
    assert_eq!(desk.now(4).redeliver_dead(vec![second.delivery, second.delivery]).await, Ok(1));
    assert_eq!(desk.delivery(delivery(id, 5)).await.redelivery_of, Some(3));
    assert_eq!(desk.event(id).await.record.deliveries, 5);
    assert_eq!(desk.due(5).await, [delivery(id, 4), delivery(id, 5)]);
}

pub(crate) async fn what_is_not_dead_is_neither_redelivered_nor_dropped<S: Subject>(desk: Desk<S>) {
    let waiting = desk.keep(event(0).to("log")).await;
    desk.keep(event(0).numbered(1).to("app")).await;
    let delivered = desk.end(0, Verdict::Delivered).await;
    let delivering = desk.keep(event(1).in_line("app", "a")).await;
    let held = desk.keep(event(2).in_line("app", "a")).await;
    let over = [3, 4].map(|second| event(second).to("app"));
    let mut ended = Vec::new();
    for new in over {
        desk.keep(new).await;
        // The one in line is leased by now.
        for leased in desk.claim(claim(5)).await.deliveries {
            if leased.lease.delivery.event != delivering {
                desk.settle(leased.lease, 5, Verdict::Dead("over".into())).await;
                ended.push(leased.lease.delivery);
            }
        }
    }
    desk.now(6).drop_dead(vec![ended[0]]).await.unwrap();
    desk.now(6).redeliver_dead(vec![ended[1]]).await.unwrap();
    let mut ids: Vec<_> = [waiting, delivering, held].into_iter().map(|id| delivery(id, 1)).collect();
    ids.extend([
        delivered,
        ended[0],
        ended[1],
        delivery(ended[1].event, 2),
        delivery(waiting, 0),
        delivery(named(99, 0), 1),
    ]);
    let before = desk.everything().await;
    assert_eq!(desk.now(7).redeliver_dead(ids.clone()).await, Ok(0));
    assert_eq!(desk.now(7).drop_dead(ids).await, Ok(0));
    assert_eq!(desk.everything().await, before);
}

pub(crate) async fn a_dropped_delivery_is_given_up_for_good<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    let dead = desk.end(1, Verdict::Dead("over".into())).await;
    assert_eq!(
        desk.now(5).drop_dead(vec![named(9, 0), id].into_iter().map(|id| delivery(id, 1)).collect()).await,
        Ok(1)
    );
    let record = desk.delivery(dead).await;
    assert_eq!((record.state, record.finished_at), (DeliveryState::Dropped, Some(at(5))));
    assert_eq!(record.reason.as_deref(), Some("over"), "it says still why it died");
    assert_eq!(desk.event(id).await.record.state, EventState::Delivered);
    assert_eq!(desk.due(1000).await, []);
    // The event may be delivered again nevertheless.
    assert_eq!(desk.now(1000).redeliver(vec![id], None).await, Ok(1));
    assert_eq!(desk.state(dead).await, DeliveryState::Dropped);
    assert_eq!(desk.due(1000).await, [delivery(id, 2)]);
}

pub(crate) async fn a_redelivery_is_not_swallowed_by_deduplication<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).keyed("a", None).to("app")).await;
    desk.end(0, Verdict::Delivered).await;
    assert_eq!(desk.now(1).redeliver(vec![id], None).await, Ok(1));
    assert_eq!(desk.end(1, Verdict::Delivered).await, delivery(id, 2));
}
