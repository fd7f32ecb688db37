//! In an emergency a receiver is started on the spool: it is a ledger like any other, and becomes a spool again.

use super::*;
use crate::ledger::contract::{Draft, claim, delivery, event};
use pylon_receiver::DeliveryId;

fn open(stage: &Stage) -> SqliteLedger {
    let options = SqliteOptions { clock: Arc::new(stage.clock.clone()), ..SqliteOptions::default() };
    SqliteLedger::open(stage.path(), options).unwrap()
}

async fn leased(ledger: &SqliteLedger) -> Vec<(DeliveryId, Lease)> {
    let claimed = ledger.exchange(claim(0).exchange()).await.unwrap().claimed.deliveries;
    claimed.into_iter().map(|leased| (leased.lease.delivery, leased.lease)).collect()
}

async fn end(ledger: &SqliteLedger, lease: Lease, verdict: Verdict) {
    let settlements = vec![Settlement { lease, verdict, attempt: None }];
    let exchange = Exchange { destination: "app".into(), settlements, claim: None };
    assert_eq!(ledger.exchange(exchange).await.unwrap().settled, [Settled::Recorded]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_started_on_the_spool_delivers_and_what_it_did_not_deliver_is_handed_over_later() {
    let stage = Stage::patient();
    stage.beyond.away();
    let ledger = stage.start().await;
    let ids = [
        keep(&ledger, event(0).in_line("app", "line")).await,
        keep(&ledger, event(1).in_line("app", "line").to("log")).await,
        keep(&ledger, event(2).in_line("app", "line")).await,
        keep(&ledger, event(3).to("app").keyed("a", Some(1000))).await,
        keep(&ledger, event(4).to("app")).await,
    ];
    ledger.close().await.unwrap();
    drop(ledger);

    let emergency = open(&stage);
    assert_eq!(emergency.stats().await.unwrap().events, 5);
    assert_eq!(emergency.record(event(9).keyed("a", None)).await, Ok(Recorded::Duplicate(ids[3])));
    let due = leased(&emergency).await;
    assert_eq!(due.iter().map(|due| due.0).collect::<Vec<_>>(), [0, 3, 4].map(|place| delivery(ids[place], 1)));
    end(&emergency, due[0].1, Verdict::Delivered).await;
    end(&emergency, due[1].1, Verdict::Dead("over".into())).await;
    // The third stays leased, and the line goes on.
    assert_eq!(leased(&emergency).await[0].0, delivery(ids[1], 1));
    emergency.record(event(10).in_line("app", "line")).await.unwrap();
    emergency.close().await.unwrap();
    drop(emergency);

    stage.beyond.turn(Way::Up);
    let ledger = stage.start().await;
    direct(&ledger).await;
    assert_eq!(stage.beyond.kept(), [&ids[..], &[event(10).id]].concat());
    let deliveries = ledger.deliveries(DeliveryFilter::default(), all()).await.unwrap();
    let left: Vec<_> = deliveries.iter().map(|it| (it.id.event, &*it.destination, it.state)).collect();
    use DeliveryState::{Held, Waiting};
    // The first was delivered. The dead one is tried once more: nobody has decided about it.
    let expected = [
        (ids[1], "app", Waiting),
        (ids[1], "log", Waiting),
        (ids[2], "app", Held),
        (ids[3], "app", Waiting),
        (ids[4], "app", Waiting),
        (event(10).id, "app", Held),
    ];
    assert_eq!(left, expected);
    assert_eq!((status(&ledger).events, status(&ledger).bytes), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_handed_over_leaves_the_spool_a_sound_ledger() {
    let stage = Stage::new();
    stage.beyond.away();
    let ledger = stage.start().await;
    let mut ids = Vec::new();
    for second in 0..10 {
        ids.push(keep(&ledger, event(second).in_line("app", "line").in_line("log", "line").parked("so")).await);
    }
    stage.beyond.away_after(4);
    until("some are handed over", || status(&ledger).handed_over == 4).await;
    ledger.close().await.unwrap();
    drop(ledger);
    let emergency = open(&stage);
    let stats = emergency.stats().await.unwrap();
    let of = |destination: &str| stats.destinations.iter().find(|it| it.destination == destination).cloned().unwrap();
    assert_eq!((stats.events, stats.parked), (6, 6));
    assert_eq!((of("app").waiting, of("app").held, of("log").waiting, of("log").held), (1, 5, 1, 5));
    for &id in &ids[4..] {
        let [(due, lease)] = leased(&emergency).await.try_into().unwrap();
        assert_eq!(due, delivery(id, 1));
        end(&emergency, lease, Verdict::Delivered).await;
    }
}
