//! What is done and old is forgotten, and nothing else.

use super::*;

pub(crate) async fn what_is_unfinished_or_dead_is_spared<S: Subject>(desk: Desk<S>) {
    let waiting = desk.keep(event(0).numbered(1).to("log")).await;
    let delivering = desk.keep(event(0).numbered(2).in_line("app", "a")).await;
    let held = desk.keep(event(0).numbered(3).in_line("app", "a")).await;
    assert_eq!(desk.due(0).await, [delivery(delivering, 1)]);
    let half_done = desk.keep(event(0).numbered(4).to("app").to("log")).await;
    desk.end(0, Verdict::Delivered).await;
    let dead = desk.keep(event(0).numbered(5).to("app")).await;
    desk.end(0, Verdict::Dead("over".into())).await;
    let half_dead = desk.keep(event(0).numbered(6).to("app").to("app")).await;
    let leases: Vec<_> = desk.claim(claim(0)).await.deliveries.iter().map(|leased| leased.lease).collect();
    desk.settle(leases[0], 0, Verdict::Delivered).await;
    desk.settle(leases[1], 0, Verdict::Dead("over".into())).await;

    desk.keep(event(0).numbered(11)).await;
    let parked = desk.keep(event(0).numbered(12).parked("it is not JSON")).await;
    desk.keep(event(0).numbered(13).to("app")).await;
    desk.end(0, Verdict::Delivered).await;
    desk.keep(event(0).numbered(14).to("app")).await;
    let dropped = desk.end(0, Verdict::Dead("over".into())).await;
    desk.now(0).drop_dead(vec![dropped]).await.unwrap();
    desk.keep(event(0).numbered(15).to("app")).await;
    let redelivered = desk.end(0, Verdict::Dead("over".into())).await;
    desk.now(0).redeliver_dead(vec![redelivered]).await.unwrap();
    desk.end(0, Verdict::Delivered).await;

    assert_eq!(desk.prune(1, 0).await, 4);
    let spared = [waiting, delivering, held, half_done, dead, half_dead, parked];
    assert_eq!(desk.matching(EventFilter::default()).await, spared);
}

pub(crate) async fn an_event_as_old_as_the_bound_is_spared<S: Subject>(desk: Desk<S>) {
    let mut ids = Vec::new();
    for second in 0..3 {
        ids.push(desk.keep(event(second)).await);
    }
    assert_eq!(desk.prune(100, 100).await, 0);
    let ledger = desk.ledger();
    let prune = |kept_for| ledger.prune(Prune { owner: owner(1), kept_for });
    let forgot = |events| Ok(Pruned::Here { events, more: false });
    assert_eq!(prune(None).await, forgot(0), "for ever");
    assert_eq!(prune(Some(Duration::from_millis(99_000))).await, forgot(1));
    assert_eq!(desk.matching(EventFilter::default()).await, ids[1..]);
    assert_eq!(prune(Some(Duration::from_millis(98_999))).await, forgot(1));
    assert_eq!(desk.matching(EventFilter::default()).await, ids[2..]);
}

pub(crate) async fn many_are_forgotten_a_limited_number_at_a_call<S: Subject>(desk: Desk<S>) {
    let record = |number: u16| {
        let mut new = event(0).keyed(&format!("key-{number}"), None);
        let [high, low] = number.to_be_bytes();
        new.id = EventId::new(at(0), [0, 0, 0, 0, 0, 0, 0, 0, high, low]);
        if number.is_multiple_of(100) {
            new = new.to("app");
        }
        let ledger = desk.ledger();
        tokio::spawn(async move { ledger.record(new).await.unwrap() })
    };
    for task in (0..1300).map(record).collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), Recorded::Stored);
    }
    assert_eq!(desk.prune(1, 0).await, 1287);
    assert_eq!(desk.stats(1).await.events, 13);
}

pub(crate) async fn what_was_spared_is_forgotten_once_it_is_done<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    desk.keep(event(1)).await;
    assert_eq!(desk.prune(10, 0).await, 1);
    desk.end(10, Verdict::Delivered).await;
    assert_eq!(desk.prune(10, 0).await, 1);
    // One that came in late, before all that has been gone through.
    desk.keep(event(0).numbered(1)).await;
    assert_eq!(desk.prune(10, 0).await, 1);
    assert_eq!(desk.everything().await, []);
}

pub(crate) async fn nothing_of_a_forgotten_event_is_left<S: Subject>(desk: Desk<S>) {
    let forget = async || {
        let id = desk.keep(event(0).to("app")).await;
        let lease = desk.take(1).await.lease;
        desk.settle_with(lease, 1, Verdict::Delivered, attempt(200, "found 200")).await;
        assert_eq!(desk.prune(1, 0).await, 1);
        (id, lease)
    };
    let (id, lease) = forget().await;
    assert_eq!(desk.ledger().event(id).await, Ok(None));
    assert_eq!(desk.ledger().events(EventFilter::default(), all()).await, Ok(vec![]));
    assert_eq!(desk.ledger().deliveries(DeliveryFilter::default(), all()).await, Ok(vec![]));
    assert_eq!(desk.settle(lease, 2, Verdict::Released).await, Settled::Fenced);
    assert_eq!(desk.ledger().renew(vec![lease], Duration::from_secs(9)).await, Ok(vec![false]));
    for destination in [None, Some("app".into())] {
        assert_eq!(desk.now(2).redeliver(vec![id], destination).await, Ok(0));
    }
    assert_eq!((desk.stats(2).await.events, desk.stats(2).await.destinations), (0, vec![]));
    // What comes next does not inherit from it.
    let again = desk.keep(event(0).to("app")).await;
    assert_eq!(desk.event(again).await.deliveries[0].1, []);
    assert_eq!(desk.take(2).await.attempt, 1);
}

pub(crate) async fn one_owner_prunes_and_another_takes_over<S: Subject>(mut desk: Desk<S>) {
    let old = |number: u16| {
        let [high, low] = number.to_be_bytes();
        NewEvent { id: EventId::new(at(0), [0, 0, 0, 0, 0, 0, 0, 0, high, low]), ..event(0) }
    };
    for number in 0..1100 {
        desk.keep(old(number)).await;
    }
    let prune = |number| Prune { owner: owner(number), kept_for: Some(Duration::ZERO) };
    let first = desk.now(10).prune(prune(1)).await.unwrap();
    let Pruned::Here { events: forgotten, .. } = first else { panic!("nobody else prunes") };
    assert_eq!(desk.second().prune(prune(2)).await, Ok(Pruned::Elsewhere));
    assert_eq!(desk.stats(10).await.events, 1100 - forgotten);
    // The first one does not come again, and the place is kept through a crash.
    desk.crash().await;
    let mut all = forgotten;
    while let Pruned::Here { events, more } = desk.now(10_000).prune(prune(2)).await.unwrap() {
        all += events;
        if !more {
            break;
        }
    }
    assert_eq!((all, desk.stats(10_000).await.events), (1100, 0));
    assert_eq!(desk.ledger().prune(prune(1)).await, Ok(Pruned::Elsewhere));
    // An owner that stops gives the chore back.
    desk.ledger().release(owner(2)).await.unwrap();
    assert_eq!(desk.ledger().prune(prune(1)).await, Ok(Pruned::Here { events: 0, more: false }));
}
