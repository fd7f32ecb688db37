//! Operators' orders while others are at work on the same events, lines and deliveries.

use super::stage::{Stage, deliver_all, keep_all, numbered, settle};
use crate::ledger::by_hand::ByHand;
use crate::ledger::contract::{Ask, Draft, all, claim, delivery, event, owner};
use pylon_receiver::ledger::*;
use std::sync::Arc;
use std::time::Duration;

const PRUNE: fn() -> Prune = || Prune { owner: owner(9), kept_for: Some(Duration::ZERO) };

/// Deliveries whose event is gone.
const ORPHANS: &str = "
    SELECT count(*) FROM (SELECT event_id FROM open UNION ALL SELECT event_id FROM finished UNION ALL SELECT event_id FROM attempts) AS rest
    WHERE event_id NOT IN (SELECT id FROM events)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_being_redelivered_is_not_forgotten() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    let id = stage.ended(&*ledger, event(0), Verdict::Delivered).await;
    // Somebody has locked the event and is about to add a delivery.
    let mut other = stage.another_session().await;
    let redelivery = other.transaction().await.unwrap();
    redelivery.batch_execute("SELECT FROM events FOR NO KEY UPDATE").await.unwrap();
    assert_eq!(ledger.prune(PRUNE()).await, Ok(Pruned::Here { events: 0, more: false }));
    let add = "
        INSERT INTO open (event_id, number, seq, destination, state, is_repeat, size, due_at)
        SELECT id, 2, nextval('deliveries_seq'), 'app', 0, true, 2, tick() FROM events";
    redelivery.batch_execute(add).await.unwrap();
    redelivery.commit().await.unwrap();
    assert_eq!(ledger.prune(PRUNE()).await, Ok(Pruned::Here { events: 0, more: false }));
    assert_eq!(deliver_all(&*ledger, &Verdict::Delivered).await, 1);
    assert_eq!(ledger.prune(PRUNE()).await, Ok(Pruned::Here { events: 1, more: false }));
    assert_eq!((ledger.event(id).await, stage.number(ORPHANS).await), (Ok(None), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_being_forgotten_gets_no_delivery() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    let id = stage.ended(&*ledger, event(0), Verdict::Delivered).await;
    let unrouted = event(1).id;
    assert_eq!(ledger.record(event(1)).await, Ok(Recorded::Stored));
    let mut other = stage.another_session().await;
    let prune = other.transaction().await.unwrap();
    prune.batch_execute("SELECT FROM events FOR UPDATE").await.unwrap();
    let new = vec![NewDelivery { destination: "app".into(), order_key: None }];
    let orders = [
        tokio::spawn({
            let ledger = ledger.clone();
            async move { ledger.redeliver(vec![id], None).await }
        }),
        tokio::spawn({
            let ledger = ledger.clone();
            async move { ledger.route(vec![(unrouted, new)]).await }
        }),
    ];
    stage.until_waiting_for(prune.client(), 1).await;
    prune.batch_execute("DELETE FROM attempts; DELETE FROM finished; DELETE FROM events").await.unwrap();
    prune.commit().await.unwrap();
    for order in orders {
        assert_eq!(order.await.unwrap(), Ok(0));
    }
    assert_eq!(stage.number(ORPHANS).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_for_one_event_at_once_give_each_delivery_a_number_of_its_own() {
    let Some(stage) = Stage::open().await else { return };
    let handles = [stage.ledger().await, stage.ledger().await];
    let mut ids = Vec::new();
    for second in 0..20 {
        ids.push(stage.ended(&*handles[0], event(second), Verdict::Dead("over".into())).await);
    }
    let mut orders = Vec::new();
    for round in 0..20 {
        let (ledger, mut ids) = (handles[round % 2].clone(), ids.clone());
        // Each in its own order: locks are taken in one.
        fastrand::shuffle(&mut ids);
        orders.push(tokio::spawn(async move {
            match round % 4 {
                0 => ledger.redeliver(ids, Some("other".into())).await,
                1 => ledger.redeliver(ids, None).await,
                2 => ledger.redeliver_dead(ids.into_iter().map(|id| delivery(id, 1)).collect()).await,
                _ => ledger.redeliver(ids, Some("app".into())).await,
            }
        }));
    }
    let mut made = 0;
    for order in orders {
        made += order.await.unwrap().unwrap();
    }
    let kept = handles[0].deliveries(DeliveryFilter::default(), all()).await.unwrap();
    assert_eq!(kept.len() as u64, 20 + made);
    let dead = kept.iter().filter(|delivery| delivery.state == DeliveryState::Dead).count();
    assert_eq!(dead, 0, "each is redelivered, by one order");
    for id in ids {
        let numbers: Vec<u32> = kept.iter().filter(|kept| kept.id.event == id).map(|kept| kept.id.number).collect();
        assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
    }
    stage.check_numbers(&*handles[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redelivery_joins_the_line_to_which_its_delivery_is_moved_meanwhile() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    let dead = event(0).id;
    assert_eq!(ledger.record(event(0).in_line("app", "a")).await, Ok(Recorded::Stored));
    assert_eq!(deliver_all(&*ledger, &Verdict::Dead("over".into())).await, 1);
    assert_eq!(ledger.record(event(1).in_line("new", "a")).await, Ok(Recorded::Stored));
    let new_line = stage.number("SELECT line FROM open").await;
    stage.sql("DELETE FROM open").await;

    let (mut mover, mut writer) = (stage.another_session().await, stage.another_session().await);
    let (moving, writing) = (mover.transaction().await.unwrap(), writer.transaction().await.unwrap());
    moving.batch_execute("SELECT pg_advisory_xact_lock(line) FROM finished").await.unwrap();
    writing.batch_execute(&format!("SELECT pg_advisory_xact_lock({new_line})")).await.unwrap();
    let order = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.redeliver_dead(vec![delivery(dead, 1)]).await }
    });
    stage.until_waiting_for(moving.client(), 1).await;
    let moved = format!("UPDATE finished SET destination = 'new', line = {new_line}");
    moving.batch_execute(&moved).await.unwrap();
    moving.commit().await.unwrap();
    // Somebody has that line, and adds one to it.
    stage.until_waiting_for(writing.client(), 1).await;
    let add = format!(
        "INSERT INTO open (event_id, number, seq, destination, order_key, line, state, is_repeat, size, due_at)
         SELECT id, 1, nextval('deliveries_seq'), 'new', 'a', {new_line}, 0, false, 2, tick() FROM events ORDER BY id DESC LIMIT 1"
    );
    writing.batch_execute(&add).await.unwrap();
    writing.commit().await.unwrap();
    assert_eq!(order.await.unwrap(), Ok(1));
    let made = ledger.event(dead).await.unwrap().unwrap().deliveries.pop().unwrap().0;
    assert_eq!((&*made.destination, made.state), ("new", DeliveryState::Held), "it is behind the one that waits there");
    assert_eq!(stage.number(&format!("SELECT count(*) FROM open WHERE line = {new_line}")).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_claimed_while_its_destination_is_cleared_stays_with_its_line() {
    for to in [Some("new"), None] {
        for claimed in ["line IS NULL", "line IS NOT NULL"] {
            let Some(stage) = Stage::open().await else { return };
            let ledger = stage.ledger().await;
            for second in 0..3 {
                assert_eq!(ledger.record(event(second).in_line("app", "a")).await, Ok(Recorded::Stored));
            }
            assert_eq!(ledger.record(event(3).to("app")).await, Ok(Recorded::Stored));
            // Somebody is leasing one of the two that wait.
            let mut other = stage.another_session().await;
            let claim = other.transaction().await.unwrap();
            claim.batch_execute(&format!("SELECT FROM open WHERE state = 0 AND {claimed} FOR UPDATE")).await.unwrap();
            let order = tokio::spawn(async move {
                match to {
                    Some(to) => ledger.move_deliveries("app".into(), to.into()).await,
                    None => ledger.drop_deliveries("app".into()).await,
                }
            });
            stage.until_waiting_for(claim.client(), 1).await;
            let lease = "UPDATE open SET state = 2, token = 1, lease_until = tick() + 60000 WHERE state = 0 AND";
            claim.batch_execute(&format!("{lease} {claimed}")).await.unwrap();
            claim.commit().await.unwrap();
            let (gone, stay) = if claimed == "line IS NULL" { (3, 1) } else { (1, 3) };
            assert_eq!(order.await.unwrap(), Ok(gone), "to {to:?}, where {claimed}");
            assert_eq!(stage.number("SELECT count(*) FROM open WHERE destination = 'app'").await, stay);
            stage.check_numbers(&*stage.ledger().await).await;
        }
    }
}

/// The operator has found the line, and waits for its lock while its first one is claimed and settled; or comes while that is settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_dropped_while_its_first_one_is_settled_stays_whole() {
    for is_found_before in [true, false] {
        let Some(stage) = Stage::open().await else { return };
        let (ledger, operator) = (stage.ledger().await, stage.ledger().await);
        for second in 0..3 {
            assert_eq!(ledger.record(event(second).in_line("app", "a")).await, Ok(Recorded::Stored));
        }
        let mut other = stage.another_session().await;
        let holding = other.transaction().await.unwrap();
        holding.batch_execute("SELECT pg_advisory_xact_lock(line) FROM open LIMIT 1").await.unwrap();
        let drop_all = || {
            let operator = operator.clone();
            tokio::spawn(async move { operator.drop_deliveries("app".into()).await.unwrap() })
        };
        let found = is_found_before.then(drop_all);
        if found.is_some() {
            stage.until_waiting_for(holding.client(), 1).await;
        }
        let lease = ledger.exchange(claim(0).exchange()).await.unwrap().claimed.deliveries[0].lease;
        let settling = tokio::spawn({
            let ledger = ledger.clone();
            async move { settle(&*ledger, lease, Verdict::Delivered).await }
        });
        stage.until_waiting_for(holding.client(), 1 + i64::from(is_found_before)).await;
        let dropping = found.unwrap_or_else(drop_all);
        holding.commit().await.unwrap();
        settling.await.unwrap();
        let dropped = dropping.await.unwrap();
        let left = stage.number("SELECT count(*) FROM open").await;
        assert_eq!((dropped as i64 + left, left % 2), (2, 0), "the two behind it stay or go together");
        let first = stage.number("SELECT count(*) FROM open WHERE state = 0").await;
        assert_eq!(first, i64::from(left > 0), "the first of those that are left waits");
        assert_eq!(stage.number("SELECT count(*) FROM finished WHERE state = 3").await, 1, "it was delivered");
        stage.check_numbers(&*ledger).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_stay_exact_whatever_goes_on_and_while_they_are_added_up() {
    let Some(stage) = Stage::open().await else { return };
    let options = || PostgresOptions { clean_up_every: Duration::from_millis(2), ..PostgresOptions::default() };
    let handles = [stage.ledger_with(options()).await, stage.ledger_with(options()).await];
    let work = |number: u64| {
        let ledger = handles[(number % 2) as usize].clone();
        let mut random = fastrand::Rng::with_seed(number);
        async move {
            for round in 0..40_u32 {
                let new = numbered(number as u32 * 1000 + round);
                let new = match random.u8(..4) {
                    0 => new.to("app"),
                    1 => new.parked("it is not JSON"),
                    _ => new.in_line("app", ["a", "b"][random.usize(..2)]).to("other"),
                };
                let id = new.id;
                assert_eq!(ledger.record(new).await, Ok(Recorded::Stored));
                let ask = Ask { owner: owner(number as u8), free: random.usize(..5), ..claim(0) };
                for leased in ledger.exchange(ask.exchange()).await.unwrap().claimed.deliveries {
                    let verdict = match random.u8(..4) {
                        0 => Verdict::Dead("over".into()),
                        1 => Verdict::Retry { after: Duration::ZERO, counts: true },
                        2 => Verdict::Released,
                        _ => Verdict::Delivered,
                    };
                    settle(&*ledger, leased.lease, verdict).await;
                }
                let (app, other) = (Arc::from("app"), Arc::from("other"));
                let dead = DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
                let dead = ledger.deliveries(dead, Page { limit: 5, ..all() }).await.unwrap();
                let dead = dead.into_iter().map(|record| record.id).collect();
                match random.u8(..9) {
                    0 => drop(ledger.redeliver(vec![id], None).await.unwrap()),
                    1 => drop(ledger.redeliver_dead(dead).await.unwrap()),
                    2 => drop(ledger.drop_dead(dead).await.unwrap()),
                    3 => drop(ledger.move_deliveries(other, app).await.unwrap()),
                    4 if round % 8 == 0 => drop(ledger.drop_deliveries(other).await.unwrap()),
                    5 => drop(ledger.prune(PRUNE()).await.unwrap()),
                    6 => drop(
                        ledger
                            .route(vec![(id, vec![NewDelivery { destination: app, order_key: None }])])
                            .await
                            .unwrap(),
                    ),
                    _ => {}
                }
            }
        }
    };
    for task in (0..6).map(|number| tokio::spawn(work(number))).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    stage.check_numbers(&*handles[0]).await;
    assert_eq!(stage.number(ORPHANS).await, 0);
    stage.until("the tallies are added up", "SELECT count(*) <= 3 FROM tallies").await;
    stage.check_numbers(&*handles[1]).await;
    // Of each line, the first is not held: nothing is stuck.
    let stuck = "
        SELECT count(*) FROM open WHERE state = 1 AND NOT EXISTS
        (SELECT FROM open AS first WHERE first.line = open.line AND first.state IN (0, 2))";
    assert_eq!(stage.number(stuck).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_many_goes_in_parts_and_does_each_once() {
    const MANY: u32 = 1050;
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    let ids =
        keep_all(&ledger, (0..MANY).map(|number| numbered(number).in_line("app", &format!("key {}", number % 7))))
            .await;
    while deliver_all(&*ledger, &Verdict::Dead("over".into())).await > 0 {}
    let dead: Vec<_> = ids.iter().map(|&id| delivery(id, 1)).collect();
    let twice = [dead.clone(), dead.clone()].concat();
    assert_eq!(ledger.redeliver_dead(twice.clone()).await, Ok(u64::from(MANY)));
    assert_eq!(stage.number("SELECT count(*) FROM open WHERE number = 2 AND redelivery_of = 1").await, i64::from(MANY));
    assert_eq!(stage.number("SELECT count(*) FROM open WHERE state = 0").await, 7, "the first of each line");
    // In each line they stand in the order in which they were named.
    let order = stage.session.query("SELECT event_id FROM open ORDER BY seq", &[]).await.unwrap();
    let order: Vec<_> = order.iter().map(|row| row.get::<_, uuid::Uuid>(0)).collect();
    assert_eq!(order, ids.iter().map(|id| uuid::Uuid::from_bytes(*id.as_bytes())).collect::<Vec<_>>());

    assert_eq!(ledger.redeliver([ids.clone(), ids].concat(), Some("app".into())).await, Ok(2 * u64::from(MANY)));
    assert_eq!(stage.number("SELECT count(*) FROM open WHERE number = 4 AND redelivery_of = 3").await, i64::from(MANY));
    while deliver_all(&*ledger, &Verdict::Dead("over".into())).await > 0 {}
    assert_eq!(ledger.drop_dead(twice).await, Ok(0), "the first ones are redelivered");
    let left = [2, 3, 4].map(|number| dead.iter().map(|id| delivery(id.event, number)).collect::<Vec<_>>());
    assert_eq!(ledger.drop_dead(left.concat()).await, Ok(3 * u64::from(MANY)));
    stage.check_numbers(&*ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_postgresql_cannot_hold_is_found_nowhere_and_refused_alone() {
    let Some(stage) = Stage::open().await else { return };
    let ledger = stage.ledger().await;
    let id = event(0).id;
    let long = "n".repeat(1 << 20);
    let named = |name: &str| NewEvent { name: name.into(), kind: None, ..event(0) };
    assert_eq!(
        ledger.record(named(&format!("\0{long}")).in_line("app", &format!("\0{long}"))).await,
        Ok(Recorded::Stored)
    );
    let kept = ledger.event(id).await.unwrap().unwrap();
    assert_eq!(
        (kept.record.name.len(), kept.deliveries[0].0.order_key.as_ref().unwrap().len()),
        ((1 << 20) + 1, (1 << 20) + 1)
    );
    assert_eq!(deliver_all(&*ledger, &Verdict::Dead(long.clone().into())).await, 1);
    assert_eq!(ledger.redeliver_dead(vec![delivery(id, 1)]).await, Ok(1));
    let kind = EventFilter { kind: Some(format!("\0{long}")), ..EventFilter::default() };
    assert_eq!(ledger.events(kind, all()).await.unwrap().len(), 1);

    let nowhere = "a\0b";
    let filter = EventFilter { endpoint: Some(nowhere.into()), ..EventFilter::default() };
    assert_eq!(ledger.events(filter, all()).await, Ok(vec![]));
    let filter = DeliveryFilter { destination: Some(nowhere.into()), ..DeliveryFilter::default() };
    assert_eq!(ledger.deliveries(filter, all()).await, Ok(vec![]));
    for filter in [
        RefusedFilter { endpoint: Some(nowhere.into()), code: None },
        RefusedFilter { endpoint: None, code: Some(nowhere.into()) },
    ] {
        assert_eq!(ledger.refused(filter, all()).await, Ok(vec![]));
    }
    assert_eq!(ledger.move_deliveries(nowhere.into(), "app".into()).await, Ok(0));
    assert_eq!(ledger.drop_deliveries(nowhere.into()).await, Ok(0));
    for destination in [nowhere, &long] {
        assert!(matches!(ledger.redeliver(vec![id], Some(destination.into())).await, Err(LedgerError::Failed(_))));
        assert!(matches!(ledger.move_deliveries("app".into(), destination.into()).await, Err(LedgerError::Failed(_))));
    }
    assert_eq!(
        ledger.move_deliveries("app".into(), "other".into()).await,
        Ok(1),
        "what can be done is done after that"
    );
    stage.check_numbers(&*ledger).await;
}
