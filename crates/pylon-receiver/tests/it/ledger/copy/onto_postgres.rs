//! Ledgers in files that are copied onto PostgreSQL, where receivers serve the ledger meanwhile.

use super::*;
use crate::ledger::contract::Subject;
use crate::ledger::postgres::PostgresSubject;
use pylon_receiver::PostgresAddress;
use pylon_test_support::postgres::Cluster;
use pylon_test_support::wait::eventually;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::Mutex as AsyncMutex;
use tokio_postgres::Client;

/// A ledger on PostgreSQL, with the clock of the test.
struct Base {
    /// Keeps the clock's file.
    subject: PostgresSubject,
    ledger: PostgresLedger,
}

impl Base {
    async fn new(shelf: &Shelf) -> Option<Self> {
        if !PostgresSubject::is_here() {
            return None;
        }
        let subject = PostgresSubject::fresh(shelf.clock.clone()).await;
        let ledger = subject.itself().await;
        Some(Self { subject, ledger })
    }

    async fn sql(&self) -> Client {
        self.subject.beside().await
    }

    async fn count(&self, sql: &str) -> i64 {
        self.sql().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn seen(&self) -> Seen {
        Seen::of(&self.ledger).await
    }

    async fn state(&self) -> Option<CopyState> {
        self.ledger.copies().await.unwrap().last().map(|copy| copy.state)
    }

    /// How many rows there are of copies that are not in use.
    async fn copied(&self) -> i64 {
        self.count(
            "SELECT (SELECT count(*) FROM copied_events) + (SELECT count(*) FROM copied_deliveries) + (SELECT count(*) FROM copied_attempts)
                + (SELECT count(*) FROM copied_keys) + (SELECT count(*) FROM copied_refused)",
        )
        .await
    }
}

/// Copies a file onto any target.
async fn copy_onto(
    shelf: &Shelf,
    from: &str,
    target: &dyn CopyTarget,
    may_merge: bool,
) -> Result<CopyOutcome, CopyFault> {
    let source = shelf.source(from);
    let copied = Copying { source: &source, target, may_merge }.run(&mut |_| ()).await;
    closed(source).await;
    copied
}

/// The same with ends that break after so many calls.
async fn copy_frailly_onto(
    shelf: &Shelf,
    base: &Base,
    may_merge: bool,
    calls: usize,
    is_done: bool,
) -> Result<CopyOutcome, CopyFault> {
    let (source, left) = (shelf.source("old.db"), AtomicUsize::new(calls));
    let source_end = Frail { ledger: &source, left: &left, is_done };
    let target_end = Frail { ledger: &base.ledger, left: &left, is_done };
    let copied = Copying { source: &source_end, target: &target_end, may_merge }.run(&mut |_| ()).await;
    closed(source).await;
    copied
}

async fn give_up_onto(shelf: &Shelf, from: &str, base: &Base) -> Result<GivenUp, CopyFault> {
    let source = shelf.source(from);
    let given_up = give_up(&source, Some(&base.ledger), &mut |_| ()).await;
    closed(source).await;
    given_up
}

/// A file with everything in it, as it is once its leases have ended; and what is seen of it.
async fn filled() -> (Shelf, Seen) {
    let shelf = Shelf::new();
    fill(&shelf, "old.db").await;
    closed(shelf.serve("old.db").unwrap()).await;
    let seen = shelf.seen("old.db").await;
    (shelf, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_with_it() {
    let (shelf, before) = filled().await;
    let Some(base) = Base::new(&shelf).await else { return };
    let CopyOutcome { source, target, was_done, summary } =
        copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap();
    assert!(!was_done);
    assert_eq!(*source.name, *format!("sqlite:{}", shelf.path("old.db").canonicalize().unwrap().display()));
    assert!(
        target.name.starts_with("postgres://postgres@/") && target.name.contains("&schema=contract_"),
        "{target:?}"
    );
    let deliveries = DeliveryCounts { waiting: 4, held: 3, delivered: 1, dead: 1, dropped: 1, redelivered: 1 };
    let counts = CopyCounts { events: 10, parked: 1, deliveries, attempts: 6, deduplication_keys: 3, refused: 4 };
    assert_eq!(summary.counts, counts);
    assert_eq!((summary.events_there_before, summary.keys_taken, summary.refused_gone), (0, 0, 0));
    assert_eq!(base.seen().await, before);
    assert_eq!((base.state().await, base.copied().await), (Some(CopyState::InUse), 0));
    let body = base.ledger.event(named(24, 0)).await.unwrap().unwrap().body;
    assert_eq!(&body[..], b"\xff\x00");

    let ledger = &base.ledger;
    for (key, original) in
        [("kept", Some(named(0, 0))), ("outlives", Some(named(-500, 0))), ("line", Some(named(20, 0)))]
    {
        let duplicate = event(NOW).numbered(9).keyed(key, Some(60));
        assert_eq!(ledger.record(duplicate).await, Ok(Recorded::Duplicate(original.unwrap())), "{key}");
    }
    assert_eq!(ledger.record(event(NOW).keyed("expires", Some(60))).await, Ok(Recorded::Stored));
    shelf.clock.set(at(-500 + 2 + 5000));
    let later = event(NOW).numbered(8).keyed("outlives", Some(60));
    assert_eq!(ledger.record(later.clone()).await, Ok(Recorded::Duplicate(named(-500, 0))), "it came at 2");
    shelf.clock.set(at(5002));
    assert_eq!(ledger.record(later).await, Ok(Recorded::Stored));

    // The file says where it went.
    let refusal = shelf.serve("old.db").unwrap_err();
    assert!(refusal.to_string().starts_with(&format!("the ledger is not in use: it was moved to {}", target.name)));
    let again = copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap();
    assert_eq!((again.was_done, again.summary), (true, summary));
    assert_eq!(give_up_onto(&shelf, "old.db", &base).await, Err(CopyFault::InUse));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_due_when_it_was_and_lines_keep_their_order() {
    let (shelf, _) = filled().await;
    shelf.duplicate("old.db", "same.db");
    let Some(base) = Base::new(&shelf).await else { return };
    copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap();
    let onto = order(&base.ledger, &shelf.clock).await;
    assert_eq!(line_x(&onto), line_x_in_order());
    let same = shelf.serve("same.db").unwrap();
    assert_eq!(onto, order(&same, &shelf.clock).await);
    closed(same).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_off_anywhere_it_goes_on_when_it_is_run_again() {
    let (filled, before) = filled().await;
    for is_done in [false, true] {
        let mut calls = 0;
        loop {
            let shelf = Shelf::new();
            shelf.clock.set(at(NOW));
            std::fs::copy(filled.path("old.db"), shelf.path("old.db")).unwrap();
            let Some(base) = Base::new(&shelf).await else { return };
            let told = format!("broken off after {calls} calls, {is_done}");
            let first = copy_frailly_onto(&shelf, &base, false, calls, is_done).await;
            let (state, usable) = (base.state().await, shelf.can_be_served("old.db"));
            if first.is_ok() {
                assert_eq!((state, usable), (Some(CopyState::InUse), false));
                break;
            }
            // In use in one of the two at most; and as long as it can be in use in the file, nothing of it is seen here.
            assert!(!(usable && state == Some(CopyState::InUse)), "{told}");
            if state != Some(CopyState::InUse) {
                let seen = base.seen().await;
                assert_eq!((seen.events.len(), seen.refused.len()), (0, 0), "{told}");
                assert_eq!(Stats { ledger_bytes: 0, ..seen.stats }, Stats::default(), "{told}");
            }
            shelf.clock.set(at(NOW + 10));
            let outcome = copy_onto(&shelf, "old.db", &base.ledger, false).await;
            let outcome = outcome.unwrap_or_else(|fault| panic!("{told}: {fault}"));
            assert_eq!(base.seen().await, before, "{told}");
            assert_eq!(base.copied().await, 0, "{told}");
            assert!(!shelf.can_be_served("old.db"), "{told}");
            let moment: i64 = rusqlite::Connection::open(shelf.path("old.db"))
                .unwrap()
                .query_row("SELECT since_ms FROM moving", [], |row| row.get(0))
                .unwrap();
            assert_eq!(base.count("SELECT since FROM copies").await, moment, "{told}");
            let again = copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap();
            assert_eq!((again.was_done, again.summary), (true, outcome.summary), "{told}");
            calls += if is_done { 1 } else { 3 };
        }
        assert!(calls > 20, "{calls}");
    }
}

/// A ledger with a line of its own that others join.
async fn own_events(base: &Base) -> Seen {
    let first = event(5).numbered(101).keyed("line", None).in_line("line", "x").to("app");
    assert_eq!(base.ledger.record(first).await, Ok(Recorded::Stored));
    let second = event(6).numbered(101).in_line("line", "x");
    assert_eq!(base.ledger.record(second).await, Ok(Recorded::Stored));
    base.seen().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_with_events_is_added_to_only_where_that_is_said() {
    let (shelf, _) = filled().await;
    let Some(base) = Base::new(&shelf).await else { return };
    own_events(&base).await;
    assert_eq!(copy_onto(&shelf, "old.db", &base.ledger, false).await, Err(CopyFault::NotEmpty(2)));
    assert!(shelf.can_be_served("old.db"));
    let outcome = copy_onto(&shelf, "old.db", &base.ledger, true).await.unwrap();
    assert_eq!((outcome.summary.counts.events, outcome.summary.keys_taken), (10, 1));
    assert_eq!(outcome.summary.counts.deduplication_keys, 2);
    let both = base.seen().await;
    assert_eq!((both.stats.events, both.stats.parked, both.stats.refused), (12, 1, 4));
    let stats: Vec<_> =
        both.stats.destinations.iter().map(|of| (of.destination.as_str(), of.waiting, of.held, of.dead)).collect();
    assert_eq!(stats, [("app", 2, 0, 0), ("dead", 1, 0, 1), ("line", 2, 5, 0)]);
    // The line that is shared: its own ones first, then the others in their order.
    let mut order = Vec::new();
    for now in 3000..3010 {
        shelf.clock.set(at(now));
        order.extend(deliver(&base.ledger, "line", now).await);
    }
    order.retain(|&id| id != delivery(named(21, 0), 2));
    let mut expected = vec![delivery(named(5, 101), 1), delivery(named(6, 101), 1)];
    expected.extend(line_x_in_order());
    assert_eq!(order, expected);
}

/// Delivers what is due at a destination; says what.
async fn deliver(ledger: &dyn Ledger, destination: &str, now: i64) -> Vec<DeliveryId> {
    let ask = Ask { destination: destination.into(), ..claim(now) };
    let leased = ledger.exchange(ask.exchange()).await.unwrap().claimed.deliveries;
    let ids = leased.iter().map(|leased| leased.lease.delivery).collect();
    let settle =
        |leased: LeasedDelivery| Settlement { lease: leased.lease, verdict: Verdict::Delivered, attempt: None };
    let settlements: Vec<_> = leased.into_iter().map(settle).collect();
    let expected = vec![Settled::Recorded; settlements.len()];
    let settled = Exchange { destination: destination.into(), settlements, claim: None };
    assert_eq!(ledger.exchange(settled).await.unwrap().settled, expected);
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_given_up_leaves_the_target_as_it_was() {
    let (shelf, before) = filled().await;
    let Some(base) = Base::new(&shelf).await else { return };
    let own = own_events(&base).await;
    let mut steps = 0;
    for calls in (4..).step_by(3) {
        let copied = copy_frailly_onto(&shelf, &base, true, calls, true).await;
        if copied.is_ok() || base.state().await == Some(CopyState::InUse) {
            break;
        }
        give_up_onto(&shelf, "old.db", &base).await.unwrap();
        assert_eq!(base.seen().await, own, "after {calls} calls");
        assert_eq!(shelf.seen("old.db").await, before, "after {calls} calls");
        assert!(shelf.can_be_served("old.db"), "after {calls} calls");
        assert_eq!(base.count("SELECT count(*) FROM deduplication_keys").await, 1, "after {calls} calls");
        assert_eq!((base.state().await, base.copied().await), (None, 0), "after {calls} calls");
        steps += 1;
    }
    assert!(steps > 4, "{steps}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_there_is_the_same_or_a_fault() {
    let (shelf, before) = filled().await;
    let Some(base) = Base::new(&shelf).await else { return };
    shelf.duplicate("old.db", "old-too.db");
    let parked = event(24).parked("it is not JSON").with_body(b"\xff\x00");
    assert_eq!(base.ledger.record(parked).await, Ok(Recorded::Stored));
    let outcome = copy_onto(&shelf, "old.db", &base.ledger, true).await.unwrap();
    assert_eq!((outcome.summary.events_there_before, outcome.summary.counts.events), (1, 10));
    assert_eq!(base.seen().await, before);

    let Some(other) = Base::new(&shelf).await else { return };
    assert_eq!(other.ledger.record(event(0).with_body("{\"another\": 1}")).await, Ok(Recorded::Stored));
    let own = other.seen().await;
    let fault = copy_onto(&shelf, "old-too.db", &other.ledger, true).await.unwrap_err();
    assert_eq!(fault, CopyFault::Differs { count: 1, first: vec![named(0, 0).to_string()] });
    assert!(shelf.can_be_served("old-too.db"));
    give_up_onto(&shelf, "old-too.db", &other).await.unwrap();
    assert_eq!((other.seen().await, other.copied().await), (own, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_target_has_otherwise_is_found_before_anything_is_moved() {
    let (shelf, before) = filled().await;
    let Some(base) = Base::new(&shelf).await else { return };
    for (number, (lie, expected)) in lies().into_iter().enumerate() {
        let lying = Lying { ledger: &base.ledger, lie };
        let fault = copy_onto(&shelf, "old.db", &lying, false).await.unwrap_err();
        let CopyFault::Unequal { first, .. } = &fault else { panic!("{number}: {fault}") };
        assert_eq!(first[..expected.len()], expected, "{number}");
        assert!(shelf.can_be_served("old.db"), "{number}");
        assert_eq!(base.state().await, Some(CopyState::UnderWay), "{number}");
    }
    // What is put is put otherwise.
    let sql = base.sql().await;
    for (change, back, found) in [
        ("UPDATE copied_deliveries SET at = at + 1 WHERE seq IS NOT NULL AND state = 0", "at = at - 1", "due time"),
        ("UPDATE copied_deliveries SET seq = seq + 1 WHERE state = 1", "seq = seq - 1", "place in the order"),
        ("UPDATE copied_events SET body = '\\x00'", "", "body"),
    ] {
        sql.batch_execute(change).await.unwrap();
        let fault = copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap_err().to_string();
        match back {
            "" => assert!(fault.contains("that differ: "), "{fault}"),
            _ => {
                assert!(fault.contains("that differ: ") || fault.contains(found), "{fault}");
                let condition = change.split_once(" WHERE ").unwrap().1;
                sql.batch_execute(&format!("UPDATE copied_deliveries SET {back} WHERE {condition}")).await.unwrap();
            }
        }
        assert!(shelf.can_be_served("old.db"), "{change}");
    }
    give_up_onto(&shelf, "old.db", &base).await.unwrap();
    copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap();
    assert_eq!(base.seen().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_go_page_by_page() {
    let shelf = Shelf::new();
    fill_many(&shelf, "old.db").await;
    shelf.clock.set(at(NOW));
    let Some(base) = Base::new(&shelf).await else { return };
    let before = shelf.seen("old.db").await.stats;
    let outcome = copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap();
    assert_eq!(outcome.summary.counts.deduplication_keys, u64::from(MANY));
    assert_eq!(base.seen().await.stats, before);
    // In the order in which they were recorded, not in that of their ids.
    let connection = rusqlite::Connection::open(shelf.path("old.db")).unwrap();
    let mut select = connection
        .prepare("SELECT id FROM deliveries JOIN events ON events.seq = event_seq ORDER BY deliveries.seq")
        .unwrap();
    let old: Vec<Vec<u8>> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let rows = base.sql().await.query("SELECT uuid_send(event_id) FROM open ORDER BY seq", &[]).await.unwrap();
    let new: Vec<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(old, new);
    // Behind all of them comes what is recorded now.
    assert_eq!(base.ledger.record(event(NOW).in_line("line", "1")).await, Ok(Recorded::Stored));
    let last = "SELECT event_id = $1 AND state = 1 FROM open ORDER BY seq DESC LIMIT 1";
    let id = uuid::Uuid::from_bytes(*named(NOW, 0).as_bytes());
    assert!(base.sql().await.query_one(last, &[&id]).await.unwrap().get::<_, bool>(0));
}

/// What a receiver that serves the target has done.
#[derive(Default)]
struct Done {
    /// What it has recorded, in its order.
    recorded: Vec<EventId>,
    /// What it has delivered, in its order, and where.
    delivered: Vec<(String, DeliveryId)>,
    redelivered: bool,
}

/// A target that a receiver serves, with operators: before each call they do everything that they can do.
struct Served<'l> {
    base: &'l Base,
    copied: &'l [EventId],
    done: AsyncMutex<Done>,
    calls: AtomicUsize,
}

const DESTINATIONS: [&str; 3] = ["app", "dead", "line"];

impl Served<'_> {
    async fn work(&self, is_being_released: bool) {
        let Self { base: Base { ledger, .. }, copied, .. } = self;
        let mut done = self.done.lock().await;
        let number = u8::try_from(self.calls.fetch_add(1, Ordering::SeqCst)).unwrap();
        let own = event(NOW).numbered(100 + number).in_line("line", "x").to("app");
        done.recorded.push(own.id);
        assert_eq!(ledger.record(own).await, Ok(Recorded::Stored));
        for destination in DESTINATIONS {
            let delivered = deliver(ledger, destination, NOW).await;
            done.delivered.extend(delivered.into_iter().map(|id| (destination.to_owned(), id)));
        }
        let prune = Prune { owner: owner(1), kept_for: Some(Duration::ZERO) };
        ledger.prune(prune).await.unwrap();
        if is_being_released {
            if !std::mem::replace(&mut done.redelivered, true) {
                ledger.redeliver(copied.to_vec(), Some("app".into())).await.unwrap();
            }
            return;
        }
        assert_eq!(ledger.redeliver(copied.to_vec(), None).await, Ok(0));
        let route = copied.iter().map(|&id| (id, vec![NewDelivery { destination: "app".into(), order_key: None }]));
        assert_eq!(ledger.route(route.collect()).await, Ok(0));
        let named: Vec<DeliveryId> =
            copied.iter().flat_map(|&id| (1..4).map(move |number| delivery(id, number))).collect();
        assert_eq!(ledger.redeliver_dead(named.clone()).await, Ok(0));
        assert_eq!(ledger.drop_dead(named).await, Ok(0));
        assert_eq!(ledger.move_deliveries("dead".into(), "app".into()).await, Ok(0));
        assert_eq!(ledger.drop_deliveries("dead".into()).await, Ok(0));
        let listed = ledger.events(EventFilter::default(), all()).await.unwrap();
        assert!(listed.iter().all(|record| !copied.contains(&record.id)), "{listed:?}");
        let listed = ledger.deliveries(DeliveryFilter::default(), all()).await.unwrap();
        assert!(listed.iter().all(|record| !copied.contains(&record.id.event)), "{listed:?}");
        assert!(done.delivered.iter().all(|(_, id)| !copied.contains(&id.event)), "{:?}", done.delivered);
    }
}

macro_rules! served {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl CopyTarget for Served<'_> {
            $(fn $name(&self, $($argument: $type),*) -> LedgerFuture<'_, $answer> {
                Box::pin(async move {
                    self.work(stringify!($name) == "release_copy" && self.base.state().await == Some(CopyState::InUse)).await;
                    self.base.ledger.$name($($argument),*).await
                })
            })*
        }
    };
}

served! {
    target_place() -> CopyPlace;
    copies() -> Vec<Incoming>;
    count_events() -> u64;
    begin_copy(head: CopyHead) -> ();
    put_keys(copy: CopyId, keys: Vec<KeyCopy>) -> Vec<PutKey>;
    put_events(copy: CopyId, events: Vec<EventCopy>) -> Vec<Put>;
    put_refused(copy: CopyId, refused: Vec<RefusedCopy>) -> Vec<Put>;
    found_keys(copy: CopyId, names: Vec<KeyName>) -> Vec<Option<KeyCopy>>;
    found_events(copy: CopyId, ids: Vec<EventId>) -> Vec<Option<EventCopy>>;
    found_refused(copy: CopyId, numbers: Vec<u64>) -> Vec<Option<RefusedCopy>>;
    seal_copy(copy: CopyId) -> ();
    release_copy(copy: CopyId) -> u64;
    discard_copy(copy: CopyId) -> u64;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_and_operators_see_nothing_of_it_until_it_is_let_go() {
    let (shelf, before) = filled().await;
    let Some(base) = Base::new(&shelf).await else { return };
    let copied: Vec<EventId> = before.events.iter().map(|event| event.record.id).collect();
    let unfinished: BTreeSet<DeliveryId> = before
        .events
        .iter()
        .flat_map(|event| &event.deliveries)
        .filter(|(record, _)| record.state.is_unfinished())
        .map(|(record, _)| record.id)
        .collect();
    assert_eq!(unfinished.len(), 7);
    let served = Served { base: &base, copied: &copied, done: AsyncMutex::default(), calls: AtomicUsize::new(0) };
    let outcome = copy_onto(&shelf, "old.db", &served, true).await.unwrap();
    assert_eq!((outcome.summary.counts.events, outcome.summary.refused_gone), (10, 0));
    let Done { mut recorded, mut delivered, redelivered, .. } = served.done.into_inner();
    assert!(redelivered, "it was let go in one call");

    // What comes from now on comes last.
    let last = event(NOW).numbered(99).in_line("line", "x");
    recorded.push(last.id);
    assert_eq!(base.ledger.record(last).await, Ok(Recorded::Stored));
    for now in 3000..3040 {
        shelf.clock.set(at(now));
        for destination in DESTINATIONS {
            let more = deliver(&base.ledger, destination, now).await;
            delivered.extend(more.into_iter().map(|id| (destination.to_owned(), id)));
        }
    }
    let left = base.ledger.stats().await.unwrap().destinations;
    assert!(left.iter().all(|of| of.waiting + of.held + of.delivering == 0), "{left:?}");
    // Everything once; what was redelivered by order has numbers of its own.
    let mut times: BTreeMap<DeliveryId, u32> = BTreeMap::new();
    delivered.iter().for_each(|(_, id)| *times.entry(*id).or_default() += 1);
    assert!(times.values().all(|&times| times == 1), "{times:?}");
    assert!(unfinished.iter().all(|id| times.contains_key(id)), "{times:?}");
    let of_copy: BTreeSet<DeliveryId> = times.keys().copied().filter(|id| copied.contains(&id.event)).collect();
    let ordered = of_copy.difference(&unfinished).count();
    assert!(ordered > 0 && ordered <= copied.len(), "{of_copy:?}");
    for id in &recorded {
        assert!(times.contains_key(&delivery(*id, 1)), "{id} was recorded and is lost");
    }
    // In lines, the order of each side is kept, and what came last is last.
    let line: Vec<DeliveryId> = delivered
        .iter()
        .filter(|(to, id)| to == "line" && *id != delivery(named(21, 0), 2))
        .map(|(_, id)| *id)
        .collect();
    let last_of_line = line.last().copied();
    let (theirs, own): (Vec<DeliveryId>, Vec<DeliveryId>) = line.into_iter().partition(|id| copied.contains(&id.event));
    assert_eq!(theirs, line_x_in_order());
    let recorded: Vec<DeliveryId> = recorded.into_iter().map(|id| delivery(id, 1)).collect();
    assert_eq!(own, recorded);
    assert_eq!(last_of_line, recorded.last().copied());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_copy_are_not_forgotten_before_it_is_in_use() {
    let (shelf, _) = filled().await;
    let Some(base) = Base::new(&shelf).await else { return };
    copy_frailly_onto(&shelf, &base, false, 14, true).await.unwrap_err();
    let keys = "SELECT count(*) FROM deduplication_keys";
    assert_eq!((base.count(keys).await, base.state().await), (3, Some(CopyState::UnderWay)));
    // Two have expired.
    shelf.clock.set(at(200_000));
    let prune = || async {
        let pruned = base.ledger.prune(Prune { owner: owner(1), kept_for: None }).await;
        assert_eq!(pruned, Ok(Pruned::Here { events: 0, more: false }));
    };
    prune().await;
    assert_eq!(base.count(keys).await, 3);
    // One is taken over by an event that came now, and stays with it.
    let new = event(200_000).keyed("line", Some(60));
    assert_eq!(base.ledger.record(new.clone()).await, Ok(Recorded::Stored));
    shelf.duplicate("old.db", "other.db");
    give_up_onto(&shelf, "old.db", &base).await.unwrap();
    assert_eq!(base.count(keys).await, 1);
    let duplicate = event(200_000).numbered(3).keyed("line", Some(60));
    assert_eq!(base.ledger.record(duplicate).await, Ok(Recorded::Duplicate(new.id)));
    // In use, they are as others are.
    let outcome = copy_onto(&shelf, "other.db", &base.ledger, true).await.unwrap();
    assert_eq!(outcome.summary.keys_taken, 1);
    assert_eq!(base.count(keys).await, 3);
    prune().await;
    assert_eq!(base.count(keys).await, 2);
}

/// A target whose connections are cut in the middle of the call with this number.
struct Cut<'l> {
    ledger: &'l PostgresLedger,
    cut: &'l (dyn Fn() + Sync),
    left: AtomicUsize,
}

macro_rules! cut {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl CopyTarget for Cut<'_> {
            $(fn $name(&self, $($argument: $type),*) -> LedgerFuture<'_, $answer> {
                Box::pin(async move {
                    if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
                        tokio::task::block_in_place(self.cut);
                    }
                    self.ledger.$name($($argument),*).await
                })
            })*
        }
    };
}

cut! {
    target_place() -> CopyPlace;
    copies() -> Vec<Incoming>;
    count_events() -> u64;
    begin_copy(head: CopyHead) -> ();
    put_keys(copy: CopyId, keys: Vec<KeyCopy>) -> Vec<PutKey>;
    put_events(copy: CopyId, events: Vec<EventCopy>) -> Vec<Put>;
    put_refused(copy: CopyId, refused: Vec<RefusedCopy>) -> Vec<Put>;
    found_keys(copy: CopyId, names: Vec<KeyName>) -> Vec<Option<KeyCopy>>;
    found_events(copy: CopyId, ids: Vec<EventId>) -> Vec<Option<EventCopy>>;
    found_refused(copy: CopyId, numbers: Vec<u64>) -> Vec<Option<RefusedCopy>>;
    seal_copy(copy: CopyId) -> ();
    release_copy(copy: CopyId) -> u64;
    discard_copy(copy: CopyId) -> u64;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_costs_nothing_but_another_run() {
    let Some(cluster) = Cluster::shared() else { return };
    let shelf = Shelf::new();
    fill_many(&shelf, "old.db").await;
    shelf.clock.set(at(NOW));
    let database = cluster.fresh_database();
    let address: PostgresAddress = cluster.url(&database).parse().unwrap();
    let ledger = PostgresLedger::connect(&address, PostgresOptions::default()).await.unwrap();
    // Has the next call wait for a lock, and ends all sessions once it does.
    const CUT: &str = "
        BEGIN; LOCK TABLE pylon_receiver.copies;
        DO $$ BEGIN
            FOR look IN 1..2000 LOOP
                PERFORM pg_stat_clear_snapshot();
                IF EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock') THEN
                    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid();
                    EXIT;
                END IF;
                PERFORM pg_sleep(0.01);
            END LOOP;
        END $$;
        COMMIT;";
    const IS_LOCKED: &str = "SELECT count(*) FROM pg_locks WHERE relation = 'pylon_receiver.copies'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    let cut = || {
        let named = database.clone();
        std::thread::spawn(move || Cluster::shared().unwrap().sql(&named, CUT));
        eventually("the table is locked", || (cluster.sql(&database, IS_LOCKED) == "1").then_some(()));
    };
    let mut cuts = 0;
    // While keys and events are put, while they are read, and while it is let go.
    for calls in [3, 6, 9, 16, 25, 35] {
        let target = Cut { ledger: &ledger, cut: &cut, left: AtomicUsize::new(calls) };
        match copy_onto(&shelf, "old.db", &target, false).await {
            Ok(_) => {}
            Err(CopyFault::Target(LedgerError::Unreachable(_))) => cuts += 1,
            Err(fault) => panic!("after {calls} calls: {fault}"),
        }
    }
    assert!(cuts > 3, "{cuts}");
    let outcome = copy_onto(&shelf, "old.db", &ledger, false).await.unwrap();
    assert_eq!(outcome.summary.counts.events, u64::from(MANY));
    let stats = ledger.stats().await.unwrap();
    assert_eq!((stats.events, stats.destinations[0].waiting), (u64::from(MANY), 5));
    assert_eq!(stats.destinations[0].held, u64::from(MANY) - 5);
    ledger.close().await.unwrap();
    drop(ledger);
    cluster.drop_database(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_at_a_time_and_one_that_has_ended_touches_no_other() {
    let (shelf, _) = filled().await;
    let Some(base) = Base::new(&shelf).await else { return };
    own(&shelf, "third.db").await;
    copy_frailly_onto(&shelf, &base, false, 14, false).await.unwrap_err();
    let name = format!("sqlite:{}", shelf.path("old.db").canonicalize().unwrap().display());
    let refused = copy_onto(&shelf, "third.db", &base.ledger, true).await;
    assert_eq!(refused, Err(CopyFault::Unfinished(name.clone().into())));
    // One that is being let go is not mixed with another either.
    let mut calls = 14;
    while base.state().await != Some(CopyState::InUse) {
        // Once it was moved, its first call for a release is the fifth of all.
        let most = if shelf.can_be_served("old.db") { calls } else { 4 };
        copy_frailly_onto(&shelf, &base, false, most, true).await.unwrap_err();
        calls += 1;
        assert!(calls < 100, "it is never in use");
    }
    assert!(base.copied().await > 0);
    let refused = copy_onto(&shelf, "third.db", &base.ledger, true).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("found one from {name} that has not ended")), "{refused}");
    copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap();
    // While another one is under way, it is run once more.
    let source = shelf.source("third.db");
    let left = AtomicUsize::new(14);
    let (source_end, target_end) = (
        Frail { ledger: &source, left: &left, is_done: true },
        Frail { ledger: &base.ledger, left: &left, is_done: true },
    );
    Copying { source: &source_end, target: &target_end, may_merge: true }.run(&mut |_| ()).await.unwrap_err();
    closed(source).await;
    let copied = base.copied().await;
    assert!(copied > 0);
    assert!(copy_onto(&shelf, "old.db", &base.ledger, false).await.unwrap().was_done);
    assert_eq!(base.copied().await, copied);
    copy_onto(&shelf, "third.db", &base.ledger, true).await.unwrap();
    assert_eq!(base.seen().await.stats.events, 12);
}
