//! What lists and orders cost, in rows: as much as they tell or change, however many there are.

use super::stage::Stage;
use crate::ledger::by_hand::ByHand;
use crate::ledger::contract::{delivery, owner};
use pylon_receiver::ledger::*;
use pylon_receiver::{EventId, Moment};
use pylon_test_support::postgres::Cluster;
use std::time::Duration;

/// Many of everything, put in by SQL: events, each delivered to "app"; of some a dead delivery to "rare", of some one that waits there, and of
/// every tenth one that waits at "busy", in one of a hundred lines.
const FILL: &str = "
    INSERT INTO events (id, endpoint, name, kind, method, target, headers, body)
    SELECT id_of(number), 'main', 'issue_new', 'issue_new', 'POST', '/', '', '{}' FROM generate_series(1, 60000) AS number;
    INSERT INTO finished (event_id, number, destination, state, attempts, finished_at)
    SELECT id_of(number), 1, 'app', 3, 1, 0 FROM generate_series(1, 60000) AS number;
    INSERT INTO attempts (event_id, number, attempt, started_at, took_ms, detail)
    SELECT id_of(number), 1, 1, 0, 1, '' FROM generate_series(1, 60000) AS number;
    INSERT INTO finished (event_id, number, destination, state, attempts, finished_at)
    SELECT id_of(number), 2, 'rare', 4, 1, 0 FROM generate_series(501, 60000, 1000) AS number;
    INSERT INTO open (event_id, number, seq, destination, state, is_repeat, size, due_at)
    SELECT id_of(number), 3, nextval('deliveries_seq'), 'rare', 0, false, 2, 0 FROM generate_series(1000, 60000, 1000) AS number;
    INSERT INTO open (event_id, number, seq, destination, order_key, line, state, is_repeat, size, due_at)
    SELECT id_of(number), 4, nextval('deliveries_seq'), 'busy', '', number / 10 % 100, (number > 1000)::integer, false, 2, 0
    FROM generate_series(10, 60000, 10) AS number;
    INSERT INTO deduplication_keys (endpoint, key, event_id, expires_at)
    SELECT 'main', number::text, id_of(number), CASE WHEN number % 2 = 0 THEN 9e15 END FROM generate_series(1, 60000) AS number;
    INSERT INTO tallies (destination, events, waiting, held, dead)
    VALUES ('', 60000, 0, 0, 0), ('rare', 0, 60, 0, 60), ('busy', 0, 100, 5900, 0);
    ANALYZE";

/// The id of the event with this number: a second after the one before it.
const ID_OF: &str = "
    CREATE FUNCTION id_of(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$SELECT (lpad(to_hex(1600000000000 + 1000 * number), 12, '0') || '70008000000000000000')::uuid$$";

fn id(number: i64) -> EventId {
    EventId::first_at(moment(number))
}

fn moment(number: i64) -> Moment {
    Moment::from_unix_milliseconds(1_600_000_000_000 + 1000 * number)
}

/// What was read from a table in all: rows one after the other, and entries of indexes.
const READ: &str = "
    SELECT sum(seq_scan)::bigint, sum(idx_tup_read)::bigint FROM (
        SELECT seq_scan, 0 AS idx_tup_read FROM pg_stat_user_tables
        WHERE schemaname = current_schema() AND relname IN ('events', 'open', 'finished', 'attempts', 'deduplication_keys')
        UNION ALL
        SELECT 0, idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = current_schema()
    ) AS read";

/// Asks a ledger of its own; says how many scans of whole tables that took, and how many entries of indexes.
async fn cost<T>(stage: &Stage, name: &str, ask: impl AsyncFnOnce(&dyn Ledger) -> T) -> (T, i64, i64) {
    let read = async || {
        let row = stage.session.query_one(READ, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    stage.sql("SELECT pg_stat_force_next_flush()").await;
    let before = read().await;
    let ledger = stage.ledger_called(name).await;
    let answer = ask(&*ledger).await;
    ledger.close().await.unwrap();
    // A session tells what it has read when it ends.
    let ended = format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE '{name} %'");
    stage.until("its sessions have ended", &ended).await;
    let after = read().await;
    (answer, after.0 - before.0, after.1 - before.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_orders_read_what_they_need_and_no_whole_table() {
    // Nobody else is at work on this server.
    let Some(cluster) = Cluster::start() else { return };
    let stage = Stage::at(&cluster.url(&cluster.fresh_database())).await;
    stage.sql(ID_OF).await;
    stage.sql(FILL).await;
    let page = |order| Page { after: None, limit: 50, order };
    let behind = |number: i64, order| Page { after: Some(id(number)), limit: 50, order };

    // Each: what it is called, how many index entries it may read, what it asks.
    macro_rules! check {
        ($($name:literal, at most $most:literal, $answer:expr => |$ledger:ident| $ask:expr;)*) => {$({
            let (answer, scans, entries) = cost(&stage, $name, async |$ledger: &dyn Ledger| $ask).await;
            assert_eq!(answer, $answer, $name);
            assert_eq!(scans, 0, "{}: no table is read as a whole", $name);
            assert!(entries <= $most, "{}: {entries} entries of indexes were read, {} at most are needed", $name, $most);
        })*};
    }
    let events = async |ledger: &dyn Ledger, filter, page| ledger.events(filter, page).await.unwrap().len();
    let deliveries = async |ledger: &dyn Ledger, filter, page| ledger.deliveries(filter, page).await.unwrap().len();
    let any = EventFilter::default;
    let in_state = |state| EventFilter { state: Some(state), ..EventFilter::default() };
    let every = DeliveryFilter::default;
    let to = |destination: &str, state| DeliveryFilter {
        destination: Some(destination.into()),
        state,
        ..DeliveryFilter::default()
    };
    let middle = || Page { after: Some(delivery(id(30_000), 2)), limit: 50, order: Order::OldestFirst };
    let owner = owner(3);
    use DeliveryState::{Dead, Delivered, Delivering, Dropped, Held, Waiting};
    check! {
        "the newest events", at most 500, 50 => |ledger| events(ledger, any(), page(Order::NewestFirst)).await;
        "events from the middle on", at most 500, 50 => |ledger| events(ledger, any(), behind(30_000, Order::OldestFirst)).await;
        "events of a time", at most 500, 50 => |ledger| {
            let filter = EventFilter { since: Some(moment(100)), until: Some(moment(200)), ..any() };
            events(ledger, filter, page(Order::NewestFirst)).await
        };
        "events that are dead", at most 2000, 50 => |ledger| events(ledger, in_state(EventState::Dead), page(Order::NewestFirst)).await;
        "events that are parked", at most 100, 0 => |ledger| events(ledger, in_state(EventState::Parked), page(Order::NewestFirst)).await;
        "events with something left to do", at most 2000, 50 => |ledger| {
            events(ledger, in_state(EventState::Pending), page(Order::OldestFirst)).await
        };
        "one event", at most 60, true => |ledger| ledger.event(id(30_000)).await.unwrap().is_some();
        "the newest deliveries", at most 800, 50 => |ledger| deliveries(ledger, every(), page_of(Order::NewestFirst)).await;
        "deliveries from the middle on", at most 800, 50 => |ledger| deliveries(ledger, every(), middle()).await;
        "deliveries of an event", at most 60, 3 => |ledger| {
            deliveries(ledger, DeliveryFilter { event: Some(id(1000)), ..every() }, page_of(Order::NewestFirst)).await
        };
        "what is dead", at most 800, 50 => |ledger| deliveries(ledger, to("rare", Some(Dead)), page_of(Order::NewestFirst)).await;
        "what was dropped", at most 800, 0 => |ledger| deliveries(ledger, to("rare", Some(Dropped)), page_of(Order::NewestFirst)).await;
        "what is being delivered", at most 50, 0 => |ledger| deliveries(ledger, to("busy", Some(Delivering)), page_of(Order::NewestFirst)).await;
        "what is held", at most 2000, 50 => |ledger| deliveries(ledger, to("busy", Some(Held)), page_of(Order::NewestFirst)).await;
        "what was delivered", at most 2000, 50 => |ledger| {
            deliveries(ledger, to("app", Some(Delivered)), page_of(Order::NewestFirst)).await
        };
        "what waits at a rare destination", at most 20000, 50 => |ledger| {
            deliveries(ledger, to("rare", Some(Waiting)), page_of(Order::NewestFirst)).await
        };
        "the dead in groups", at most 20, 1 => |ledger| ledger.dead_groups().await.unwrap().len();
        "numbers", at most 100, 2 => |ledger| ledger.stats().await.unwrap().destinations.len();
        "a redelivery", at most 500, 22 => |ledger| ledger.redeliver((1..=20).map(id).collect(), None).await.unwrap();
        "a redelivery elsewhere", at most 500, 20 => |ledger| {
            ledger.redeliver((21..=40).map(id).collect(), Some("rare".into())).await.unwrap()
        };
        "a redelivery of dead ones", at most 500, 20 => |ledger| {
            ledger.redeliver_dead((1..=20).map(|number| delivery(id(1000 * number - 499), 2)).collect()).await.unwrap()
        };
        "dead ones dropped", at most 500, 20 => |ledger| {
            ledger.drop_dead((21..=40).map(|number| delivery(id(1000 * number - 499), 2)).collect()).await.unwrap()
        };
        "a destination moved", at most 3000, 120 => |ledger| ledger.move_deliveries("rare".into(), "new".into()).await.unwrap();
        "lines dropped", at most 30000, 3000 => |ledger| ledger.drop_deliveries("busy".into()).await.unwrap();
        "a destination that has nothing", at most 10000, 0 => |ledger| ledger.drop_deliveries("none".into()).await.unwrap();
        "old events forgotten", at most 8000, Pruned::Here { events: 460, more: true } => |ledger| {
            ledger.prune(Prune { owner, kept_for: Some(Duration::ZERO) }).await.unwrap()
        };
    }
}

fn page_of(order: Order) -> Page<pylon_receiver::DeliveryId> {
    Page { after: None, limit: 50, order }
}
