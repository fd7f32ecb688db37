//! How PostgreSQL goes about what a record and an exchange ask: by its indexes, whatever it knows of the tables.

use super::place::{Place, database};
use super::plans::{Plan, Plans};
use super::proxy::Commit;
use crate::ledger::contract::{Ask, Draft, attempt, claim, event, owner, retry};
use pylon_receiver::ledger::*;
use pylon_test_support::postgres::Cluster;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Tables that grow; the others have a few rows.
const TABLES: [&str; 5] = ["open", "events", "finished", "attempts", "deduplication_keys"];
/// What a scan that is switched off is thought to cost. Plans that cost much are compiled before they run, which takes longer than they do.
const SWITCHED_OFF: f64 = 1e10;

/// Many more of everything, in the order in which they would come: due, failed, leased by somebody whose time is over, held.
const MANY: &str = "
INSERT INTO open (event_id, number, seq, destination, line, state, is_repeat, interruptions, size, due_at, token, lease_until, owner)
SELECT id, 1, nextval('deliveries_seq'), CASE WHEN n % 7 = 0 THEN 'other' ELSE 'app' END, CASE WHEN n % 5 = 3 THEN n / 50 END,
    CASE n % 5 WHEN 2 THEN 2 WHEN 3 THEN 1 ELSE 0 END, n % 5 = 1, n % 11 / 10, 10, tick() - 1000 - n,
    CASE WHEN n % 5 = 2 THEN n END, CASE WHEN n % 5 = 2 THEN tick() - 1 END, CASE WHEN n % 5 = 2 THEN gen_random_uuid() END
FROM (SELECT gen_random_uuid() AS id, n FROM generate_series(1, 5000) AS n) AS many;
INSERT INTO events (id, endpoint, name, method, target, headers, body)
SELECT event_id, 'main', 'a', 'POST', '/', '', '{}' FROM open ON CONFLICT DO NOTHING;
INSERT INTO deduplication_keys (endpoint, key, event_id) SELECT 'main', id::text, id FROM events ON CONFLICT DO NOTHING;
ANALYZE events, open, deduplication_keys;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_found_by_an_index() {
    let Some(place) = Place::new().await else { return };
    let beside = place.desk.subject().beside().await;
    let plans = Plans::of(Cluster::shared().unwrap(), &beside).await;
    let ledger = place.desk.subject().by(&plans.url(database()), PostgresOptions::default()).await;
    plans.told();
    for number in 0..30 {
        place.desk.keep(event(0).numbered(number).in_line("app", &(number / 2).to_string())).await;
        place.desk.keep(event(0).numbered(100 + number).to("app")).await;
    }
    let few = all_that_is_asked(&place, &ledger, &plans, 0).await;
    beside.batch_execute(MANY).await.unwrap();
    let many = all_that_is_asked(&place, &ledger, &plans, 10).await;
    for seen in [few, many] {
        let expected = [
            "attempts_pkey",
            "deduplication_keys_pkey",
            "events_pkey",
            "finished_pkey",
            "open_due",
            "open_leased",
            "open_line",
            "open_pkey",
        ];
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), expected, "the indexes");
    }
    plans.end(&beside).await;
}

/// Has the ledger do all that couriers ask; says which indexes it goes by.
async fn all_that_is_asked(place: &Place, ledger: &Arc<dyn Ledger>, plans: &Plans, now: i64) -> BTreeSet<String> {
    place.desk.now(now);
    all_that_is_recorded(ledger, now).await;
    let ask = Ask { free: 3, ahead: 2, repeats_first: 1, most_repeats: 2, most_attempts: 1, ..claim(now) };
    let mut settlements = Vec::new();
    let mut verdicts =
        [Verdict::Delivered, retry(0), Verdict::Dead("over".into()), Verdict::Released].into_iter().cycle();
    for round in 0..8 {
        let latest_first = round % 2 == 1;
        let exchange = Exchange { settlements, ..Ask { latest_first, ..ask.clone() }.exchange() };
        let claimed = ledger.exchange(exchange).await.unwrap().claimed;
        let leases: Vec<_> = claimed.deliveries.iter().map(|leased| leased.lease).collect();
        assert_eq!(ledger.renew(leases.clone(), Duration::from_secs(60)).await, Ok(vec![true; leases.len()]));
        let settle = |lease| Settlement { lease, verdict: verdicts.next().unwrap(), attempt: Some(attempt(200, "")) };
        settlements = leases.into_iter().map(settle).collect();
    }
    assert!(!settlements.is_empty(), "there is something to lose");
    // Of what is lost it asks what came of it.
    plans.proxy().next_commit(Commit::AnswerCut);
    let exchange = Exchange { settlements, ..ask.exchange() };
    ledger.exchange(exchange.clone()).await.unwrap_err();
    ledger.exchange(exchange).await.unwrap();
    ledger.release(owner(1)).await.unwrap();
    let mut indexes = BTreeSet::new();
    for Plan { query, node } in plans.told() {
        check(&node, &query, &mut indexes);
    }
    indexes
}

/// Has the ledger keep events of all kinds.
async fn all_that_is_recorded(ledger: &Arc<dyn Ledger>, now: i64) {
    let (second, key) = (5000 + 100 * now, now.to_string());
    let first = event(second).to("recorded").keyed(&key, None);
    let has_passed = NewEvent { passed: vec![first.id], ..event(second + 1).to("recorded") };
    for (event, expected) in [
        (first.clone(), Recorded::Stored),
        (event(second + 2).keyed(&key, None), Recorded::Duplicate(first.id)),
        (has_passed, Recorded::Looped(first.id)),
        (event(second + 3).in_line("recorded", &key), Recorded::Stored),
        (event(second + 4).in_line("recorded", &key), Recorded::Stored),
        (first, Recorded::Stored),
    ] {
        assert_eq!(ledger.record(event).await, Ok(expected));
    }
}

/// Each table that grows is gone through by a part of an index. All leases that there are may be gone through for an owner.
fn check(node: &Value, query: &str, indexes: &mut BTreeSet<String>) {
    // Other tables have a few rows, and are gone through as a whole.
    let is_of_tables = TABLES.iter().any(|table| query.contains(table));
    assert!(!is_of_tables || node["Total Cost"].as_f64().unwrap() < SWITCHED_OFF, "{node:#}\nof {query}");
    let is_scan = node["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Scan"));
    if is_scan && TABLES.iter().any(|table| node["Relation Name"] == *table) {
        let is_of_owner = node["Index Name"] == "open_leased"
            && node["Filter"].as_str().is_some_and(|filter| filter.contains("owner"));
        assert!(node["Index Cond"].is_string() || is_of_owner, "{node:#}\nof {query}");
        indexes.insert(node["Index Name"].as_str().unwrap_or_else(|| panic!("{node:#}\nof {query}")).to_owned());
    }
    if node["Node Type"] == "LockRows" {
        let sorted = &node["Plans"][0]["Node Type"];
        assert!(*sorted != "Sort" || query.contains("owner = $1"), "{node:#}\nof {query}");
    }
    for part in node["Plans"].as_array().into_iter().flatten() {
        check(part, query, indexes);
    }
}
