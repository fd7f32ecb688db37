//! Orders: one for each key, carried out part by part, ended once, and never done beyond their end.

use super::*;

/// Some dead deliveries to "app", each of an event of its own.
async fn dead<S: Subject>(desk: &Desk<S>, count: u8) -> Vec<DeliveryId> {
    let mut dead = Vec::new();
    for number in 0..count {
        let id = desk.keep(event(0).numbered(number).to("app")).await;
        dead.push(delivery(id, 1));
    }
    for leased in desk.claim(claim(1)).await.deliveries {
        assert_eq!(desk.settle(leased.lease, 1, Verdict::Dead("over".into())).await, Settled::Recorded);
    }
    dead
}

async fn begin(ledger: &dyn Ledger, order: NewOrder) -> u64 {
    let begun = ledger.begin_order(order).await.unwrap();
    assert!(begun.is_new);
    begun.record.number
}

async fn order<S: Subject>(desk: &Desk<S>, number: u64) -> OrderRecord {
    desk.ledger().order(number).await.unwrap().expect("the order is kept")
}

const OVER: Carried = Carried { done: 0, is_over: true };

pub(crate) async fn an_order_is_listed_from_its_begin_to_its_end<S: Subject>(desk: Desk<S>) {
    let dead = dead(&desk, 3).await;
    let new = NewOrder {
        verb: OrderVerb::Drop,
        source: OrderSource::Page,
        what: serde_json::json!({ "filter": { "issue": "\u{0}ü" } }),
        note: Some("a \u{0} note".into()),
        ..new_order("one")
    };
    let begun = desk.now(2).begin_order(new.clone()).await.unwrap();
    let expected = OrderRecord {
        number: begun.record.number,
        state: OrderState::Running,
        verb: OrderVerb::Drop,
        what: new.what,
        who: "anna".into(),
        source: OrderSource::Page,
        note: Some("a \u{0} note".into()),
        counted: None,
        taken: 0,
        done: 0,
        unrouted: 0,
        began_at: at(2),
        ended_at: None,
        reason: None,
    };
    assert_eq!(begun, BegunOrder { record: expected.clone(), is_new: true });
    let number = expected.number;
    let ledger = desk.now(3);
    let counting = ledger.carry_out(number, OrderPart::Counting(Some(3))).await;
    assert_eq!(counting, Ok(Carried::default()));
    let unknown = delivery(named(99, 0), 1);
    let part = OrderPart::DropDead(vec![dead[0], dead[1], unknown]);
    assert_eq!(ledger.carry_out(number, part).await, Ok(Carried { done: 2, is_over: false }));
    let expected = OrderRecord { counted: Some(3), taken: 3, done: 2, ..expected };
    assert_eq!(order(&desk, number).await, expected);
    let expected = OrderRecord { state: OrderState::Done, ended_at: Some(at(4)), ..expected };
    assert_eq!(desk.now(4).end_order(number, OrderEnd::Done).await, Ok(Some(expected.clone())));
    assert_eq!(desk.ledger().orders(all()).await, Ok(vec![expected]));
    assert_eq!(desk.delivery(dead[0]).await.order, Some(number));
    assert_eq!(desk.delivery(dead[2]).await.order, None);
}

pub(crate) async fn of_many_with_one_key_at_once_one_begins<S: Subject>(desk: Desk<S>) {
    let ledgers = [desk.ledger(), desk.second()];
    let begin = |index: usize| {
        let ledger = ledgers[index % 2].clone();
        tokio::spawn(async move { ledger.begin_order(new_order("one")).await.unwrap() })
    };
    let tasks: Vec<_> = (0..16).map(begin).collect();
    let mut begun = Vec::new();
    for task in tasks {
        begun.push(task.await.unwrap());
    }
    assert_eq!(begun.iter().filter(|begun| begun.is_new).count(), 1);
    assert!(begun.iter().all(|other| other.record == begun[0].record));
    assert_eq!(desk.ledger().orders(all()).await.unwrap().len(), 1);
}

pub(crate) async fn what_an_order_makes_moves_or_drops_names_it<S: Subject>(desk: Desk<S>) {
    let dead = dead(&desk, 2).await;
    let sent = desk.keep(event(1).numbered(9).to("log")).await;
    let unrouted = desk.keep(event(1).numbered(10)).await;
    let ledger = desk.now(2);
    let give = async |part: OrderPart| {
        let number = begin(&*ledger, another_order()).await;
        let carried = ledger.carry_out(number, part).await.unwrap();
        assert!(carried.done > 0 && !carried.is_over);
        ledger.end_order(number, OrderEnd::Done).await.unwrap();
        Some(number)
    };
    let again = give(OrderPart::Redeliver { events: vec![sent], destination: None }).await;
    let deliveries = vec![NewDelivery { destination: "log".into(), order_key: Some("a".into()) }];
    let routed = give(OrderPart::Route(vec![(unrouted, deliveries)])).await;
    let redelivered = give(OrderPart::RedeliverDead(vec![dead[0]])).await;
    let moved = give(OrderPart::Move { from: "app".into(), to: "new".into() }).await;
    let named = async |id| desk.delivery(id).await.order;
    assert_eq!(named(delivery(sent, 1)).await, None);
    assert_eq!(named(delivery(sent, 2)).await, again);
    assert_eq!(named(delivery(unrouted, 1)).await, routed);
    assert_eq!(named(dead[0]).await, None, "it died by itself");
    assert_eq!(named(delivery(dead[0].event, 2)).await, moved, "order {redelivered:?} made it, and another moved it");
    assert_eq!(named(dead[1]).await, moved);
    let dropped = give(OrderPart::Drop { destination: "log".into() }).await;
    assert_eq!(named(delivery(unrouted, 1)).await, dropped);
    // It stays when the delivery ends.
    let new = desk.claim(Ask { destination: "new".into(), ..claim(2) }).await.deliveries;
    assert_eq!(
        ids(&Got { deliveries: new.clone(), exhausted: vec![], next_due: None, suspects_wait: false }),
        [delivery(dead[0].event, 2)]
    );
    desk.settle(new[0].lease, 2, Verdict::Delivered).await;
    assert_eq!(named(delivery(dead[0].event, 2)).await, moved);
}

pub(crate) async fn nothing_is_done_of_an_order_that_is_over<S: Subject>(desk: Desk<S>) {
    let dead = dead(&desk, 1).await;
    let ledger = desk.now(2);
    let part = || OrderPart::DropDead(dead.clone());
    let mut over = vec![999];
    for (key, end) in
        [("done", OrderEnd::Done), ("failed", OrderEnd::Failed("why".into())), ("broken", OrderEnd::BrokenOff)]
    {
        let number = begin(&*ledger, new_order(key)).await;
        let ended = ledger.end_order(number, end.clone()).await.unwrap().unwrap();
        let state = match &end {
            OrderEnd::Done => OrderState::Done,
            OrderEnd::Failed(_) => OrderState::Failed,
            OrderEnd::BrokenOff => OrderState::BrokenOff,
        };
        assert_eq!((ended.state, ended.ended_at), (state, Some(at(2))));
        assert_eq!(ended.reason.as_deref(), (key == "failed").then_some("why"));
        over.push(number);
    }
    let cancelled = begin(&*ledger, new_order("cancelled")).await;
    assert_eq!(ledger.cancel_order(cancelled).await.unwrap().unwrap().state, OrderState::Cancelled);
    over.push(cancelled);
    for number in over {
        let before = ledger.order(number).await.unwrap();
        assert_eq!(ledger.carry_out(number, part()).await, Ok(OVER), "{before:?}");
        assert_eq!(ledger.end_order(number, OrderEnd::Done).await.unwrap(), before, "it ended before");
        assert_eq!(ledger.cancel_order(number).await.unwrap(), before);
    }
    assert_eq!(desk.state(dead[0]).await, DeliveryState::Dead);
    // An order with the key of one that is over is that one.
    let again = ledger.begin_order(new_order("cancelled")).await.unwrap();
    assert_eq!((again.is_new, again.record.number, again.record.state), (false, cancelled, OrderState::Cancelled));
}

pub(crate) async fn an_order_without_a_word_for_its_lease_is_broken_off<S: Subject>(mut desk: Desk<S>) {
    let dead = dead(&desk, 3).await;
    let ledger = desk.now(2);
    let number = begin(&*ledger, new_order("one")).await;
    let ended = begin(&*ledger, new_order("two")).await;
    ledger.end_order(ended, OrderEnd::Done).await.unwrap();
    ledger.carry_out(number, OrderPart::Counting(Some(3))).await.unwrap();
    // Each part renews it.
    for (second, dead) in [(61, dead[0]), (120, dead[1])] {
        let carried = desk.now(second).carry_out(number, OrderPart::DropDead(vec![dead])).await;
        assert_eq!(carried, Ok(Carried { done: 1, is_over: false }));
    }
    drop(ledger);
    desk.crash().await;
    let ledger = desk.now(180);
    let broken = order(&desk, number).await;
    let numbers = (broken.state, broken.counted, broken.taken, broken.done, broken.ended_at);
    assert_eq!(desk.delivery(dead[0]).await.order, Some(number));
    assert_eq!(numbers, (OrderState::BrokenOff, Some(3), 2, 2, None), "what it did is done");
    assert_eq!(ledger.carry_out(number, OrderPart::DropDead(vec![dead[2]])).await, Ok(OVER));
    assert_eq!(ledger.end_order(number, OrderEnd::Done).await, Ok(Some(broken)), "its end comes too late");
    assert_eq!(order(&desk, ended).await.state, OrderState::Done);
    // Given again, it takes the rest.
    assert_eq!(desk.ledger().drop_dead(dead).await, Ok(1));
}

pub(crate) async fn after_a_cancel_nothing_more_is_done<S: Subject>(desk: Desk<S>) {
    let dead = dead(&desk, 60).await;
    let (ledger, canceller) = (desk.now(2), desk.second());
    let number = begin(&*ledger, new_order("one")).await;
    let working = tokio::spawn({
        let (ledger, dead) = (ledger.clone(), dead.clone());
        async move {
            let mut done = 0;
            for delivery in dead {
                let carried = ledger.carry_out(number, OrderPart::RedeliverDead(vec![delivery])).await.unwrap();
                if carried.is_over {
                    return (done, true);
                }
                done += carried.done;
                tokio::task::yield_now().await;
            }
            (done, false)
        }
    });
    while desk.ledger().order(number).await.unwrap().unwrap().done < 5 {
        tokio::task::yield_now().await;
    }
    let cancelled = canceller.cancel_order(number).await.unwrap().unwrap();
    let (done, is_over) = working.await.unwrap();
    assert!(is_over || done == 60);
    assert_eq!(cancelled.state, OrderState::Cancelled);
    assert_eq!((cancelled.done, cancelled.taken), (done, done), "the answer to the cancel has all that is ever done");
    let redelivered = DeliveryFilter { state: Some(DeliveryState::Redelivered), ..DeliveryFilter::default() };
    assert_eq!(desk.ledger().deliveries(redelivered, all()).await.unwrap().len() as u64, done);
}

pub(crate) async fn an_event_that_no_destination_takes_is_counted<S: Subject>(desk: Desk<S>) {
    let [one, other] = [desk.keep(event(0).numbered(1)).await, desk.keep(event(0).numbered(2)).await];
    let ledger = desk.now(1);
    let number = begin(&*ledger, new_order("one")).await;
    let deliveries = vec![NewDelivery { destination: "app".into(), order_key: None }];
    let carried = ledger.carry_out(number, OrderPart::Route(vec![(one, deliveries), (other, Vec::new())])).await;
    assert_eq!(carried, Ok(Carried { done: 1, is_over: false }));
    let record = order(&desk, number).await;
    assert_eq!((record.taken, record.done, record.unrouted), (2, 1, 1));
}

pub(crate) async fn pages_of_orders_go_from_either_end<S: Subject>(desk: Desk<S>) {
    let ledger = desk.now(0);
    let mut numbers = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        numbers.push(begin(&*ledger, new_order(key)).await);
    }
    assert!(numbers.is_sorted());
    let page = async |after, limit, order| -> Vec<u64> {
        let listed = ledger.orders(Page { after, limit, order }).await.unwrap();
        listed.into_iter().map(|order| order.number).collect()
    };
    assert_eq!(page(None, 2, Order::NewestFirst).await, [numbers[4], numbers[3]]);
    assert_eq!(page(Some(numbers[3]), 9, Order::NewestFirst).await, [numbers[2], numbers[1], numbers[0]]);
    assert_eq!(page(None, 2, Order::OldestFirst).await, numbers[..2]);
    assert_eq!(page(Some(numbers[1]), 2, Order::OldestFirst).await, numbers[2..4]);
    assert_eq!(page(Some(numbers[4]), 2, Order::OldestFirst).await, [0; 0]);
    assert_eq!(ledger.order(u64::MAX).await, Ok(None));
    assert_eq!(ledger.cancel_order(u64::MAX).await, Ok(None));
}

pub(crate) async fn the_dead_are_told_apart_by_when_they_died<S: Subject>(desk: Desk<S>) {
    let ids = [desk.keep(event(0).numbered(1).to("app")).await, desk.keep(event(0).numbered(2).to("app")).await];
    let leased = desk.claim(claim(1)).await.deliveries;
    for (leased, second) in leased.iter().zip([5, 9]) {
        desk.settle(leased.lease, second, Verdict::Dead("over".into())).await;
    }
    let present = desk.ledger().present().await.unwrap();
    assert_eq!(present, at(9));
    let dead_before = async |moment| -> Vec<EventId> {
        let filter = DeliveryFilter { died_before: Some(moment), ..DeliveryFilter::default() };
        desk.ledger().deliveries(filter, all()).await.unwrap().iter().map(|record| record.id.event).collect()
    };
    assert!(dead_before(at(5)).await.is_empty());
    assert_eq!(dead_before(at(6)).await, ids[..1]);
    assert_eq!(dead_before(present).await, ids[..1]);
    assert_eq!(dead_before(at(10)).await, ids);
    desk.now(10).drop_dead(vec![delivery(ids[0], 1)]).await.unwrap();
    assert_eq!(dead_before(at(99)).await, ids[1..], "what was dropped is not dead any more");
}
