//! Others in the way: deadlocks and the like are tried again at once, a bounded number of times.

use super::place::Place;
use crate::ledger::contract::{Draft, claim, event};
use pylon_receiver::ledger::*;
use std::time::Duration;
use tokio::time::timeout;

/// How many sessions wait until a transaction ends.
const LOCKED: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";

fn settle(leases: impl Iterator<Item = Lease>) -> Exchange {
    let settlement = |lease| Settlement { lease, verdict: Verdict::Delivered, attempt: None };
    Exchange { destination: "app".into(), settlements: leases.map(settlement).collect(), claim: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_tried_again_at_once() {
    let Some(place) = Place::new().await else { return };
    for number in 0..2 {
        place.desk.keep(event(0).numbered(number).to("app")).await;
    }
    let leased = place.desk.claim(claim(0)).await.deliveries;
    // Somebody who takes locks in another order. The ledger is the first to see the deadlock.
    let stranger = place.desk.subject().beside().await;
    stranger.batch_execute("SET deadlock_timeout = '1h'; BEGIN").await.unwrap();
    let lock = |number: usize| {
        format!("SELECT 1 FROM open WHERE event_id = '{}' FOR UPDATE", leased[number].lease.delivery.event)
    };
    stranger.batch_execute(&lock(1)).await.unwrap();
    let (ledger, exchange) = (place.desk.ledger(), settle(leased.iter().map(|leased| leased.lease)));
    let settled = tokio::spawn(async move { ledger.exchange(exchange).await });
    place.until(LOCKED, 1).await;
    stranger.batch_execute(&lock(0)).await.unwrap();
    stranger.batch_execute("COMMIT").await.unwrap();
    assert_eq!(settled.await.unwrap().unwrap().settled, [Settled::Recorded; 2]);
    assert_eq!(place.count("SELECT count(*) FROM finished").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_waits_for_no_commit_that_is_held_up() {
    /// Less than what a commit waits for a lock.
    const SOON: Duration = Duration::from_secs(2);
    let Some(place) = Place::new().await else { return };
    let stranger = place.desk.subject().beside().await;
    let take =
        "BEGIN; INSERT INTO deduplication_keys (endpoint, key, event_id) VALUES ('main', 'key', gen_random_uuid())";
    stranger.batch_execute(take).await.unwrap();
    let (ledger, held) = (place.desk.ledger(), event(0).keyed("key", None));
    let held = tokio::spawn(async move { ledger.record(held).await });
    place.until(LOCKED, 1).await;
    let other = timeout(SOON, place.desk.ledger().record(event(1))).await;
    assert_eq!(other, Ok(Ok(Recorded::Stored)), "while the first one still waits");
    stranger.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(held.await.unwrap(), Ok(Recorded::Stored));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_again_and_again_is_given_up() {
    let Some(place) = Place::new().await else { return };
    for number in 0..2 {
        place.desk.keep(event(0).numbered(number).to("app")).await;
    }
    let leases: Vec<_> = place.desk.claim(claim(0)).await.deliveries.iter().map(|leased| leased.lease).collect();
    let beside = place.desk.subject().beside().await;
    let fail = "
        CREATE SEQUENCE tries;
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') <= (SELECT last_value FROM most) THEN
                RAISE EXCEPTION 'others were in the way' USING ERRCODE = 'serialization_failure';
            END IF;
            RETURN OLD;
        END $$;
        CREATE TRIGGER fail BEFORE DELETE ON open FOR EACH ROW EXECUTE FUNCTION fail();
        CREATE SEQUENCE most;";
    beside.batch_execute(fail).await.unwrap();
    beside.batch_execute("SELECT setval('most', 4)").await.unwrap();
    let settled = place.desk.ledger().exchange(settle(leases[..1].iter().copied())).await.unwrap().settled;
    assert_eq!(settled, [Settled::Recorded], "four times in vain");
    beside.batch_execute("SELECT setval('most', 1000000)").await.unwrap();
    let before = place.count("SELECT last_value FROM tries").await;
    let answer = place.desk.ledger().exchange(settle(leases[1..].iter().copied())).await;
    assert!(matches!(answer, Err(LedgerError::Unreachable(_))), "{answer:?}");
    assert_eq!(place.count("SELECT last_value FROM tries").await, before + 5, "five times, not for ever");
    beside.batch_execute("SELECT setval('most', 1)").await.unwrap();
    let settled = place.desk.ledger().exchange(settle(leases[1..].iter().copied())).await.unwrap().settled;
    assert_eq!(settled, [Settled::Recorded], "the courier asks again");
}
