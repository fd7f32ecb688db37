//! Receivers whose listener is lost, hears nothing, or is not read: they find out, and nobody else waits for them.

use super::place::Place;
use super::record;
use super::stage::Stage;
use crate::ledger::contract::{Draft, event};
use pylon_receiver::ledger::*;
use pylon_test_support::postgres::Cluster;
use pylon_test_support::proxy::{Proxy, Way};
use std::time::{Duration, Instant};

/// How soon a courier looks that is woken as it should be.
const SOON: Duration = Duration::from_secs(1);
/// How long it may take until a receiver knows that it hears nothing: a message to itself is sent every ten seconds, and has five.
const KNOWN_WITHIN: Duration = Duration::from_secs(17);

/// Waits until the wake comes; says how long that took.
async fn woken(wakes: &mut Wakes, expected: &Wake) -> Duration {
    let began = Instant::now();
    let heard = async { while wakes.next().await.as_ref() != Some(expected) {} };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("it is woken");
    began.elapsed()
}

fn at(destination: &str) -> Wake {
    Wake::At(destination.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_lost_is_replaced_and_everybody_looks() {
    let Some(stage) = Stage::open().await else { return };
    let others = stage.ledger().await;
    let name = format!("lost_{:016x}", fastrand::u64(..));
    let ledger = stage.ledger_called(&name).await;
    let (mut wakes, mut of_others) = (ledger.wakes(), others.wakes());
    for round in 0..3 {
        let end = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE '{name} listen %'"
        );
        assert_eq!(stage.number(&end).await, 1, "it has one listener");
        let took = woken(&mut wakes, &Wake::Everywhere).await;
        assert!(took < SOON, "round {round}: {took:?}");
        // From now on it hears again, as the others do all the time.
        let destination = format!("round {round}");
        others.record(event(round).to(&destination)).await.unwrap();
        for (who, wakes) in [("it", &mut wakes), ("the others", &mut of_others)] {
            let took = woken(wakes, &at(&destination)).await;
            assert!(took < SOON, "round {round}: {who} after {took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hears_nothing_is_replaced_and_everybody_looks() {
    let Some(place) = Place::new().await else { return };
    let others = place.desk.ledger();
    let (mut wakes, mut of_others) = (place.behind.wakes(), others.wakes());
    place.proxy.mute(true);
    let began = Instant::now();
    others.record(event(0).to("unheard")).await.unwrap();
    assert!(woken(&mut of_others, &at("unheard")).await < SOON, "nobody else is deaf");
    // It still tells the others.
    place.behind.record(event(1).to("heard")).await.unwrap();
    assert!(woken(&mut of_others, &at("heard")).await < SOON);
    woken(&mut wakes, &Wake::Everywhere).await;
    assert!(began.elapsed() < KNOWN_WITHIN, "{:?}", began.elapsed());
    place.proxy.mute(false);
    others.record(event(2).to("again")).await.unwrap();
    assert!(woken(&mut wakes, &at("again")).await < SOON);
}

/// A receiver that is stopped, or whose network is gone: what it is told stays on the server until the connection has no room for it. From
/// then on its session has a snapshot, behind which nothing can be cleaned up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_read_holds_up_nobody_for_long() {
    let Some(cluster) = Cluster::setup().tcp().start() else { return };
    let database = cluster.fresh_database();
    let stage = Stage::at(&cluster.url(&database)).await;
    let proxy = Proxy::to(cluster.port());
    let own = cluster.tcp_url(&database).replace(&format!(":{}/", cluster.port()), &format!(":{}/", proxy.port()));
    let stuck = stage.ledger_by(&format!("{own}?application_name=stuck"), PostgresOptions::default()).await;
    let (ledger, others) = (stage.ledger().await, stage.ledger().await);
    let mut of_others = others.wakes();
    proxy.turn(Way::Swallow);
    let channel: String = stage
        .session
        .query_one("SELECT 'pylon_receiver_' || replace(id::text, '-', '') FROM ledger", &[])
        .await
        .unwrap()
        .get(0);
    let teller = stage.another_session().await;
    let is_stuck = "SELECT count(*) = 1 FROM pg_stat_activity
        WHERE application_name LIKE 'stuck listen %' AND wait_event = 'ClientWrite' AND backend_xmin IS NOT NULL";
    let tell = format!("SELECT pg_notify('{channel}', n || repeat('x', 7000)) FROM generate_series(1, 3000) AS n");
    teller.batch_execute(&tell).await.unwrap();
    stage.until("the listener has no room", is_stuck).await;
    let began = Instant::now();
    // The others are woken, and work.
    for second in 0..3 {
        let destination = format!("told {second}");
        ledger.record(event(second).to(&destination)).await.unwrap();
        let took = woken(&mut of_others, &at(&destination)).await;
        assert!(took < SOON, "{took:?}");
    }
    let is_held = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'stuck listen %' AND backend_xmin IS NOT NULL";
    stage.until("its session is ended", is_held).await;
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    // The network is back.
    proxy.turn(Way::Pass);
    let mut wakes = stuck.wakes();
    super::until_it_works(|| record(&*stuck, 100)).await;
    woken(&mut wakes, &Wake::Everywhere).await;
    ledger.record(event(200).to("after")).await.unwrap();
    assert!(woken(&mut wakes, &at("after")).await < SOON);
}
