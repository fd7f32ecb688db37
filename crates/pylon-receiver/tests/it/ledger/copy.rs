//! Ledgers that are copied into others.

#[cfg(feature = "postgres")]
mod onto_postgres;

use super::contract::{
    Ask, ByHand, Draft, Hands, all, at, attempt, claim, delivery, event, named, owner, refused, retry,
};
use pylon_receiver::internals::{
    CopyHead, CopySource, CopyState, CopyTarget, Copying, EventCopy, Holding, Incoming, KeyCopy, KeyName, Put, PutKey,
    RefusedCopy, give_up, open_to_copy_from, open_to_copy_into,
};
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Moment};
use std::fmt::{Debug, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The second, after the tests begin, at which everything is copied.
const NOW: i64 = 1000;

fn options(clock: &Hands) -> SqliteOptions {
    SqliteOptions { refused: super::REFUSED, clock: Arc::new(clock.clone()), ..SqliteOptions::default() }
}

/// Moves a ledger into another file.
pub(crate) async fn moved(from: &Path, to: &Path, clock: &Hands) -> CopyOutcome {
    let source = open_to_copy_from(from, options(clock)).unwrap();
    let target = open_to_copy_into(to, options(clock)).unwrap();
    let outcome = Copying { source: &source, target: &target, may_merge: false }.run(&mut |_| ()).await.unwrap();
    source.close().await.unwrap();
    target.close().await.unwrap();
    outcome
}

/// Files of ledgers, and the time.
struct Shelf {
    folder: TempDir,
    clock: Hands,
}

impl Shelf {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: Hands::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn serve(&self, name: &str) -> Result<SqliteLedger, LedgerError> {
        SqliteLedger::open(self.path(name), options(&self.clock))
    }

    fn source(&self, name: &str) -> SqliteLedger {
        open_to_copy_from(self.path(name), options(&self.clock)).unwrap()
    }

    fn target(&self, name: &str) -> SqliteLedger {
        open_to_copy_into(self.path(name), options(&self.clock)).unwrap()
    }

    /// Another file with the same content; nobody has the first one open.
    fn duplicate(&self, name: &str, copy: &str) {
        std::fs::copy(self.path(name), self.path(copy)).unwrap();
    }

    /// Whether a ledger can be served, asked of a copy of its file.
    fn can_be_served(&self, name: &str) -> bool {
        let asked = format!("{name}-asked");
        self.duplicate(name, &asked);
        let served = self.serve(&asked).is_ok();
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(self.path(&format!("{asked}{suffix}")));
        }
        served
    }

    async fn copy(&self, from: &str, to: &str, may_merge: bool) -> Result<CopyOutcome, CopyFault> {
        let (source, target) = (self.source(from), self.target(to));
        let copied = Copying { source: &source, target: &target, may_merge }.run(&mut |_| ()).await;
        closed(source).await;
        closed(target).await;
        copied
    }

    async fn give_up(&self, from: &str, to: Option<&str>) -> Result<GivenUp, CopyFault> {
        let (source, target) = (self.source(from), to.map(|to| self.target(to)));
        let given_up = give_up(&source, target.as_ref().map(|target| target as &dyn CopyTarget), &mut |_| ()).await;
        closed(source).await;
        if let Some(target) = target {
            closed(target).await;
        }
        given_up
    }

    /// All that can be seen of a ledger, and then it is closed.
    async fn seen(&self, name: &str) -> Seen {
        let ledger = SqliteLedger::open_read_only(self.path(name)).unwrap();
        let seen = Seen::of(&ledger).await;
        closed(ledger).await;
        seen
    }
}

async fn closed(ledger: SqliteLedger) {
    ledger.close().await.unwrap();
}

impl Debug for Seen {
    /// A line for each part, so that one that differs is found.
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for event in &self.events {
            writeln!(f, "{:?}", event.record)?;
            event.deliveries.iter().try_for_each(|delivery| writeln!(f, "    {delivery:?}"))?;
        }
        self.refused.iter().try_for_each(|refused| writeln!(f, "{refused:?}"))?;
        writeln!(f, "{:?}", self.stats)
    }
}

/// All that can be seen of a ledger.
#[derive(PartialEq)]
struct Seen {
    events: Vec<EventDetail>,
    refused: Vec<RefusedRecord>,
    stats: Stats,
}

impl Seen {
    async fn of(ledger: &dyn Ledger) -> Self {
        let mut events = Vec::new();
        for record in ledger.events(EventFilter::default(), all()).await.unwrap() {
            events.push(ledger.event(record.id).await.unwrap().unwrap());
        }
        let refused = ledger.refused(RefusedFilter::default(), all()).await.unwrap();
        let stats = Stats { ledger_bytes: 0, ..ledger.stats().await.unwrap() };
        // What the tables say of states that the lists do not show is in `stats`: due times by today's clock are not.
        for detail in &mut events {
            detail.deliveries.iter_mut().for_each(|(record, _)| record.due_at = None);
            // Orders stay behind.
            detail.deliveries.iter_mut().for_each(|(record, _)| record.order = None);
        }
        let destinations = stats.destinations.into_iter();
        let destinations = destinations.map(|stats| DestinationStats { oldest_due_at: None, ..stats }).collect();
        Self { events, refused, stats: Stats { destinations, ..stats } }
    }
}

/// Keeps an event at its time.
async fn keep(ledger: &SqliteLedger, clock: &Hands, event: NewEvent) -> EventId {
    clock.set(event.id.received_at().max(pylon_receiver::WallClock::now(clock)));
    let id = event.id;
    assert_eq!(ledger.record(event).await, Ok(Recorded::Stored));
    id
}

/// Ends the one attempt at what is due at this destination.
async fn end(ledger: &SqliteLedger, clock: &Hands, now: i64, destination: &str, verdict: Verdict) {
    clock.set(at(now));
    let ask = Ask { destination: destination.into(), free: 1, ..claim(now) };
    let leased = ledger.exchange(ask.exchange()).await.unwrap().claimed.deliveries;
    let [leased] = leased.as_slice() else { panic!("expected one due at {destination}, found {leased:?}") };
    let answer = (verdict != Verdict::Delivered)
        .then(|| AttemptAnswer::beginning(Some(b"text/html"), b"<h1>\xff\0", leased.attempt == 1));
    let told = NewAttempt { answer, ..attempt(500, "was met") };
    let settlements = vec![Settlement { lease: leased.lease, verdict, attempt: Some(told) }];
    let settled = Exchange { destination: destination.into(), settlements, claim: None };
    assert_eq!(ledger.exchange(settled).await.unwrap().settled, [Settled::Recorded]);
}

/// Makes a ledger with everything in it that a ledger can have.
async fn fill(shelf: &Shelf, name: &str) {
    let clock = &shelf.clock;
    let ledger = shelf.serve(name).unwrap();
    // Delivered, with a key as long as it is kept; and one that was forgotten, with a key that outlives it, and another that does not.
    keep(&ledger, clock, event(0).keyed("kept", None).to("app")).await;
    end(&ledger, clock, 1, "app", Verdict::Delivered).await;
    keep(&ledger, clock, event(-500).keyed("outlives", Some(5000)).to("app")).await;
    end(&ledger, clock, 2, "app", Verdict::Delivered).await;
    keep(&ledger, clock, event(2).numbered(1).keyed("expires", Some(5))).await;
    let prune = Prune { owner: owner(1), kept_for: Some(Duration::from_secs(400)) };
    assert!(matches!(ledger.prune(prune).await, Ok(Pruned::Here { events: 1, .. })));
    // Dead; dead and dropped; dead and redelivered.
    for (second, then) in [(10, 0), (11, 1), (12, 2)] {
        let id = keep(&ledger, clock, event(second).to("dead")).await;
        end(&ledger, clock, second, "dead", Verdict::Dead("over".into())).await;
        match then {
            0 => {}
            1 => assert_eq!(ledger.drop_dead(vec![delivery(id, 1)]).await, Ok(1)),
            _ => assert_eq!(ledger.redeliver_dead(vec![delivery(id, 1)]).await, Ok(1)),
        }
    }
    // A line whose first waits for its next attempt, and behind it a redelivery of the first.
    let first = keep(&ledger, clock, event(20).keyed("line", Some(100_000)).in_line("line", "x")).await;
    end(&ledger, clock, 20, "line", retry(2000)).await;
    keep(&ledger, clock, event(21).in_line("line", "x").in_line("line", "y").to("app")).await;
    ledger.redeliver(vec![first], Some("line".into())).await.unwrap();
    keep(&ledger, clock, event(22).in_line("line", "x")).await;
    // One attempt that did not count, and one that nobody ends.
    end(&ledger, clock, 22, "app", Verdict::Retry { after: Duration::from_secs(30), counts: false }).await;
    let ask = Ask { destination: "line".into(), lease: 100_000, ..claim(23) };
    clock.set(at(23));
    assert_eq!(ledger.exchange(ask.exchange()).await.unwrap().claimed.deliveries.len(), 1);
    // Nowhere: parked, unrouted.
    keep(&ledger, clock, event(24).parked("it is not JSON").with_body(b"\xff\x00")).await;
    keep(&ledger, clock, NewEvent { query: Some("a=1".into()), ..event(25).named("Ticket.Created").through("second") })
        .await;
    for number in 0..3 {
        ledger.keep_refused(refused(30 + number, "too_large", &format!("refusal {number}")));
    }
    ledger.keep_refused(NewRefused { endpoint: None, ..refused(40, "unknown_path", "nowhere") });
    ledger.check().await.unwrap();
    clock.set(at(NOW));
    closed(ledger).await;
}

/// An end of a copy that breaks after so many calls: before it does what is asked, or when it has done it.
struct Frail<'l, L> {
    ledger: &'l L,
    left: &'l AtomicUsize,
    is_done: bool,
}

impl<L: Sync> Frail<'_, L> {
    fn call<'f, T: Send + 'f>(&'f self, asked: LedgerFuture<'f, T>) -> LedgerFuture<'f, T> {
        Box::pin(async move {
            let broken = || LedgerError::Unreachable("as told".into());
            let breaks =
                self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err();
            if breaks && !self.is_done {
                return Err(broken());
            }
            let answer = asked.await;
            if breaks { Err(broken()) } else { answer }
        })
    }
}

macro_rules! frail {
    ($end:ident: $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl<L: $end> $end for Frail<'_, L> {
            $(fn $name(&self, $($argument: $type),*) -> LedgerFuture<'_, $answer> {
                self.call(self.ledger.$name($($argument),*))
            })*
        }
    };
}

frail! { CopySource:
    source_place() -> CopyPlace;
    hold(target: CopyPlace) -> Holding;
    key_page(after: Option<KeyName>) -> Vec<KeyCopy>;
    event_page(after: Option<EventId>) -> Vec<EventCopy>;
    refused_page(after: Option<u64>) -> Vec<RefusedCopy>;
    mark_moved(copy: CopyId, summary: Box<str>) -> ();
    unmark() -> Option<Box<str>>;
}

frail! { CopyTarget:
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

impl Shelf {
    /// Copies with ends that break after so many calls.
    async fn copy_frailly(&self, from: &str, to: &str, calls: usize, is_done: bool) -> Result<CopyOutcome, CopyFault> {
        let (source, target, left) = (self.source(from), self.target(to), AtomicUsize::new(calls));
        let source_end = Frail { ledger: &source, left: &left, is_done };
        let target_end = Frail { ledger: &target, left: &left, is_done };
        let copying = Copying { source: &source_end, target: &target_end, may_merge: false };
        let copied = copying.run(&mut |_| ()).await;
        closed(source).await;
        closed(target).await;
        copied
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_with_it() {
    let shelf = Shelf::new();
    fill(&shelf, "old.db").await;
    // As it is once its lease has ended.
    closed(shelf.serve("old.db").unwrap()).await;
    let before = shelf.seen("old.db").await;
    let CopyOutcome { source, target, was_done, summary } = shelf.copy("old.db", "new.db", false).await.unwrap();
    assert!(!was_done);
    assert_eq!(*source.name, *format!("sqlite:{}", shelf.path("old.db").canonicalize().unwrap().display()));
    assert_eq!(*target.name, *format!("sqlite:{}", shelf.path("new.db").canonicalize().unwrap().display()));
    let deliveries = DeliveryCounts { waiting: 4, held: 3, delivered: 1, dead: 1, dropped: 1, redelivered: 1 };
    let counts = CopyCounts { events: 10, parked: 1, deliveries, attempts: 6, deduplication_keys: 3, refused: 4 };
    assert_eq!(summary.counts, counts);
    assert_eq!((summary.events_there_before, summary.keys_taken, summary.refused_gone), (0, 0, 0));
    assert_eq!(shelf.seen("new.db").await, before);

    let ledger = shelf.serve("new.db").unwrap();
    assert_eq!(Seen::of(&ledger).await, before);
    // Duplicates of what was, of what was forgotten, and of what has expired.
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
    closed(ledger).await;
}

/// When what is leased where, as the how manieth attempt.
type Leases = Vec<(i64, &'static str, DeliveryId, u32, u32, Duration)>;

/// Delivers everything that [`fill`] has left to do, at the moments at which something is due.
async fn order(ledger: &dyn Ledger, clock: &Hands) -> Leases {
    let mut order = Vec::new();
    for now in [NOW, 2019, 2020, 2021, 2022, 2023] {
        clock.set(at(now));
        for destination in ["app", "dead", "line"] {
            let ask = Ask { destination: destination.into(), ..claim(now) };
            let claimed = ledger.exchange(ask.exchange()).await.unwrap().claimed;
            for leased in claimed.deliveries {
                order.push((now, destination, leased.lease.delivery, leased.attempt, leased.counted, leased.age));
                let settlements = vec![Settlement { lease: leased.lease, verdict: Verdict::Delivered, attempt: None }];
                let settled = Exchange { destination: destination.into(), settlements, claim: None };
                assert_eq!(ledger.exchange(settled).await.unwrap().settled, [Settled::Recorded]);
            }
        }
    }
    order
}

/// What is leased of one line.
fn line_x(leases: &Leases) -> Vec<DeliveryId> {
    leases.iter().filter(|(now, to, ..)| *to == "line" && *now >= 2019).map(|(_, _, id, ..)| *id).collect()
}

/// 20 waits until 2020; then the redelivery of 20, which was ordered before 22 came.
fn line_x_in_order() -> [DeliveryId; 4] {
    [delivery(named(20, 0), 1), delivery(named(21, 0), 1), delivery(named(20, 0), 2), delivery(named(22, 0), 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_due_when_it_was_and_lines_keep_their_order() {
    let shelf = Shelf::new();
    fill(&shelf, "old.db").await;
    closed(shelf.serve("old.db").unwrap()).await;
    shelf.duplicate("old.db", "same.db");
    shelf.copy("old.db", "new.db", false).await.unwrap();
    let (same, new) = (shelf.serve("same.db").unwrap(), shelf.serve("new.db").unwrap());
    let of_same = order(&same, &shelf.clock).await;
    assert_eq!(of_same, order(&new, &shelf.clock).await);
    assert_eq!(line_x(&of_same), line_x_in_order());
    closed(same).await;
    closed(new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_off_anywhere_it_goes_on_when_it_is_run_again() {
    let filled = Shelf::new();
    fill(&filled, "old.db").await;
    closed(filled.serve("old.db").unwrap()).await;
    let before = filled.seen("old.db").await;
    for is_done in [false, true] {
        let mut calls = 0;
        loop {
            let shelf = Shelf::new();
            shelf.clock.set(at(NOW));
            std::fs::copy(filled.path("old.db"), shelf.path("old.db")).unwrap();
            let told = format!("broken off after {calls} calls, {is_done}");
            let first = shelf.copy_frailly("old.db", "new.db", calls, is_done).await;
            let usable = [shelf.can_be_served("old.db"), shelf.can_be_served("new.db")];
            if first.is_ok() {
                assert_eq!(usable, [false, true]);
                break;
            }
            let has_begun = shelf.target("new.db").copies().await.unwrap().len() == 1;
            assert!(!usable[0] || !usable[1] || !has_begun, "{told}: both can be served");
            // Time goes on meanwhile.
            shelf.clock.set(at(NOW + 10));
            let outcome = shelf.copy("old.db", "new.db", false).await.unwrap_or_else(|fault| panic!("{told}: {fault}"));
            assert_eq!(shelf.seen("new.db").await, before, "{told}");
            assert!(!shelf.can_be_served("old.db") && shelf.can_be_served("new.db"), "{told}");
            // The moment from which due times are counted is the same in both, whose clocks have not been set back.
            let since = |name: &str, query: &str| -> i64 {
                let connection = rusqlite::Connection::open(shelf.path(name)).unwrap();
                connection.query_row(query, [], |row| row.get(0)).unwrap()
            };
            let moment = since("old.db", "SELECT since_ms FROM moving");
            assert_eq!(since("new.db", "SELECT since_ms FROM copies"), moment, "{told}");
            // And once more, when nothing is left to do.
            let again = shelf.copy("old.db", "new.db", false).await.unwrap();
            assert_eq!((again.was_done, again.summary), (true, outcome.summary), "{told}");
            calls += 1;
        }
        assert!(calls > 20, "{calls}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn served_again_half_way_it_is_copied_anew() {
    let shelf = Shelf::new();
    fill(&shelf, "old.db").await;
    // Before the verification, behind all events.
    let fault = shelf.copy_frailly("old.db", "new.db", 14, false).await.unwrap_err();
    assert!(matches!(fault, CopyFault::Source(_) | CopyFault::Target(_)), "{fault}");
    assert!(shelf.seen("new.db").await.stats.events > 0);
    let refusal = shelf.serve("new.db").unwrap_err();
    let name = shelf.path("old.db").canonicalize().unwrap();
    assert_eq!(
        refusal.to_string(),
        format!(
            "the ledger is not in use: the copy of sqlite:{} into it has not ended; run `pylon-receiver migrate-ledger` again with the \
             same ledgers, or give the copy up with `--give-up`",
            name.display()
        )
    );
    // What happens in the source now happens there alone.
    let ledger = shelf.serve("old.db").unwrap();
    end(&ledger, &shelf.clock, 3000, "dead", Verdict::Delivered).await;
    keep(&ledger, &shelf.clock, event(3001).to("app")).await;
    closed(ledger).await;
    let before = shelf.seen("old.db").await;
    let steps = Mutex::new(Vec::new());
    let (source, target) = (shelf.source("old.db"), shelf.target("new.db"));
    let mut tell = |progress: CopyProgress| steps.lock().unwrap().push(progress);
    Copying { source: &source, target: &target, may_merge: false }.run(&mut tell).await.unwrap();
    closed(source).await;
    closed(target).await;
    assert_eq!(shelf.seen("new.db").await, before);
    let steps = steps.into_inner().unwrap();
    let mut names: Vec<_> = steps.iter().map(|progress| progress.step).collect();
    names.dedup();
    use CopyStep::{Discard, Events, Keys, Refused, Release, Verify};
    assert_eq!(names, [Discard, Keys, Events, Refused, Verify, Release]);
    assert!(steps.iter().all(|progress| progress.done <= progress.total), "{steps:?}");
    let last = |step| steps.iter().rfind(|progress| progress.step == step).map(|last| (last.done, last.total));
    assert_eq!((last(Events), last(Verify)), (Some((11, 11)), Some((11, 11))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_moved_is_served_no_more_until_the_move_is_given_up() {
    let shelf = Shelf::new();
    fill(&shelf, "old.db").await;
    shelf.copy("old.db", "new.db", false).await.unwrap();
    let refusal = shelf.serve("old.db").unwrap_err();
    assert_eq!(refusal.code(), "moved");
    let to = shelf.path("new.db").canonicalize().unwrap();
    assert_eq!(
        refusal.to_string(),
        format!(
            "the ledger is not in use: it was moved to sqlite:{} at 2023-11-14T22:30:00Z; use that ledger, or, if that one is lost, \
             `pylon-receiver migrate-ledger --give-up` makes this one usable again",
            to.display()
        )
    );
    let refusal = open_to_copy_into(shelf.path("old.db"), options(&shelf.clock)).unwrap_err();
    assert_eq!(refusal.code(), "moved");
    // To be looked at, it is there.
    assert_eq!(shelf.seen("old.db").await.stats.events, 10);
    // As long as the other one has it in use, it is not given up by mistake.
    assert_eq!(shelf.give_up("old.db", Some("new.db")).await, Err(CopyFault::InUse));
    assert!(!shelf.can_be_served("old.db"));
    // Nor copied elsewhere.
    let elsewhere = shelf.copy("old.db", "third.db", false).await;
    assert_eq!(elsewhere, Err(CopyFault::MovedElsewhere(format!("sqlite:{}", to.display()).into())));
    // The other one is lost.
    let given_up = shelf.give_up("old.db", None).await.unwrap();
    assert_eq!((given_up.moved_to, given_up.discarded), (Some(format!("sqlite:{}", to.display()).into()), None));
    assert!(shelf.can_be_served("old.db"));
    assert_eq!(shelf.copy("old.db", "new.db", true).await, Err(CopyFault::InUse), "not a second time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_again() {
    let shelf = Shelf::new();
    fill(&shelf, "first.db").await;
    let there = shelf.copy("first.db", "second.db", false).await.unwrap();
    let before = shelf.seen("second.db").await;
    let back = shelf.copy("second.db", "third.db", false).await.unwrap();
    assert_eq!(shelf.seen("third.db").await, before);
    assert_ne!(there.summary.copy, back.summary.copy);
    assert_eq!(there.summary.counts, back.summary.counts);
    assert!(shelf.can_be_served("third.db") && !shelf.can_be_served("second.db"));
}

/// A ledger with a line of its own that others join.
async fn own(shelf: &Shelf, name: &str) -> Seen {
    let ledger = shelf.serve(name).unwrap();
    // With the key of an event of the other ledger.
    let first = event(5).numbered(101).keyed("line", None).in_line("line", "x").to("app");
    keep(&ledger, &shelf.clock, first).await;
    keep(&ledger, &shelf.clock, event(6).numbered(101).in_line("line", "x")).await;
    ledger.keep_refused(refused(7, "too_large", "of its own"));
    ledger.check().await.unwrap();
    closed(ledger).await;
    shelf.seen(name).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_with_events_is_added_to_only_where_that_is_said() {
    let shelf = Shelf::new();
    let own = own(&shelf, "new.db").await;
    fill(&shelf, "old.db").await;
    assert_eq!(shelf.copy("old.db", "new.db", false).await, Err(CopyFault::NotEmpty(2)));
    assert!(shelf.can_be_served("new.db") && shelf.can_be_served("old.db"));
    let outcome = shelf.copy("old.db", "new.db", true).await.unwrap();
    // One of the keys was another event's.
    assert_eq!((outcome.summary.counts.events, outcome.summary.keys_taken), (10, 1));
    assert_eq!(outcome.summary.counts.deduplication_keys, 2);
    let both = shelf.seen("new.db").await;
    assert_eq!(both.events.len(), own.events.len() + 10);
    assert_eq!((both.stats.events, both.stats.refused), (12, 5));
    let stats: Vec<_> =
        both.stats.destinations.iter().map(|of| (of.destination.as_str(), of.waiting, of.held, of.dead)).collect();
    assert_eq!(stats, [("app", 2, 0, 0), ("dead", 1, 0, 1), ("line", 2, 5, 0)]);

    // The line that is shared: its own ones first, then the others in their order.
    let ledger = shelf.serve("new.db").unwrap();
    let mut order = Vec::new();
    for now in 3000..3010 {
        shelf.clock.set(at(now));
        let ask = Ask { destination: "line".into(), ..claim(now) };
        let claimed = ledger.exchange(ask.exchange()).await.unwrap().claimed.deliveries;
        for leased in claimed {
            order.push(leased.lease.delivery);
            let settlements = vec![Settlement { lease: leased.lease, verdict: Verdict::Delivered, attempt: None }];
            ledger.exchange(Exchange { destination: "line".into(), settlements, claim: None }).await.unwrap();
        }
    }
    let y = delivery(named(21, 0), 2);
    order.retain(|&id| id != y);
    let expected = [
        delivery(named(5, 101), 1),
        delivery(named(6, 101), 1),
        delivery(named(20, 0), 1),
        delivery(named(21, 0), 1),
        delivery(named(20, 0), 2),
        delivery(named(22, 0), 1),
    ];
    assert_eq!(order, expected);
    closed(ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_given_up_leaves_the_target_as_it_was() {
    let shelf = Shelf::new();
    let own = own(&shelf, "new.db").await;
    fill(&shelf, "old.db").await;
    closed(shelf.serve("old.db").unwrap()).await;
    let before = shelf.seen("old.db").await;
    let mut steps = 0;
    // At its first steps, in the middle, and when it is sealed.
    for calls in (4..).step_by(3) {
        let (source, target, left) = (shelf.source("old.db"), shelf.target("new.db"), AtomicUsize::new(calls));
        let frail = |ledger| Frail { ledger, left: &left, is_done: true };
        let (source_end, target_end) = (frail(&source), frail(&target));
        let copying = Copying { source: &source_end, target: &target_end, may_merge: true };
        let copied = copying.run(&mut |_| ()).await;
        closed(source).await;
        closed(target).await;
        if copied.is_ok()
            || shelf.target("new.db").copies().await.unwrap().iter().any(|copy| copy.state == CopyState::InUse)
        {
            break;
        }
        shelf.give_up("old.db", Some("new.db")).await.unwrap();
        assert_eq!(shelf.seen("new.db").await, own, "after {calls} calls");
        assert_eq!(shelf.seen("old.db").await, before, "after {calls} calls");
        assert!(shelf.can_be_served("new.db") && shelf.can_be_served("old.db"), "after {calls} calls");
        let keys: i64 = rusqlite::Connection::open(shelf.path("new.db"))
            .unwrap()
            .query_row("SELECT count(*) FROM deduplication_keys", [], |row| row.get(0))
            .unwrap();
        assert_eq!(keys, 1, "after {calls} calls");
        steps += 1;
    }
    assert!(steps > 4, "{steps}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_there_is_the_same_or_a_fault() {
    let shelf = Shelf::new();
    let new = shelf.serve("new.db").unwrap();
    let parked = event(24).parked("it is not JSON").with_body(b"\xff\x00");
    keep(&new, &shelf.clock, parked).await;
    closed(new).await;
    fill(&shelf, "old.db").await;
    shelf.duplicate("old.db", "old-too.db");
    shelf.duplicate("new.db", "other.db");
    let outcome = shelf.copy("old.db", "new.db", true).await.unwrap();
    assert_eq!((outcome.summary.events_there_before, outcome.summary.counts.events), (1, 10));
    assert_eq!(shelf.seen("new.db").await.stats.events, 10);

    let other = shelf.serve("other.db").unwrap();
    keep(&other, &shelf.clock, event(0).with_body("{\"another\": 1}")).await;
    closed(other).await;
    let before = shelf.seen("other.db").await;
    let fault = shelf.copy("old-too.db", "other.db", true).await.unwrap_err();
    assert_eq!(fault, CopyFault::Differs { count: 1, first: vec![named(0, 0).to_string()] });
    assert!(shelf.can_be_served("old-too.db") && !shelf.can_be_served("other.db"));
    shelf.give_up("old-too.db", Some("other.db")).await.unwrap();
    assert_eq!(shelf.seen("other.db").await, before);
}

/// A target that shows something else than it has.
struct Lying<'l, L> {
    ledger: &'l L,
    lie: Lie,
}

/// What it shows.
#[derive(Clone, Copy)]
enum Lie {
    Key(fn(&mut Option<KeyCopy>)),
    Event(fn(&mut Option<EventCopy>)),
    Refused(fn(&mut Option<RefusedCopy>)),
    Fewer,
}

macro_rules! honest {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        fn $name(&self, $($argument: $type),*) -> LedgerFuture<'_, $answer> {
            self.ledger.$name($($argument),*)
        }
    )*};
}

impl<L: CopyTarget> CopyTarget for Lying<'_, L> {
    honest! {
        target_place() -> CopyPlace;
        copies() -> Vec<Incoming>;
        count_events() -> u64;
        begin_copy(head: CopyHead) -> ();
        put_keys(copy: CopyId, keys: Vec<KeyCopy>) -> Vec<PutKey>;
        put_events(copy: CopyId, events: Vec<EventCopy>) -> Vec<Put>;
        put_refused(copy: CopyId, refused: Vec<RefusedCopy>) -> Vec<Put>;
        seal_copy(copy: CopyId) -> ();
        release_copy(copy: CopyId) -> u64;
        discard_copy(copy: CopyId) -> u64;
    }

    fn found_keys(&self, copy: CopyId, names: Vec<KeyName>) -> LedgerFuture<'_, Vec<Option<KeyCopy>>> {
        Box::pin(async move {
            let mut found = self.ledger.found_keys(copy, names).await?;
            if let Lie::Key(lie) = self.lie {
                found.iter_mut().for_each(lie);
            }
            Ok(found)
        })
    }

    fn found_events(&self, copy: CopyId, ids: Vec<EventId>) -> LedgerFuture<'_, Vec<Option<EventCopy>>> {
        Box::pin(async move {
            let mut found = self.ledger.found_events(copy, ids).await?;
            match self.lie {
                Lie::Event(lie) => found.iter_mut().for_each(lie),
                Lie::Fewer => drop(found.pop()),
                _ => {}
            }
            Ok(found)
        })
    }

    fn found_refused(&self, copy: CopyId, numbers: Vec<u64>) -> LedgerFuture<'_, Vec<Option<RefusedCopy>>> {
        Box::pin(async move {
            let mut found = self.ledger.found_refused(copy, numbers).await?;
            if let Lie::Refused(lie) = self.lie {
                found.iter_mut().for_each(lie);
            }
            Ok(found)
        })
    }
}

/// The event that the lies below are about.
fn lied_about(found: &mut Option<EventCopy>) -> Option<&mut EventCopy> {
    found.as_mut().filter(|event| event.id == named(20, 0))
}

/// Lies, and the first sentences of what is found of each.
fn lies() -> Vec<(Lie, Vec<String>)> {
    let id = named(20, 0);
    let event = |what: &str| format!("event {id}: {what}");
    vec![
        (Lie::Fewer, vec![format!("event {}: found none", named(25, 0))]),
        (Lie::Event(|found| *found = found.take().filter(|event| event.id != named(20, 0))), vec![event("found none")]),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| event.body = "{ }".into())),
            vec![event("body")],
        ),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| event.query = Some("".into()))),
            vec![event("query")],
        ),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| drop(event.deliveries.pop()))),
            vec![event("2 deliveries, found 1")],
        ),
        (
            Lie::Event(|found| {
                lied_about(found).into_iter().for_each(|event| event.deliveries[0].state = DeliveryState::Held)
            }),
            vec![event("delivery 1: state waiting, found held")],
        ),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| event.deliveries[0].due = Some(0))),
            vec![event("delivery 1: due time")],
        ),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| event.deliveries[1].place = Some(1))),
            vec![event("delivery 2: place in the order")],
        ),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| event.deliveries[0].log.clear())),
            vec![event("delivery 1: log of attempts")],
        ),
        (
            Lie::Event(|found| {
                lied_about(found).into_iter().for_each(|event| event.deliveries[0].log[0].answer = None)
            }),
            vec![event("delivery 1: log of attempts")],
        ),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| event.deliveries[0].log[0].code = None)),
            vec![event("delivery 1: log of attempts")],
        ),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| event.deliveries[0].code = None)),
            vec![event("delivery 1: code")],
        ),
        (
            Lie::Event(|found| {
                let answers =
                    lied_about(found).into_iter().filter_map(|event| event.deliveries[0].log[0].answer.as_mut());
                answers.for_each(|answer| answer.is_cut = !answer.is_cut);
            }),
            vec![event("delivery 1: log of attempts")],
        ),
        (
            Lie::Event(|found| lied_about(found).into_iter().for_each(|event| event.deliveries[0].uncounted += 1)),
            vec![event("delivery 1: attempts")],
        ),
        (
            Lie::Key(|found| *found = found.take().filter(|key| key.event != named(20, 0))),
            vec![format!("the deduplication key of event {id}: found none")],
        ),
        (
            Lie::Key(|found| {
                found.iter_mut().filter(|key| key.event == named(20, 0)).for_each(|key| key.expires = None)
            }),
            vec![format!("the deduplication key of event {id}: found another expiry")],
        ),
        (
            Lie::Refused(|found| {
                found.iter_mut().filter(|refused| refused.number == 2).for_each(|refused| refused.status = 200)
            }),
            vec!["refused request 2: found another".to_owned()],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_target_has_otherwise_is_found_before_anything_is_moved() {
    let shelf = Shelf::new();
    fill(&shelf, "old.db").await;
    for (number, (lie, expected)) in lies().into_iter().enumerate() {
        let (source, target) = (shelf.source("old.db"), shelf.target("new.db"));
        let lying = Lying { ledger: &target, lie };
        let copying = Copying { source: &source, target: &lying, may_merge: false };
        let fault = copying.run(&mut |_| ()).await.unwrap_err();
        closed(source).await;
        closed(target).await;
        let CopyFault::Unequal { count, first } = &fault else { panic!("{number}: {fault}") };
        assert_eq!(first[..expected.len()], expected, "{number}");
        // The hash differs too, and where something is missing, the numbers.
        assert!(first.last().unwrap().starts_with("expected the SHA-256 "), "{number}: {first:?}");
        assert_eq!(*count, first.len() as u64);
        assert!(shelf.can_be_served("old.db") && !shelf.can_be_served("new.db"), "{number}");
    }
    shelf.copy("old.db", "new.db", false).await.unwrap();
    assert!(shelf.can_be_served("new.db"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_copied_is_refused_with_a_sentence() {
    let shelf = Shelf::new();
    fill(&shelf, "old.db").await;
    // A copy of its own file.
    shelf.duplicate("old.db", "backup.db");
    assert_eq!(shelf.copy("old.db", "backup.db", true).await, Err(CopyFault::SameLedger));
    // One that is served.
    let served = shelf.serve("old.db").unwrap();
    let refusal = open_to_copy_from(shelf.path("old.db"), options(&shelf.clock)).unwrap_err();
    assert_eq!(refusal.code(), "in_use");
    closed(served).await;
    // One that is not there is not made.
    let refusal = open_to_copy_from(shelf.path("none.db"), options(&shelf.clock)).unwrap_err();
    assert_eq!(refusal.to_string(), format!("the ledger failed: there is no file {}", shelf.path("none.db").display()));
    assert!(!shelf.path("none.db").exists());
    // A copy into it has not ended.
    shelf.copy_frailly("old.db", "new.db", 14, false).await.unwrap_err();
    let refusal = open_to_copy_from(shelf.path("new.db"), options(&shelf.clock)).unwrap_err();
    assert_eq!(refusal.code(), "moved");
    // Nor does another one begin meanwhile.
    own(&shelf, "third.db").await;
    let name = format!("sqlite:{}", shelf.path("old.db").canonicalize().unwrap().display());
    assert_eq!(shelf.copy("third.db", "new.db", true).await, Err(CopyFault::Unfinished(name.into())));
    // A restored source does not know that everything of it is there, and is not asked to begin anew.
    shelf.duplicate("old.db", "restored.db");
    closed(shelf.serve("restored.db").unwrap()).await;
    let mut calls = 14;
    while !shelf.target("new.db").copies().await.unwrap().iter().any(|copy| copy.state == CopyState::Sealed) {
        shelf.copy_frailly("old.db", "new.db", calls, true).await.unwrap_err();
        calls += 1;
        assert!(calls < 100, "it is never sealed");
    }
    assert_eq!(shelf.copy("restored.db", "new.db", true).await, Err(CopyFault::Sealed));
    // The right one goes on.
    shelf.copy("old.db", "new.db", true).await.unwrap();
    assert_eq!(shelf.copy("restored.db", "new.db", true).await, Err(CopyFault::InUse));
    // The target was replaced.
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(shelf.path(&format!("new.db{suffix}")));
    }
    let fault = shelf.copy("old.db", "new.db", false).await.unwrap_err();
    assert!(matches!(fault, CopyFault::MovedElsewhere(_)), "{fault}");
    for fault in [CopyFault::SameLedger, CopyFault::Sealed, CopyFault::InUse, CopyFault::Lost, CopyFault::NotEmpty(2)] {
        assert!(fault.to_string().contains(';') || fault.to_string().contains(':'), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_was_restored_from_before_the_copy_is_told_of() {
    let shelf = Shelf::new();
    fill(&shelf, "old.db").await;
    closed(shelf.serve("new.db").unwrap()).await;
    shelf.duplicate("new.db", "before.db");
    shelf.copy("old.db", "new.db", false).await.unwrap();
    std::fs::copy(shelf.path("before.db"), shelf.path("new.db")).unwrap();
    assert_eq!(shelf.copy("old.db", "new.db", false).await, Err(CopyFault::Lost));
    shelf.give_up("old.db", Some("new.db")).await.unwrap();
    shelf.copy("old.db", "new.db", false).await.unwrap();
    assert_eq!(shelf.seen("new.db").await.stats.events, 10);
}

/// More events than fit into a page.
const MANY: u32 = 2600;

/// Makes a ledger with many events in five lines, some of them large.
async fn fill_many(shelf: &Shelf, name: &str) {
    let ledger = Arc::new(shelf.serve(name).unwrap());
    let mut recording = tokio::task::JoinSet::new();
    for number in 0..MANY {
        let body = if number % 100 == 0 { "x".repeat(200_000) } else { "{}".to_owned() };
        let mut random = [0; 10];
        random[6..].copy_from_slice(&number.to_be_bytes());
        let id =
            EventId::new(Moment::from_unix_milliseconds(at(0).unix_milliseconds() + i64::from(number % 7)), random);
        let key = format!("{number}");
        let event = NewEvent {
            id,
            ..event(0).with_body(body).keyed(&key, Some(9999)).in_line("line", &format!("{}", number % 5))
        };
        let ledger = ledger.clone();
        recording.spawn(async move { ledger.record(event).await.unwrap() });
        if recording.len() > 500 {
            recording.join_next().await.unwrap().unwrap();
        }
    }
    recording.join_all().await;
    ledger.close().await.unwrap();
    drop(ledger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_go_page_by_page() {
    let shelf = Shelf::new();
    fill_many(&shelf, "old.db").await;
    shelf.clock.set(at(NOW));
    let before = shelf.seen("old.db").await.stats;
    // As a task of its own, as a program that goes on with others would.
    let (from, to, clock) = (shelf.path("old.db"), shelf.path("new.db"), shelf.clock.clone());
    let outcome = tokio::spawn(async move { moved(&from, &to, &clock).await }).await.unwrap();
    let deliveries = DeliveryCounts { waiting: 5, held: u64::from(MANY) - 5, ..DeliveryCounts::default() };
    assert_eq!(outcome.summary.counts.deliveries, deliveries);
    assert_eq!(outcome.summary.counts.deduplication_keys, u64::from(MANY));
    assert_eq!(shelf.seen("new.db").await.stats, before);
    // In the order in which they were recorded, not in that of their ids.
    let order = |name: &str| -> Vec<Vec<u8>> {
        let connection = rusqlite::Connection::open(shelf.path(name)).unwrap();
        let mut select = connection
            .prepare("SELECT id FROM deliveries JOIN events ON events.seq = event_seq ORDER BY deliveries.seq")
            .unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let (old, new) = (order("old.db"), order("new.db"));
    assert_eq!(old.len(), MANY as usize);
    assert!(!old.is_sorted());
    assert_eq!(old, new);
}
