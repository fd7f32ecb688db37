//! What a 200 means: by each setting, with a standby and without, for a plain role and for one that may see standbys; and that nothing is
//! acknowledged that is not what was promised.

use super::{address, connect, record, unreachable, until_it_works};
use crate::ledger::contract::{Draft, event};
use pylon_receiver::config::{Config, EndpointConfig, LedgerAddress, SecretSource};
use pylon_receiver::ledger::{Durability, Ledger, LedgerError, PostgresLedger, PostgresOptions, Recorded};
use pylon_receiver::{Preflight, Promise, Receiver};
use pylon_test_support::http::ask;
use pylon_test_support::log::logged;
use pylon_test_support::postgres::{Cluster, Replication, Stop};
use pylon_test_support::wait::eventually;
use pylon_webhooks::{Secret, sign};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SECRET: &str = "the-secret-of-the-sender";
/// The roles: one may see the state of standbys.
const ROLES: [&str; 2] = ["plain", "monitor"];

fn options(promise: Promise) -> PostgresOptions {
    PostgresOptions { promise: Some(promise), ..PostgresOptions::default() }
}

async fn promising(url: &str, promise: Promise) -> PostgresLedger {
    PostgresLedger::connect(&address(url), options(promise)).await.unwrap()
}

#[track_caller]
fn unconfirmed<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> String {
    match result.unwrap_err() {
        LedgerError::Unconfirmed(found) => found.into(),
        other => panic!("expected it to be unconfirmed, found {other:?}"),
    }
}

/// A primary that syncs, with the roles and the tables of a ledger.
fn primary() -> Option<(Cluster, String)> {
    let cluster = Cluster::durable()?;
    let database = cluster.fresh_database();
    cluster.sql(
        &database,
        &format!(
            "CREATE ROLE plain LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
             GRANT CREATE ON DATABASE {database} TO plain, monitor;"
        ),
    );
    Some((cluster, database))
}

async fn examined(cluster: &Cluster, role: &str, database: &str, promise: Promise) -> Durability {
    PostgresLedger::examine(&address(&cluster.url_as(role, database)), options(promise)).await.unwrap()
}

/// How many commits wait for a standby.
fn stuck(cluster: &Cluster) -> usize {
    cluster.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_means_what_it_says() {
    const OWN: &str = "on one disk, PostgreSQL's own:";
    const OFF: &str = "on no disk yet: PostgreSQL confirms before it writes (synchronous_commit is off)";
    const MEMORY: &str = "a standby has it in memory only (synchronous_commit is remote_write)";
    let Some((cluster, database)) = primary() else { return };
    let order = |role: &str| format!("ALTER ROLE \"{role}\" SET synchronous_commit = on");
    let less = "or set `promise = \"one_disk\"`";
    let blind = "; which standbys are connected cannot be seen: GRANT pg_monitor TO \"plain\"";
    let standby = cluster.standby(Replication::Synchronous);
    let names = cluster.sql("postgres", "SHOW synchronous_standby_names");
    for demanded in ["", &*names] {
        cluster.conf([("synchronous_standby_names", demanded)]);
        for setting in ["off", "local", "remote_write", "on", "remote_apply"] {
            cluster.conf([("synchronous_commit", setting)]);
            for role in ROLES {
                let context = format!("{demanded} {setting} {role}");
                let own = |why: &str| format!("{OWN} {why}");
                let mut meaning = match (setting, demanded) {
                    ("off", _) => OFF.to_owned(),
                    ("local", _) => own("no standby is waited for (synchronous_commit is local)"),
                    (_, "") => own("no standby is waited for (synchronous_standby_names is empty)"),
                    ("remote_write", _) => own(MEMORY),
                    _ => format!(
                        "on 2 disks, PostgreSQL's own and a standby's (synchronous_commit is {setting}, synchronous_standby_names is {names})"
                    ),
                };
                if !demanded.is_empty() && role == "plain" && !["off", "local"].contains(&setting) {
                    meaning += blind;
                }
                let disks = match (setting, demanded) {
                    ("off", _) => 0,
                    ("on" | "remote_apply", demanded) if !demanded.is_empty() => 2,
                    _ => 1,
                };
                let one = examined(&cluster, role, &database, Promise::OneDisk).await;
                assert_eq!((one.disks, &*one.meaning), (disks, &*meaning), "{context}");
                let (order, unkept) = (order(role), one.unkept);
                let expected = (disks == 0).then(|| format!("expected each event on 1 disk, found it {OFF}; {order}"));
                assert_eq!(unkept.as_deref(), expected.as_deref(), "{context}");
                let two = examined(&cluster, role, &database, Promise::TwoDisks).await;
                let mend = match (setting, disks) {
                    ("off", _) => order,
                    ("local" | "remote_write", _) => format!("{order}, {less}"),
                    _ => format!("name a standby in synchronous_standby_names, {less}"),
                };
                let expected =
                    (disks < 2).then(|| format!("expected each event on 2 disks, found it {meaning}; {mend}"));
                assert_eq!(two.unkept.as_deref(), expected.as_deref(), "{context}");
            }
        }
    }
    cluster.conf([("synchronous_commit", "on"), ("full_page_writes", "off")]);
    let found = examined(&cluster, "monitor", &database, Promise::TwoDisks).await;
    let torn = "; full_page_writes is off: only some file systems survive a power failure with that";
    assert!(found.meaning.ends_with(torn) && found.unkept.is_none(), "{found:?}");
    cluster.conf([("fsync", "off")]);
    for (role, promise) in [("plain", Promise::OneDisk), ("monitor", Promise::TwoDisks)] {
        let found = examined(&cluster, role, &database, promise).await;
        assert_eq!(found.disks, 0);
        assert!(found.meaning.starts_with("on no disk for certain: fsync is off"), "{found:?}");
        assert!(found.unkept.unwrap().ends_with("; set fsync = on"));
        let ledger = promising(&cluster.url_as(role, &database), promise).await;
        assert!(unconfirmed(record(&ledger, 1).await).contains("fsync is off"));
        assert!(unconfirmed(ledger.check().await).contains("fsync is off"));
        cluster.sql(&database, "DROP SCHEMA pylon_receiver CASCADE");
    }
    drop(standby);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_standby_nothing_is_acknowledged_and_nothing_piles_up() {
    let Some((cluster, database)) = primary() else { return };
    let standby = cluster.standby(Replication::Synchronous);
    for (role, first) in ROLES.into_iter().zip([1, 1000]) {
        let url = format!("{}&schema={role}", cluster.url_as(role, &database));
        let ledger = promising(&url, Promise::TwoDisks).await;
        record(&ledger, first).await.unwrap();
        ledger.check().await.unwrap();
        let durability = ledger.durability().unwrap();
        assert_eq!((durability.disks, durability.unkept), (2, None));
        standby.stop(Stop::Immediate);
        // The first commits may be under way before anybody knows.
        let began = Instant::now();
        let mut seconds = first;
        let found = loop {
            seconds += 1;
            match record(&ledger, seconds).await {
                Err(LedgerError::Unconfirmed(found)) => break found,
                Err(LedgerError::Unreachable(_)) => {}
                other => panic!("{other:?}"),
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{began:?}");
        };
        assert_eq!(&*found, "each commit waits for 1 standby, found 0 connected; bring the standby back", "{role}");
        let (began, before) = (Instant::now(), stuck(&cluster));
        for _ in 0..100 {
            seconds += 1;
            unconfirmed(record(&ledger, seconds).await);
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{role}: {:?}", began.elapsed());
        unconfirmed(ledger.check().await);
        assert!(before <= 4 && stuck(&cluster) <= before, "{role}: {before}, then {}", stuck(&cluster));
        assert!(ledger.durability().unwrap().unkept.is_some());
        // What needs no standby goes on.
        ledger.stats().await.unwrap();
        standby.restart();
        until_it_works(|| record(&ledger, seconds)).await;
        until_it_works(|| ledger.check()).await;
        eventually("no commit waits", || (stuck(&cluster) == 0).then_some(()));
        eventually("the promise is kept", || ledger.durability().unwrap().unkept.is_none().then_some(()));
        ledger.close().await.unwrap();
    }
}

/// The primary takes a frozen standby for one that streams, for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn commits_that_wait_in_vain_are_noticed_by_every_role() {
    let Some((cluster, database)) = primary() else { return };
    let standby = cluster.standby(Replication::Synchronous);
    let ledger = promising(&cluster.url_as("plain", &database), Promise::TwoDisks).await;
    record(&ledger, 1).await.unwrap();
    standby.freeze();
    // Whether that is seen within the time for the first answer depends on when it is looked for.
    match record(&ledger, 2).await {
        Err(LedgerError::Unconfirmed(_) | LedgerError::Unreachable(_)) => {}
        other => panic!("{other:?}"),
    }
    let mut seconds = 3;
    let began = Instant::now();
    let found = loop {
        match record(&ledger, seconds).await {
            Err(LedgerError::Unconfirmed(found)) => break found,
            Err(LedgerError::Unreachable(_)) => {}
            other => panic!("{other:?}"),
        }
        seconds += 1;
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    };
    assert_eq!(&*found, "commits wait for 1 standby in vain; see whether the standby still writes to its disk");
    assert!(stuck(&cluster) <= 4, "{}", stuck(&cluster));
    standby.thaw();
    until_it_works(|| record(&ledger, 2)).await;
    assert_ne!(cluster.sql(&database, "SELECT count(*) FROM pylon_receiver.events"), "0");
    ledger.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_disk_promised_a_missing_standby_makes_the_ledger_unreachable() {
    let Some((cluster, database)) = primary() else { return };
    let standby = cluster.standby(Replication::Synchronous);
    let ledger = promising(&cluster.url_as("monitor", &database), Promise::OneDisk).await;
    record(&ledger, 1).await.unwrap();
    standby.stop(Stop::Immediate);
    let mut seconds = 1;
    eventually_async(|| {
        seconds += 1;
        let recorded = record(&ledger, seconds);
        async { unreachable(recorded.await).starts_with("each commit waits for 1 standby, found 0 connected") }
    })
    .await;
    // The administrator goes on without.
    cluster.conf([("synchronous_standby_names", "")]);
    until_it_works(|| record(&ledger, seconds)).await;
    ledger.close().await.unwrap();
}

/// Records at once, before anybody has looked again: nothing may be acknowledged.
async fn first_unconfirmed(ledger: &dyn Ledger, first: i64) -> String {
    for seconds in first.. {
        match record(ledger, seconds).await {
            Err(LedgerError::Unconfirmed(found)) => return found.into(),
            Err(LedgerError::Unreachable(_)) => {}
            other => panic!("{seconds}: {other:?}"),
        }
    }
    unreachable!("events do not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_commit_is_held_against_the_settings_that_it_met() {
    let Some((cluster, database)) = primary() else { return };
    let _standby = cluster.standby(Replication::Synchronous);
    let names = cluster.sql("postgres", "SHOW synchronous_standby_names");
    let ledger = promising(&cluster.url_as("plain", &database), Promise::TwoDisks).await;
    record(&ledger, 1).await.unwrap();
    for (place, (setting, less, enough)) in
        [("synchronous_standby_names", "", &*names), ("synchronous_commit", "local", "on")].into_iter().enumerate()
    {
        cluster.conf([(setting, less)]);
        let found = first_unconfirmed(&ledger, 100 * place as i64).await;
        assert!(found.starts_with("expected each event on 2 disks, found it on one disk, PostgreSQL's own"), "{found}");
        assert!(found.contains(setting), "{found}");
        eventually("it is not ready", || ledger.durability().unwrap().unkept.is_some().then_some(()));
        unconfirmed(ledger.check().await);
        cluster.conf([(setting, enough)]);
        until_it_works(|| record(&ledger, 50)).await;
    }
    ledger.close().await.unwrap();
    // Who has promised one disk gets through with the same.
    let url = format!("{}&schema=one", cluster.url_as("plain", &database));
    let ledger = promising(&url, Promise::OneDisk).await;
    record(&ledger, 1).await.unwrap();
    cluster.conf([("synchronous_standby_names", "")]);
    record(&ledger, 2).await.unwrap();
    ledger.close().await.unwrap();
}

/// The new primary has settings of its own, and names no standby.
#[tokio::test(flavor = "multi_thread")]
async fn a_fail_over_to_a_server_that_waits_for_no_standby_acknowledges_nothing() {
    let Some(primary) = Cluster::setup().tcp().durable().start() else { return };
    let database = primary.fresh_database();
    let standby = primary.standby(Replication::Synchronous);
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
    let url = format!("postgres://postgres:{}@{hosts}/{database}", primary.password());
    let ledger = promising(&url, Promise::TwoDisks).await;
    record(&ledger, 1).await.unwrap();
    primary.stop(Stop::Immediate);
    standby.promote();
    let found = first_unconfirmed(&ledger, 2).await;
    assert!(found.contains("synchronous_standby_names is empty"), "{found}");
    eventually("it is not ready", || ledger.durability().unwrap().unkept.is_some().then_some(()));
    ledger.close().await.unwrap();
}

/// What is set for a role or a database holds for new sessions only.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_whose_settings_differ_from_those_that_were_looked_at_acknowledge_nothing() {
    let Some((cluster, database)) = primary() else { return };
    let ledger = promising(&cluster.url_as("plain", &database), Promise::OneDisk).await;
    record(&ledger, 1).await.unwrap();
    cluster.sql("postgres", "ALTER ROLE plain SET synchronous_commit = off");
    cluster.sql(
        "postgres",
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name LIKE '% write %'",
    );
    let found = first_unconfirmed(&ledger, 2).await;
    assert!(found.contains("on no disk yet"), "{found}");
    eventually("it is not ready", || ledger.durability().unwrap().unkept.is_some().then_some(()));
    cluster.sql("postgres", "ALTER ROLE plain SET synchronous_commit = on");
    until_it_works(|| record(&ledger, 1)).await;
    ledger.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_remedy_that_is_told_works_without_a_restart() {
    let Some((cluster, database)) = primary() else { return };
    cluster.sql("postgres", "ALTER ROLE plain SET synchronous_commit = off");
    let ledger = promising(&cluster.url_as("plain", &database), Promise::OneDisk).await;
    let found = unconfirmed(record(&ledger, 1).await);
    let remedy = "ALTER ROLE \"plain\" SET synchronous_commit = on";
    assert!(found.ends_with(remedy), "{found}");
    cluster.sql("postgres", remedy);
    let ((), took) = until_it_works(|| record(&ledger, 1)).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    until_it_works(|| ledger.check()).await;
    ledger.close().await.unwrap();
}

/// A subscription by its name confirms commits as a standby does, and may have next to nothing of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_no_second_disk() {
    let Some(cluster) = Cluster::setup().durable().with("wal_level", "logical").start() else { return };
    let Some(subscriber) = Cluster::start() else { return };
    let database = cluster.fresh_database();
    cluster.sql(
        &database,
        &format!(
            "CREATE ROLE plain LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor; GRANT CREATE ON DATABASE {database} TO plain, monitor;
             CREATE TABLE small (number int); CREATE PUBLICATION small FOR TABLE small;"
        ),
    );
    let source = format!("host={} dbname={database} user=postgres", cluster.socket_folder().display());
    subscriber.sql("postgres", "CREATE TABLE small (number int)");
    subscriber.sql("postgres", &format!("CREATE SUBSCRIPTION reports CONNECTION '{source}' PUBLICATION small"));
    cluster.conf([("synchronous_standby_names", "*")]);
    let state = "SELECT state || ' ' || sync_state FROM pg_stat_replication WHERE application_name = 'reports'";
    eventually("it streams", || (cluster.sql("postgres", state) == "streaming sync").then_some(()));
    let remedy = "name standbys alone in synchronous_standby_names, no subscriber of logical replication";
    for role in ROLES {
        let found = examined(&cluster, role, &database, Promise::TwoDisks).await;
        assert_eq!(found.disks, 1, "{role}: {found:?}");
        assert!(found.unkept.as_ref().unwrap().contains(remedy), "{role}: {found:?}");
        // A commit comes to its end all the same.
        assert_eq!(examined(&cluster, role, &database, Promise::OneDisk).await.unkept, None, "{role}");
        let url = format!("{}&schema=of_{role}", cluster.url_as(role, &database));
        let ledger = promising(&url, Promise::TwoDisks).await;
        assert!(unconfirmed(record(&ledger, 1).await).contains(remedy), "{role}");
        ledger.close().await.unwrap();
    }
    // Beside a standby, the subscriber may be the one that confirms.
    let standby = cluster.standby(Replication::Synchronous);
    let name = cluster.sql("postgres", "SHOW synchronous_standby_names");
    for role in ROLES {
        let found = examined(&cluster, role, &database, Promise::TwoDisks).await;
        assert_eq!((found.disks, &found.unkept), (2, &None), "{role}: it is not asked");
    }
    let name = name.trim_start_matches("FIRST 1 (").trim_end_matches(')');
    for (names, role, disks) in [
        ("ANY 1 (*)".to_owned(), "plain", 1),
        ("ANY 1 (*)".to_owned(), "monitor", 1),
        (format!("ANY 1 ({name}, reports)"), "monitor", 1),
        (format!("FIRST 1 ({name}, reports)"), "monitor", 1),
        (format!("FIRST 2 ({name}, reports)"), "monitor", 2),
        (format!("ANY 1 ({name})"), "monitor", 2),
        (format!("ANY 1 ({name})"), "plain", 2),
    ] {
        cluster.conf([("synchronous_standby_names", &*names)]);
        let streams =
            format!("SELECT sync_state <> 'async' FROM pg_stat_replication WHERE application_name = '{name}'");
        eventually("it is asked", || (cluster.sql("postgres", &streams) == "t").then_some(()));
        let found = examined(&cluster, role, &database, Promise::TwoDisks).await;
        assert_eq!((found.disks, found.unkept.is_none()), (disks, disks == 2), "{names} {role}: {found:?}");
    }
    drop(standby);
}

#[test]
fn the_log_says_what_a_missing_standby_means() {
    let Some((cluster, database)) = primary() else { return };
    cluster.conf([("synchronous_standby_names", "missing")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (schema, promise, says) in [
        (
            "one",
            Promise::OneDisk,
            "ERROR message=without a spool no webhook is accepted: each commit waits for 1 standby, found 0 connected",
        ),
        (
            "two",
            Promise::TwoDisks,
            "ERROR message=the promise is not kept, and no webhook is accepted: each commit waits for 1 standby, found 0 connected",
        ),
    ] {
        cluster.conf([("synchronous_commit", "local")]);
        runtime.block_on(async {
            connect(&format!("{}&schema={schema}", cluster.url_as("plain", &database)))
                .await
                .unwrap()
                .close()
                .await
                .unwrap();
        });
        cluster.conf([("synchronous_commit", "on")]);
        let ((), lines) = logged(|| {
            runtime.block_on(async {
                let ledger =
                    promising(&format!("{}&schema={schema}", cluster.url_as("plain", &database)), promise).await;
                ledger.close().await.unwrap();
            });
        });
        let of_probe: Vec<_> = lines.iter().filter(|line| line.contains("each commit waits")).collect();
        assert_eq!(of_probe, [&format!("{says}; bring the standby back")], "{lines:?}");
    }
}

async fn eventually_async<W: Future<Output = bool>>(mut work: impl FnMut() -> W) {
    let began = Instant::now();
    while !work().await {
        assert!(began.elapsed() < Duration::from_secs(20), "not in time");
    }
}

/// Somebody cancels the wait on the server: the event is on one disk only.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_standby_that_is_given_up_acknowledges_nothing() {
    let Some((cluster, database)) = primary() else { return };
    let standby = cluster.standby(Replication::Synchronous);
    // The one sign of it is a warning, which nobody needs to have asked for.
    cluster.sql("postgres", "ALTER ROLE plain SET client_min_messages = error");
    let ledger = promising(&cluster.url_as("plain", &database), Promise::TwoDisks).await;
    let of = |seconds: i64| event(seconds).keyed("one key", None);
    record(&ledger, 1).await.unwrap();
    for give_up in ["pg_cancel_backend(pid)", "pg_terminate_backend(pid)"] {
        standby.freeze();
        let recording = {
            let event = of(2);
            async { ledger.record(event).await }
        };
        let giving_up = async {
            let cluster = &cluster;
            tokio::task::block_in_place(|| {
                eventually("a commit waits", || (stuck(cluster) > 0).then_some(()));
                cluster
                    .sql("postgres", &format!("SELECT {give_up} FROM pg_stat_activity WHERE wait_event = 'SyncRep'"));
            });
        };
        let (recorded, ()) = tokio::join!(recording, giving_up);
        match recorded {
            // The server warns of that, and goes on.
            Err(LedgerError::Unconfirmed(said)) if give_up.starts_with("pg_cancel_backend") => assert_eq!(
                &*said,
                "the wait for a standby was given up on the server; find out who cancels commits there"
            ),
            // The connection is gone, and so is the answer.
            Err(LedgerError::Unreachable(_)) if give_up.starts_with("pg_terminate_backend") => {}
            other => panic!("{give_up}: {other:?}"),
        }
        // It is there, and yet neither the same nor a copy is acknowledged before a standby has it.
        for event in [of(2), of(3)] {
            match ledger.record(event).await {
                Err(LedgerError::Unconfirmed(_) | LedgerError::Unreachable(_)) => {}
                other => panic!("{give_up}: {other:?}"),
            }
        }
        standby.thaw();
        let (recorded, _) = until_it_works(|| ledger.record(of(2))).await;
        assert_eq!(recorded, Recorded::Stored, "{give_up}");
        let (recorded, _) = until_it_works(|| ledger.record(of(3))).await;
        assert_eq!(recorded, Recorded::Duplicate(of(2).id), "{give_up}");
        cluster.sql(&database, "TRUNCATE pylon_receiver.events, pylon_receiver.deduplication_keys");
    }
    ledger.close().await.unwrap();
}

#[test]
fn the_log_says_what_a_200_means_at_the_start_and_when_that_changes() {
    let Some((cluster, database)) = primary() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ((), lines) = logged(|| {
        runtime.block_on(async {
            let ledger = promising(&cluster.url_as("plain", &database), Promise::OneDisk).await;
            cluster.conf([("synchronous_commit", "off")]);
            let (found, _) = until_it_works(|| async {
                match ledger.check().await {
                    Err(LedgerError::Unconfirmed(found)) => Ok(found),
                    _ => Err(LedgerError::Busy),
                }
            })
            .await;
            assert!(found.contains("synchronous_commit is off"), "{found}");
            cluster.conf([("synchronous_commit", "local")]);
            until_it_works(|| ledger.check()).await;
            ledger.close().await.unwrap();
        });
    });
    let is_of_probe = |line: &&String| line.contains("a 200 means") || line.contains("the promise is not kept");
    let of_probe: Vec<_> = lines.iter().filter(is_of_probe).collect();
    let own = "INFO message=a 200 means: the event is on one disk, PostgreSQL's own: no standby is waited for";
    let expected = [
        format!("{own} (synchronous_standby_names is empty) disks=1"),
        "ERROR message=the promise is not kept, and no webhook is accepted: expected each event on 1 disk, found it on no disk yet: \
         PostgreSQL confirms before it writes (synchronous_commit is off); ALTER ROLE \"plain\" SET synchronous_commit = on"
            .to_owned(),
        format!("{own} (synchronous_commit is local) disks=1"),
    ];
    assert_eq!(of_probe, expected.iter().collect::<Vec<_>>(), "{lines:?}");
}

fn webhook(receiver: &Receiver) -> u16 {
    let body = br#"{"event_type":"issue_new","issue_id":"1"}"#;
    let timestamp =
        (pylon_receiver::WallClock::now(&pylon_receiver::SystemWallClock).unix_seconds() as i64).to_string();
    let signature = sign(&Secret::new(SECRET).unwrap(), body, Some(&timestamp));
    let headers = [("X-Pylon-Signature".to_owned(), signature), ("X-Pylon-Timestamp".to_owned(), timestamp)];
    let address = receiver.webhooks().unwrap().ip().unwrap();
    ask(address, "POST", "/webhook", &headers, body).expect("an answer").status
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_what_a_200_means() {
    let Some((cluster, database)) = primary() else { return };
    let standby = cluster.standby(Replication::Synchronous);
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let ledger = address(&cluster.url_as("monitor", &database));
    let config = Config::default()
        .listen(anywhere.into())
        .admin(anywhere.into())
        .ledger(LedgerAddress::Postgres(Box::new(ledger)))
        .promise(Promise::TwoDisks)
        .endpoints(vec![EndpointConfig::signed("/webhook", [SecretSource::given(SECRET)])]);
    let meaning =
        "on 2 disks, PostgreSQL's own and a standby's (synchronous_commit is on, synchronous_standby_names is";
    let found = Preflight::examine(&config).await;
    assert!(found.durability.as_ref().unwrap().starts_with(meaning), "{found:?}");
    assert_eq!(found.ledger, None);
    let receiver = Receiver::builder().config(config.clone()).start().await.unwrap();
    let admin = receiver.admin().ip().unwrap();
    let get = |path: &str| ask(admin, "GET", path, &[], b"").expect("an answer");
    assert_eq!(webhook(&receiver), 200);
    let ready = get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(ready.json()["durability"].as_str().unwrap().starts_with(meaning), "{}", ready.text());
    assert!(get("/metrics").text().contains("\npylon_receiver_commit_disks 2\n"), "{}", get("/metrics").text());
    standby.stop(Stop::Immediate);
    eventually("it is not ready", || (get("/readyz").status == 503).then_some(()));
    let missing = "each commit waits for 1 standby, found 0 connected";
    eventually("it says why", || get("/readyz").text().contains(missing).then_some(()));
    assert_eq!(webhook(&receiver), 503);
    let found = Preflight::examine(&config).await;
    let expected = format!("the ledger does not keep its promise: {missing}; bring the standby back");
    assert!(found.ledger.as_ref().unwrap().starts_with(&expected), "{found:?}");
    standby.restart();
    eventually("it is ready", || (get("/readyz").status == 200).then_some(()));
    assert_eq!(webhook(&receiver), 200);
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_ledger_that_promises_nothing_is_not_looked_at() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    let ledger = connect(&cluster.url(&database)).await.unwrap();
    record(&ledger, 1).await.unwrap();
    assert_eq!(ledger.durability(), None);
    ledger.close().await.unwrap();
    cluster.drop_database(&database);
}
