//! Days of events go through a ledger on PostgreSQL, in and out: how large its tables become.
//!
//! cargo run --release -p pylon-receiver --features postgres --example retention -- [EVENTS A DAY] [DAYS]
//!
//! Each event has an order key and a deduplication key, is delivered once, and is forgotten a day later. A day takes as long as the events
//! take; so autovacuum looks every second, far more rarely for its day than the once a minute that is usual.

use futures_util::future::join_all;
use pylon_receiver::ledger::{
    Claim, DeduplicationKey, Exchange, Ledger, NewAttempt, NewDelivery, NewEvent, Owner, PostgresLedger,
    PostgresOptions, Prune, Pruned, Recorded, Settlement, Verdict,
};
use pylon_receiver::{EventId, Headers, Moment, PostgresAddress, SystemRandomness, SystemWallClock, WallClock};
use pylon_test_support::postgres::Cluster;
use pylon_webhooks::Payload;
use pylon_webhooks::testing::verified;
use std::time::{Duration, Instant};

/// Parts of a day: after each, what is a day old is forgotten.
const PARTS: u64 = 20;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let (day, days) = (arguments.next().unwrap_or(100_000), arguments.next().unwrap_or(4));
    let Some(cluster) = Cluster::setup().durable().with("autovacuum_naptime", "1s").start() else { return };
    let database = cluster.fresh_database();
    let url = cluster.url(&database);
    let address: PostgresAddress = url.parse().expect("the address of the cluster");
    let options = PostgresOptions { clean_up_every: Duration::from_millis(500), ..PostgresOptions::default() };
    let ledger = PostgresLedger::connect(&address, options).await.expect("a ledger");
    let owner = Owner::random(&SystemRandomness);

    println!("{day} events a day, {days} days; sizes in MB after each day, with indexes and TOAST");
    for number in 0..days {
        let began = Instant::now();
        let mut forgotten = 0;
        for _ in 0..PARTS {
            let arrived_at = SystemWallClock.now();
            let part: Vec<_> = (0..day / PARTS).map(|_| event(arrived_at)).collect();
            for together in part.chunks(1000) {
                for recorded in join_all(together.iter().map(|event| ledger.record(event.clone()))).await {
                    assert_eq!(recorded, Ok(Recorded::Stored));
                }
            }
            deliver_all(&ledger, owner).await;
            // The oldest part beyond a day.
            forgotten += forget(&ledger, &cluster, &database, owner, day).await;
        }
        let stats = ledger.stats().await.expect("the numbers");
        println!(
            "day {}: {} events kept, {forgotten} forgotten, {:.1} s; {}",
            number + 1,
            stats.events,
            began.elapsed().as_secs_f64(),
            sizes(&cluster, &database)
        );
    }
}

/// An event with a body of about a kilobyte that cannot be compressed.
fn event(arrived_at: Moment) -> NewEvent {
    let random = |length: usize| (0..length).map(|_| format!("{:016x}", fastrand::u64(..))).collect::<String>();
    let body = format!("{{\"event_type\": \"issue_new\", \"text\": \"{}\"}}", random(60));
    NewEvent {
        id: EventId::new(arrived_at, std::array::from_fn(|_| fastrand::u8(..))),
        endpoint: "main".into(),
        name: "issue_new".into(),
        kind: Some("issue_new".into()),
        method: "POST".into(),
        target: "/pylon".into(),
        query: None,
        headers: Headers::from_stored("content-type: application/json\nuser-agent: Pylon\n"),
        passed: Vec::new(),
        body: verified(Payload::from(body.into_bytes())),
        parked: None,
        deduplication: Some(DeduplicationKey { key: random(4).into(), lasts: None }),
        deliveries: vec![NewDelivery {
            destination: "app".into(),
            order_key: Some(fastrand::u16(..).to_string().into()),
        }],
    }
}

async fn deliver_all(ledger: &PostgresLedger, owner: Owner) {
    let mut settlements = Vec::new();
    loop {
        let claim = Claim {
            owner,
            lease: Duration::from_secs(60),
            free: 256,
            ahead: 0,
            ahead_bytes: 1 << 20,
            repeats_first: 0,
            most_repeats: 256,
            latest_first: false,
            most_attempts: 10,
        };
        let exchange = Exchange { destination: "app".into(), settlements, claim: Some(claim) };
        let leased = ledger.exchange(exchange).await.expect("an exchange").claimed.deliveries;
        if leased.is_empty() {
            return;
        }
        let attempt = || NewAttempt {
            took: Duration::from_millis(5),
            status: Some(200),
            detail: "found 200".into(),
            code: "ok".into(),
            answer: None,
        };
        let settle = |lease| Settlement { lease, verdict: Verdict::Delivered, attempt: Some(attempt()) };
        settlements = leased.into_iter().map(|leased| settle(leased.lease)).collect();
    }
}

/// Forgets what is behind the newest day.
async fn forget(ledger: &PostgresLedger, cluster: &Cluster, database: &str, owner: Owner, day: u64) -> u64 {
    // How old the oldest of the newest day is.
    let age = format!(
        "SELECT coalesce(max(extract(epoch FROM now()) * 1000 - ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint), 0)::bigint
         FROM (SELECT id FROM pylon_receiver.events ORDER BY id DESC LIMIT {day}) AS newest"
    );
    let age: u64 = cluster.sql(database, &age).parse().expect("an age");
    // Time goes on meanwhile; the next older part arrived seconds before.
    let prune = Prune { owner, kept_for: Some(Duration::from_millis(age + 500)) };
    let mut forgotten = 0;
    while let Pruned::Here { events, more } = ledger.prune(prune).await.expect("events are forgotten") {
        forgotten += events;
        if !more {
            break;
        }
    }
    forgotten
}

fn sizes(cluster: &Cluster, database: &str) -> String {
    let sizes = "
        SELECT string_agg(format('%s %s', relname, round(pg_total_relation_size(oid) / 1e6, 1)), ', ' ORDER BY relname)
            || format('; all %s', round(sum(pg_total_relation_size(oid)) / 1e6, 1))
        FROM pg_class WHERE relnamespace = 'pylon_receiver'::regnamespace AND relkind = 'r' AND pg_total_relation_size(oid) > 1e6";
    cluster.sql(database, sizes)
}
