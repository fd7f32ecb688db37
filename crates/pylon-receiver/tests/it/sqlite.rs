//! What belongs to the SQLite file, and not to every ledger.

mod terms;

#[cfg(feature = "postgres")]
pub(crate) use terms::{block_of, hash};

use crate::ledger::by_hand::ByHand;
use crate::ledger::contract::{Ask, Draft, Hands, all, at, claim, delivery, event, refused};
use pylon_receiver::ledger::*;
use rusqlite::Connection;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Whoever waits longer waits for what does not come.
const LONGEST: Duration = Duration::from_secs(20);

/// A commit observer that remembers.
#[derive(Default)]
struct Observer {
    jobs: Mutex<Vec<usize>>,
    failed: Mutex<usize>,
}

impl CommitObserver for Observer {
    fn committed(&self, jobs: usize, _: Duration) {
        self.jobs.lock().unwrap().push(jobs);
    }

    fn failed(&self) {
        *self.failed.lock().unwrap() += 1;
    }
}

struct Files {
    folder: TempDir,
    observer: Arc<Observer>,
    clock: Hands,
}

impl Files {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), observer: Arc::default(), clock: Hands::new() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("pylon.db")
    }

    fn open(&self, queue: usize) -> SqliteLedger {
        let clock = Arc::new(self.clock.clone());
        let options = SqliteOptions {
            queue,
            refused: 5,
            clock,
            observer: Some(self.observer.clone()),
            ..SqliteOptions::default()
        };
        SqliteLedger::open(self.path(), options).unwrap()
    }

    /// Another program's connection to the file.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// The files, by name.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONGEST, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What a claim leases, in the ledger's words.
async fn taken(ledger: &SqliteLedger, ask: Ask) -> Claimed {
    ledger.exchange(ask.exchange()).await.unwrap().claimed
}

fn names(claimed: &Claimed) -> Vec<pylon_receiver::DeliveryId> {
    claimed.deliveries.iter().map(|leased| leased.lease.delivery).collect()
}

fn ids(events: &[EventRecord]) -> Vec<pylon_receiver::EventId> {
    events.iter().map(|event| event.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_told_at_once_and_what_waits_is_committed_later() {
    let files = Files::new();
    let ledger = Arc::new(files.open(2));
    let blocker = files.connect();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    let mut busy = None;
    for number in 0..10 {
        let (ledger, event) = (ledger.clone(), event(i64::from(number)).numbered(number));
        let mut recording = Box::pin(async move { ledger.record(event).await });
        // What there is no room for is answered at the first asking.
        match tokio::time::timeout(Duration::from_millis(50), &mut recording).await {
            Ok(answer) => {
                busy = Some(answer);
                break;
            }
            Err(_) => drop(waiting.spawn(recording)),
        }
    }
    assert_eq!(busy, Some(Err(LedgerError::Busy)));
    assert!((2..=3).contains(&waiting.len()), "{}", waiting.len());
    blocker.execute_batch("COMMIT").unwrap();
    for answer in waiting.join_all().await {
        assert_eq!(answer, Ok(Recorded::Stored));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_piece_of_work_that_fails_fails_alone() {
    let files = Files::new();
    let ledger = Arc::new(files.open(100));
    assert_eq!(ledger.record(event(0)).await, Ok(Recorded::Stored));
    let blocker = files.connect();
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.endpoint = 'poison' BEGIN SELECT RAISE(ABORT, 'no'); END";
    blocker.execute_batch(poison).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // They wait behind the first, to be committed at once; the fifth cannot be.
    let recordings: Vec<_> = (0..9)
        .map(|number| {
            let event = event(i64::from(number)).numbered(number + 1);
            let event = if number == 5 { event.through("poison") } else { event };
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.record(event).await })
        })
        .collect();
    tokio::task::yield_now().await;
    blocker.execute_batch("COMMIT").unwrap();
    for (number, recording) in recordings.into_iter().enumerate() {
        let answer = recording.await.unwrap();
        match number {
            5 => assert_eq!(answer.unwrap_err().code(), "failed"),
            _ => assert_eq!(answer, Ok(Recorded::Stored)),
        }
    }
    assert_eq!(ledger.events(EventFilter::default(), all()).await.unwrap().len(), 9);
    assert!(*files.observer.failed.lock().unwrap() >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pieces_of_work_share_a_commit_and_the_observer_is_told() {
    let files = Files::new();
    let ledger = Arc::new(files.open(100));
    let blocker = files.connect();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut recordings: Vec<_> = (0..20)
        .map(|number| {
            let ledger = ledger.clone();
            Box::pin(async move { ledger.record(event(i64::from(number)).numbered(number)).await })
        })
        .collect();
    // Each is in the queue once it was asked for the first time.
    for recording in &mut recordings {
        assert!(polled(recording.as_mut()).await.is_none());
    }
    blocker.execute_batch("COMMIT").unwrap();
    for recording in recordings {
        assert_eq!(recording.await, Ok(Recorded::Stored));
    }
    let jobs = files.observer.jobs.lock().unwrap().clone();
    assert_eq!(jobs.iter().sum::<usize>(), 20, "{jobs:?}");
    assert!(jobs.len() <= 2, "{jobs:?}");
    assert_eq!(*files.observer.failed.lock().unwrap(), 0);
}

/// Asks a future once.
pub(crate) async fn polled<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut future).poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn the_file_says_what_it_is() {
    let files = Files::new();
    let ledger = files.open(100);
    let connection = files.connect();
    let text = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0)).unwrap();
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(text("journal_mode"), "wal");
    assert_eq!(number("application_id"), i64::from(u32::from_be_bytes(*b"PyLR")));
    assert_eq!(number("user_version"), 6);
    assert_eq!(text("integrity_check"), "ok");
    drop(ledger);
}

/// A ledger of the first version, with refused requests.
fn first_version(files: &Files, refused: &[(Option<&str>, &str)]) {
    let connection = Connection::open(files.path()).unwrap();
    connection.execute_batch(include_str!("../../src/ledger/sqlite/schema/001.sql")).unwrap();
    connection.pragma_update(None, "application_id", u32::from_be_bytes(*b"PyLR")).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    for (endpoint, code) in refused {
        connection
            .execute(
                "INSERT INTO refused (at_ms, endpoint, code, reason, status, method, path, remote, headers, body, body_length)
                 VALUES (0, ?1, ?2, 'before', 400, 'POST', '/', '127.0.0.1:1', x'', x'', 0)",
                rusqlite::params![endpoint, code],
            )
            .unwrap();
    }
    connection.execute("UPDATE ledger SET refused = ?1", [refused.len()]).unwrap();
}

#[tokio::test]
async fn a_ledger_of_the_first_version_is_brought_up_to_date_with_what_is_in_it() {
    let files = Files::new();
    first_version(&files, &[(None, "unknown_path"), (Some("main"), "too_large"), (None, "unknown_path")]);
    let ledger = files.open(100);
    ledger.keep_refused(refused(0, "too_large", "after"));
    ledger.check().await.unwrap();
    assert_eq!(ledger.stats().await.unwrap().refused, 4);
    let mut select = files.connect();
    let select = select.transaction().unwrap();
    let mut totals = select.prepare("SELECT endpoint, code, kept FROM refused_totals ORDER BY endpoint").unwrap();
    let totals = totals.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let totals: Vec<(String, String, i64)> = totals.map(Result::unwrap).collect();
    let expected = [("", "unknown_path", 2), ("main", "too_large", 2)];
    assert_eq!(totals, expected.map(|(endpoint, code, kept)| (endpoint.to_owned(), code.to_owned(), kept)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_refused_requests_than_before_are_kept_step_by_step() {
    let files = Files::new();
    first_version(&files, &[(Some("main"), "too_large"); 100]);
    let ledger = files.open(100);
    for expected in [37, 5, 5] {
        ledger.keep_refused(refused(0, "too_large", "after"));
        ledger.check().await.unwrap();
        assert_eq!(ledger.stats().await.unwrap().refused, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_read_beside_the_one_that_writes_and_write_nothing() {
    let files = Files::new();
    let ledger = files.open(100);
    let reader = SqliteLedger::open_read_only(files.path()).unwrap();
    for number in 0..3 {
        ledger.record(event(i64::from(number)).numbered(number)).await.unwrap();
        let read = reader.events(EventFilter::default(), all()).await.unwrap();
        assert_eq!(ids(&read), ids(&ledger.events(EventFilter::default(), all()).await.unwrap()));
        assert_eq!(read.len(), usize::from(number) + 1);
    }
    assert_eq!(reader.record(event(9)).await, Err(LedgerError::ReadOnly));
    assert_eq!(reader.exchange(claim(0).exchange()).await.unwrap_err(), LedgerError::ReadOnly);
    assert_eq!(reader.check().await, Err(LedgerError::ReadOnly));
    assert_eq!(reader.close().await, Ok(()));
    assert_eq!(ledger.check().await, Ok(()));
}

#[test]
fn nothing_is_made_by_reading() {
    let files = Files::new();
    let error = SqliteLedger::open_read_only(files.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("the ledger failed: there is no file {}", files.path().display()));
    assert_eq!(files.names(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_leaves_one_file_that_opens_again() {
    let files = Files::new();
    let ledger = files.open(100);
    ledger.record(event(0).to("app")).await.unwrap();
    assert!(files.names().contains(&"pylon.db-wal".to_owned()));
    ledger.close().await.unwrap();
    assert_eq!(files.names(), ["pylon.db"]);
    // Closed, it lets the file go, although it still is there to be asked.
    let again = files.open(100);
    assert_eq!(taken(&again, claim(1)).await.deliveries.len(), 1);
    assert_eq!(ledger.record(event(1)).await, Err(LedgerError::Closed));
    assert_eq!(ledger.close().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_end_when_the_file_is_opened() {
    let files = Files::new();
    let mut ledger = files.open(100);
    ledger.record(event(0).to("app")).await.unwrap();
    for attempt in 1..=3 {
        assert_eq!(taken(&ledger, claim(1)).await.deliveries[0].attempt, attempt);
        assert_eq!(taken(&ledger, claim(1)).await.deliveries.len(), 0);
        drop(ledger);
        ledger = files.open(100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_else_holds_is_waited_for_and_then_told() {
    let files = Files::new();
    let ledger = Arc::new(files.open(100));
    let blocker = files.connect();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let recording = {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.record(event(0)).await })
    };
    eventually("it gives up", || recording.is_finished()).await;
    let error = recording.await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger is in use: database is locked; stop the other process or give this one a ledger of its own"
    );
    blocker.execute_batch("COMMIT").unwrap();
    assert_eq!(ledger.record(event(0)).await, Ok(Recorded::Stored));
    let stats = ledger.stats().await.unwrap();
    assert!(stats.ledger_bytes > 0);
}

#[test]
fn where_nobody_may_write_nothing_is_opened() {
    // Not even root makes files there.
    let error = SqliteLedger::open("/sys/pylon.db", SqliteOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger is read-only: expected to write, found that this is not allowed; let the receiver write where the ledger is \
         stored"
    );
}

/// How often this process has the file open.
#[cfg(target_os = "linux")]
pub(crate) fn descriptors_of(path: &std::path::Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target == path).count()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_read_four_connections_do() {
    let files = Files::new();
    let ledger = Arc::new(files.open(100));
    for number in 0..50 {
        ledger.record(event(i64::from(number)).numbered(number)).await.unwrap();
    }
    let path = files.path().canonicalize().unwrap();
    let before = descriptors_of(&path);
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let ledger = ledger.clone();
        reads.spawn(async move { ledger.events(EventFilter::default(), all()).await.unwrap().len() });
    }
    assert_eq!(reads.join_all().await, [50; 200]);
    // One reads from the start on.
    let opened = descriptors_of(&path) - before;
    assert!(opened <= 3, "{opened}");
    ledger.close().await.unwrap();
    assert_eq!(ledger.events(EventFilter::default(), all()).await, Err(LedgerError::Closed));
}

#[test]
fn another_name_of_an_open_ledger_is_refused() {
    let files = Files::new();
    let ledger = files.open(100);
    let elsewhere = TempDir::new().unwrap();
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(files.path(), &link).unwrap();
    let path = files.path().canonicalize().unwrap();
    let in_use = LedgerError::InUse(format!("{} is open in another receiver", path.display()).into());
    assert_eq!(SqliteLedger::open(&link, SqliteOptions::default()).unwrap_err(), in_use);
    drop(ledger);
    SqliteLedger::open(&link, SqliteOptions::default()).unwrap();
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1, "all else lies beside the file itself");
}

/// Damages the first page that holds nothing but these bytes of a body: it names a next page that there is none of.
fn damage_body(file: &std::path::Path, marker: u8) {
    const PAGE: usize = 4096;
    let bytes = std::fs::read(file).unwrap();
    let is_of_body = |page: &[u8]| page[4..].iter().all(|&byte| byte == marker);
    let page = bytes.chunks(PAGE).position(is_of_body).expect("the body is longer than a page");
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&0x7fff_fff0u32.to_be_bytes(), (page * PAGE) as u64).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_body_is_damaged_is_dead_and_holds_up_no_other() {
    let files = Files::new();
    let ledger = files.open(100);
    let damaged = event(0).with_body([b'M'; 20_000]).to("app");
    let sound = event(1).with_body([b'S'; 20_000]).to("app");
    let (damaged_id, sound_id) = (delivery(damaged.id, 1), delivery(sound.id, 1));
    for event in [damaged, sound] {
        ledger.record(event).await.unwrap();
    }
    ledger.close().await.unwrap();
    damage_body(&files.path(), b'M');
    let ledger = files.open(100);
    let blocker = files.connect();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The claim shares its commit with one of these at least.
    let claim = claim(9).exchange();
    let (mut before, mut between, mut claiming, mut after) =
        (ledger.record(event(2)), ledger.record(event(3)), ledger.exchange(claim), ledger.record(event(4)));
    for recording in [&mut before, &mut between] {
        assert!(polled(recording.as_mut()).await.is_none());
    }
    assert!(polled(claiming.as_mut()).await.is_none());
    assert!(polled(after.as_mut()).await.is_none());
    blocker.execute_batch("COMMIT").unwrap();
    for recording in [before, between, after] {
        assert_eq!(recording.await, Ok(Recorded::Stored));
    }
    let claimed = claiming.await.unwrap().claimed;
    assert_eq!((names(&claimed), &*claimed.exhausted), (vec![sound_id], &[damaged_id][..]));
    assert_eq!(claimed.deliveries[0].body, [b'S'; 20_000].as_slice());
    let dead = DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
    let dead = ledger.deliveries(dead, all()).await.unwrap();
    let dead: Vec<_> = dead.iter().map(|record| (record.id, record.reason.as_deref())).collect();
    assert_eq!(dead, [(damaged_id, Some("its event cannot be read: the ledger is damaged"))]);
    assert_eq!(ledger.events(EventFilter::default(), all()).await.unwrap().len(), 5);
    // That the file is damaged is told all the same.
    assert_eq!(ledger.check().await.unwrap_err().code(), "damaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_meets_several_damaged_bodies_needs_nobody_to_ask_again() {
    let files = Files::new();
    let ledger = files.open(100);
    for (second, marker) in (0..).zip(*b"MSNOS") {
        ledger.record(event(second).with_body([marker; 20_000]).to("app")).await.unwrap();
    }
    ledger.close().await.unwrap();
    b"MNO".iter().for_each(|&marker| damage_body(&files.path(), marker));
    let claimed = taken(&files.open(100), claim(9)).await;
    let of_event = |second| delivery(event(second).id, 1);
    assert_eq!(names(&claimed), [1, 4].map(of_event));
    assert_eq!(claimed.exhausted, [0, 2, 3].map(of_event));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_are_exhausted_at_once_are_ended_a_limited_number_at_a_claim() {
    const EXHAUSTED: usize = 1000;
    let files = Files::new();
    let mut ledger = files.open(EXHAUSTED);
    let recordings = (0..EXHAUSTED as i64).map(|second| ledger.record(event(second).to("app")));
    let mut recordings: Vec<_> = recordings.collect();
    for recording in &mut recordings {
        let _ = polled(recording.as_mut()).await.map(Result::unwrap);
    }
    for recording in recordings {
        assert_eq!(recording.await, Ok(Recorded::Stored));
    }
    // Twice interrupted, each has had one attempt.
    for _ in 0..2 {
        let everything = Ask { free: EXHAUSTED, ..claim(5000) };
        assert_eq!(taken(&ledger, everything).await.deliveries.len(), EXHAUSTED);
        drop(ledger);
        ledger = files.open(100);
    }
    let sound = event(6000).to("app");
    let sound_id = delivery(sound.id, 1);
    ledger.record(sound).await.unwrap();
    let lowered = Ask { most_attempts: 1, repeats_first: 1, ..claim(7000) };
    let (mut ended, mut claims) = (0, 0);
    let claimed = loop {
        let claimed = taken(&ledger, lowered.clone()).await;
        claims += 1;
        ended += claimed.exhausted.len();
        assert!(claimed.exhausted.len() <= 256, "{}", claimed.exhausted.len());
        if !claimed.deliveries.is_empty() {
            break claimed;
        }
        assert!(claimed.next_due.is_some_and(|due| due.is_zero()), "{:?}", claimed.next_due);
        assert!(claims < 5, "the sound one is not found");
    };
    assert_eq!((ended, names(&claimed)), (EXHAUSTED, vec![sound_id]));
}

/// Where the writer's statements stand; each of them is text of its own.
const WRITER: [&str; 9] = [
    include_str!("../../src/ledger/sqlite/claim.rs"),
    include_str!("../../src/ledger/sqlite/lease.rs"),
    include_str!("../../src/ledger/sqlite/transaction.rs"),
    include_str!("../../src/ledger/sqlite/prune.rs"),
    include_str!("../../src/ledger/sqlite/reassign.rs"),
    include_str!("../../src/ledger/sqlite/record.rs"),
    include_str!("../../src/ledger/sqlite/refused.rs"),
    include_str!("../../src/ledger/sqlite/redeliver.rs"),
    include_str!("../../src/ledger/sqlite/settle.rs"),
];

#[test]
fn every_statement_of_the_writer_finds_its_rows_by_an_index() {
    let files = Files::new();
    drop(files.open(100));
    let connection = files.connect();
    let texts = WRITER.iter().flat_map(|source| source.split('"')).map(str::trim_start);
    let is_statement = |text: &&str| ["SELECT ", "UPDATE ", "DELETE "].iter().any(|word| text.starts_with(word));
    let mut found = 0;
    for statement in texts.filter(is_statement) {
        let mut explaining = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let mut rows = explaining.raw_query();
        let mut plan = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push(row.get::<_, String>(3).unwrap());
        }
        // Of leases there are few, and by their owner they are looked for only when it stops.
        // Of refused requests there are few totals: one for each reason at each endpoint.
        let is_few =
            |step: &str| step == "SCAN refused_totals" || step == "SCAN leases" && statement.contains("owner = ?1");
        let is_search = |step: &String| !step.starts_with("SCAN") || is_few(step);
        assert!(plan.iter().all(is_search), "{statement}: {plan:?}");
        // All that waits is in order already: a claim takes the first of it.
        let is_sorting = plan.iter().any(|step| step == "USE TEMP B-TREE FOR ORDER BY");
        assert!(!is_sorting || !statement.contains("state = 10"), "{statement}: {plan:?}");
        if statement.contains("INDEXED BY deliveries_of_event") {
            assert_eq!(plan, ["SEARCH deliveries USING INDEX deliveries_of_event (event_seq=?)"]);
            found += 1;
        }
    }
    assert_eq!(found, 1, "the statement of a redelivery");
}

/// What reads the groups of the dead; its statements are text of their own.
const READ: &str = include_str!("../../src/ledger/sqlite/read.rs");

#[test]
fn the_first_and_the_last_of_a_group_of_the_dead_are_found_by_the_index() {
    let files = Files::new();
    drop(files.open(100));
    let connection = files.connect();
    let groups = READ.split("fn dead_groups").nth(1).unwrap().split("\n}\n").next().unwrap();
    let ends = groups.split('"').filter(|text| text.contains("code IS ?2"));
    let mut plans = Vec::new();
    for statement in ends {
        let mut explaining = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let steps = explaining.query_map([None::<&str>; 2], |row| row.get::<_, String>(3)).unwrap();
        plans.push(steps.map(Result::unwrap).collect::<Vec<_>>());
    }
    let by_index = "SEARCH deliveries USING COVERING INDEX deliveries_dead (destination=? AND code=?)".to_owned();
    assert_eq!(plans.len(), 2);
    for plan in plans {
        assert!(plan.contains(&by_index), "{plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN ") || step.contains("B-TREE")), "{plan:?}");
    }
}

#[tokio::test]
async fn what_died_in_an_earlier_version_is_a_group_without_a_code() {
    let files = Files::new();
    let earlier = files.connect();
    earlier.execute_batch(include_str!("../../src/ledger/sqlite/schema/001.sql")).unwrap();
    earlier.pragma_update(None, "application_id", u32::from_be_bytes(*b"PyLR")).unwrap();
    earlier.pragma_update(None, "user_version", 1).unwrap();
    for seq in 1_i64..=3 {
        let id = event(seq).id;
        earlier
            .execute(
                "INSERT INTO events (seq, id, endpoint, name, method, target, headers, body)
                 VALUES (?1, ?2, 'main', '', 'POST', '/', x'', x'')",
                rusqlite::params![seq, id.as_bytes()],
            )
            .unwrap();
        earlier
            .execute(
                "INSERT INTO deliveries (seq, event_seq, number, destination, state, at_ms, attempts, reason)
                 VALUES (?1, ?1, 1, 'app', 21, ?2, 1, 'gave up')",
                rusqlite::params![seq, at(seq).unix_milliseconds()],
            )
            .unwrap();
        earlier.execute("INSERT INTO attempts VALUES (?1, 1, 0, 5, 500, 'answered 500')", [seq]).unwrap();
    }
    earlier.execute("INSERT INTO totals VALUES ('app', 0, 0, 3)", []).unwrap();
    drop(earlier);
    let ledger = files.open(100);
    let group = |dead, last: i64| DeadGroup {
        destination: "app".into(),
        code: None,
        dead,
        first_at: at(1),
        last_at: at(last),
        sample: delivery(event(last).id, 1),
        reason: Some("gave up".into()),
        answer: None,
    };
    assert_eq!(ledger.dead_groups().await, Ok(vec![group(3, 3)]));
    assert_eq!(ledger.drop_dead(vec![delivery(event(3).id, 1)]).await, Ok(1));
    assert_eq!(ledger.dead_groups().await, Ok(vec![group(2, 2)]));
    let log = ledger.event(event(1).id).await.unwrap().unwrap().deliveries.remove(0).1;
    assert_eq!((log[0].code.as_deref(), log[0].answer.as_ref()), (None, None));
}

#[tokio::test]
async fn what_waits_in_a_ledger_of_an_earlier_version_is_new_or_a_repeat() {
    let files = Files::new();
    let earlier = files.connect();
    earlier.execute_batch(include_str!("../../src/ledger/sqlite/schema/001.sql")).unwrap();
    earlier.pragma_update(None, "application_id", u32::from_be_bytes(*b"PyLR")).unwrap();
    earlier.pragma_update(None, "user_version", 1).unwrap();
    // Attempts, interruptions and whether an operator ordered it; the longest due first.
    let rows = [(1, 0, false), (0, 2, false), (0, 0, true), (0, 1, false), (0, 0, false)];
    for (seq, (attempts, interruptions, is_ordered)) in (1_i64..).zip(rows) {
        let id = event(seq).id;
        earlier
            .execute(
                "INSERT INTO events (seq, id, endpoint, name, method, target, headers, body)
                 VALUES (?1, ?2, 'main', '', 'POST', '/', x'', x'')",
                rusqlite::params![seq, id.as_bytes()],
            )
            .unwrap();
        earlier
            .execute(
                "INSERT INTO deliveries (event_seq, number, destination, state, at_ms, attempts, interruptions, created_at_ms)
                 VALUES (?1, 1, 'app', 10, ?1, ?2, ?3, ?4)",
                rusqlite::params![seq, attempts, interruptions, is_ordered.then_some(0)],
            )
            .unwrap();
    }
    drop(earlier);
    let ledger = files.open(100);
    let claimed = taken(&ledger, claim(100)).await;
    let told = |leased: &LeasedDelivery| (leased.lease.delivery, leased.is_repeat);
    let expected = [(4, false), (5, false), (1, true), (2, true), (3, true)];
    let expected = expected.map(|(seq, is_repeat)| (delivery(event(seq).id, 1), is_repeat));
    assert_eq!(claimed.deliveries.iter().map(told).collect::<Vec<_>>(), expected);
}
