//! What is asked all the time costs what it handles, however much there is: a million deliveries that are due, hundreds of thousands of
//! lines, one line that is very long, and dead rows that cannot be cleaned up.

use super::plans::Plans;
use super::stage::{Stage, keep_all, numbered};
use crate::ledger::contract::{Ask, Draft, attempt, claim};
use pylon_receiver::ledger::*;
use pylon_test_support::postgres::Cluster;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::IsolationLevel;

/// How many events are recorded, claimed or settled at once.
const BATCH: u32 = 64;
/// How many pages a statement may go through for each of them: some for each index, and for each level of its tree.
const PAGES_EACH: u64 = 60;

/// A million deliveries that are due, 300,000 that are the first of their line, and 50,000 behind the first of the line of "long". Those that
/// the test gets to have their events. Nothing is analyzed: PostgreSQL takes the tables for small ones.
const LOAD: &str = "
CREATE FUNCTION id_of(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$SELECT (lpad(to_hex(1600000000000 + number), 12, '0') || '70008000000000000000')::uuid$$;
INSERT INTO events (id, endpoint, name, kind, method, target, headers, body)
SELECT id_of(n), 'main', 'issue_new', 'issue_new', 'POST', '/', '', '{}' FROM generate_series(1, 100000) AS n;
INSERT INTO open (event_id, number, seq, destination, state, is_repeat, size, due_at)
SELECT id_of(n), 1, nextval('deliveries_seq'), 'app', 0, false, 2, n FROM generate_series(1, 1000000) AS n;
INSERT INTO open (event_id, number, seq, destination, order_key, line, state, is_repeat, size, due_at)
SELECT id_of(n), 2, nextval('deliveries_seq'), 'lines', n::text::bytea, n, 0, false, 2, n FROM generate_series(1, 300000) AS n;
INSERT INTO open (event_id, number, seq, destination, order_key, line, state, is_repeat, size, due_at)
SELECT id_of(n), 3, nextval('deliveries_seq'), 'lines', 'long', line, 1, false, 2, n
FROM generate_series(1, 50000) AS n, (SELECT line FROM open WHERE order_key = 'long') AS long;";

/// Pages that a statement has gone through.
fn pages(node: &Value) -> u64 {
    node["Shared Hit Blocks"].as_u64().unwrap() + node["Shared Read Blocks"].as_u64().unwrap()
}

/// Whether a table with deliveries or events is gone through as a whole, or for a bitmap.
fn goes_through_all(node: &Value) -> bool {
    let is_scan = matches!(node["Node Type"].as_str(), Some("Seq Scan" | "Bitmap Heap Scan"));
    is_scan && ["open", "events"].iter().any(|table| node["Relation Name"] == *table)
        || node["Plans"].as_array().into_iter().flatten().any(goes_through_all)
}

/// Every statement since the last call: by indexes, and no more pages than these. Returns the most pages of one statement.
#[track_caller]
fn check(plans: &Plans, what: &str, most: u64) -> u64 {
    let told = plans.told();
    assert!(!told.is_empty(), "{what}: no plan was told");
    for plan in &told {
        assert!(!goes_through_all(&plan.node), "{what}: {:#}\nof {}", plan.node, plan.query);
        let pages = pages(&plan.node);
        assert!(pages <= most, "{what}: {pages} pages, {most} at most: {:#}\nof {}", plan.node, plan.query);
    }
    told.iter().map(|plan| pages(&plan.node)).max().unwrap_or(0)
}

/// Events in these lines of "lines", each with a delivery to "app" too.
fn in_lines(from: u32, lines: impl Fn(u32) -> String) -> Vec<NewEvent> {
    (from..from + BATCH).map(|number| numbered(number).to("app").in_line("lines", &lines(number))).collect()
}

/// Leases as many as are in a batch.
async fn lease(ledger: &dyn Ledger, destination: &str) -> Vec<Lease> {
    let ask = Ask { free: BATCH as usize, destination: destination.into(), ..claim(0) };
    let leased = ledger.exchange(ask.exchange()).await.unwrap().claimed.deliveries;
    leased.iter().map(|leased| leased.lease).collect()
}

async fn settle(ledger: &dyn Ledger, destination: &str, leases: Vec<Lease>) {
    let settled = |lease| Settlement { lease, verdict: Verdict::Delivered, attempt: Some(attempt(200, "")) };
    let settlements: Vec<_> = leases.into_iter().map(settled).collect();
    let count = settlements.len();
    let exchange = Exchange { destination: destination.into(), settlements, claim: None };
    assert_eq!(ledger.exchange(exchange).await.unwrap().settled, vec![Settled::Recorded; count]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_that_are_due_make_nothing_dearer() {
    // Nobody but the test analyzes or cleans up.
    let Some(cluster) =
        Cluster::setup().with("autovacuum", "off").with("shared_buffers", "512MB").with("max_wal_size", "8GB").start()
    else {
        return;
    };
    let database = cluster.fresh_database();
    let stage = Stage::at(&cluster.url(&database)).await;
    let plans = Plans::of(&cluster, &stage.session).await;
    let options = PostgresOptions { clean_up_every: Duration::from_secs(3600), ..PostgresOptions::default() };
    let ledger: Arc<dyn Ledger> = stage.ledger_by(&plans.url(&database), options).await;
    // Everything is prepared while there is nothing.
    keep_all(&ledger, in_lines(0, |number| number.to_string())).await;
    keep_all(&ledger, [numbered(1000).in_line("lines", "long")]).await;
    for destination in ["app", "lines"] {
        let leases = lease(&*ledger, destination).await;
        assert_eq!(leases.len(), BATCH as usize);
        settle(&*ledger, destination, leases).await;
    }
    let few = u64::from(BATCH) * PAGES_EACH;
    check(&plans, "while there is little", few);
    stage.sql(LOAD).await;
    plans.told();
    let mut number = 2000;
    for is_analyzed in [false, true] {
        if is_analyzed {
            stage.sql("ANALYZE").await;
        }
        let what = |what: &str| format!("{what}, analyzed: {is_analyzed}");
        // In lines of their own, in lines of others, and in the long one.
        for of_line in
            [|number: u32| format!("new {number}"), |number: u32| (number % 64).to_string(), |_: u32| "long".to_owned()]
        {
            keep_all(&ledger, in_lines(number, of_line)).await;
            check(&plans, &what("recording"), few);
            number += BATCH;
        }
        for destination in ["app", "lines"] {
            let leases = lease(&*ledger, destination).await;
            assert_eq!(leases.len(), BATCH as usize);
            check(&plans, &what("a claim"), few);
            settle(&*ledger, destination, leases).await;
            check(&plans, &what("settling"), few);
        }
        // The first of the long line lets the next one go.
        stage.sql("UPDATE open SET due_at = -1 WHERE order_key = 'long' AND state = 0").await;
        let ask = Ask { free: 1, destination: "lines".into(), ..claim(0) };
        let leased = ledger.exchange(ask.exchange()).await.unwrap().claimed.deliveries.remove(0);
        settle(&*ledger, "lines", vec![leased.lease]).await;
        assert_eq!(stage.number("SELECT count(*) FROM open WHERE order_key = 'long' AND state = 0").await, 1);
        check(&plans, &what("the first of a long line"), few);
    }
    // Somebody has a snapshot: what ends from now on stays in the indexes, and the next claim goes past it.
    let mut other = stage.another_session().await;
    let snapshot = other.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await.unwrap();
    snapshot.batch_execute("SELECT FROM open LIMIT 1").await.unwrap();
    const GONE: u64 = 50_000;
    let ended = format!("DELETE FROM open WHERE destination = 'app' AND state = 0 AND due_at <= {GONE}");
    stage.sql(&ended).await;
    let leases = lease(&*ledger, "app").await;
    assert_eq!(leases.len(), BATCH as usize);
    let held_up = check(&plans, "a claim while others hold up the cleaning", few + GONE / 20);
    settle(&*ledger, "app", leases).await;
    check(&plans, "settling while others hold up the cleaning", few);
    snapshot.commit().await.unwrap();
    stage.sql("VACUUM open").await;
    let leases = lease(&*ledger, "app").await;
    assert_eq!(leases.len(), BATCH as usize);
    let cleaned = check(&plans, "a claim once it is cleaned up", few);
    assert!(cleaned < held_up, "{cleaned} {held_up}");
    ledger.close().await.unwrap();
}
