//! Connections: hosts in turn, servers that stop, freeze, fail over, have no room, or are another one.

use super::{address, connect, record, unreachable, until_it_works};
use crate::ledger::contract::{Draft, event};
use pylon_receiver::ledger::{Ledger, LedgerError, PostgresLedger, PostgresOptions};
use pylon_test_support::http::nowhere;
use pylon_test_support::log::logged;
use pylon_test_support::postgres::{Cluster, Replication, Stop};
use pylon_test_support::proxy::{Proxy, Way};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A port at which nothing listens.
fn free_port() -> u16 {
    nowhere().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// The URL of a database by TCP, by way of these ports.
fn by(cluster: &Cluster, ports: &[u16], database: &str) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("postgres://postgres:{}@{}/{database}", cluster.password(), hosts.join(","))
}

fn sessions(cluster: &Cluster, database: &str) -> Vec<String> {
    let sql =
        format!("SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND application_name LIKE 'pylon%'");
    cluster.sql("postgres", &sql).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn hosts_are_tried_in_turn_and_each_failure_is_told() {
    let Some(cluster) = Cluster::setup().tcp().start() else { return };
    let (database, free) = (cluster.fresh_database(), free_port());
    let ledger = connect(&by(&cluster, &[free, cluster.port()], &database)).await.unwrap();
    record(&ledger, 1).await.unwrap();
    ledger.close().await.unwrap();
    let found = unreachable(connect(&by(&cluster, &[free], &database)).await);
    assert_eq!(found, format!("127.0.0.1:{free}: cannot connect: connection refused"));
    let found = unreachable(connect("postgres://u@/d?host=/nowhere").await);
    assert_eq!(found, "/nowhere/.s.PGSQL.5432: cannot connect: no socket there");
    let found = unreachable(connect(&by(&cluster, &[free, cluster.port()], "nothing")).await);
    let port = cluster.port();
    let expected = format!(
        "127.0.0.1:{free}: cannot connect: connection refused; 127.0.0.1:{port}: database \"nothing\" does not exist (3D000)"
    );
    assert_eq!(found, expected);
    let found = unreachable(connect(&format!("postgres://postgres@127.0.0.1:{port}/{database}")).await);
    assert_eq!(
        found,
        format!(
            "127.0.0.1:{port}: expected a password, found none; set PGPASSWORD, or `ledger_password` in the configuration"
        )
    );
    let found = unreachable(connect(&format!("postgres://postgres:sk-wrong@127.0.0.1:{port}/{database}")).await);
    let expected = format!("127.0.0.1:{port}: password authentication failed for user \"postgres\" (28P01)");
    assert_eq!(found, expected);
}

#[tokio::test]
async fn sessions_show_who_they_are_and_how_long_they_wait() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    let ledger = connect(&cluster.url(&database)).await.unwrap();
    record(&ledger, 1).await.unwrap();
    let names =
        format!("SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = '{database}' ORDER BY 1");
    let names = cluster.sql("postgres", &names);
    for used_for in ["listen", "write"] {
        let expected = format!("pylon-receiver {used_for} ");
        assert!(names.lines().any(|name| name.starts_with(&expected)), "{names}");
    }
    assert!(names.contains(&format!("/{}", std::process::id())), "{names}");
    // A statement that waits for a lock gives up by itself, and the ledger works on.
    let hold = "BEGIN; LOCK TABLE pylon_receiver.events; SELECT pg_sleep(6); COMMIT";
    let url = cluster.url(&database);
    let holding = std::thread::spawn(move || Cluster::shared().unwrap().psql(&url, hold));
    let locks = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'pylon_receiver.events'::regclass";
    pylon_test_support::wait::eventually("the lock", || (cluster.sql(&database, locks) == "1").then_some(()));
    let began = Instant::now();
    let found = unreachable(record(&ledger, 2).await);
    assert!(began.elapsed() < Duration::from_millis(5800), "{found} after {:?}", began.elapsed());
    holding.join().unwrap().unwrap();
    record(&ledger, 2).await.unwrap();
    ledger.close().await.unwrap();
    cluster.drop_database(&database);
}

#[tokio::test]
async fn a_password_is_read_anew_for_each_connection() {
    let Some(cluster) = Cluster::setup().tcp().start() else { return };
    let database = cluster.fresh_database();
    cluster.sql("postgres", "CREATE ROLE changing SUPERUSER LOGIN PASSWORD 'first'");
    let password = Arc::new(Mutex::new("first"));
    let read = password.clone();
    let options = PostgresOptions {
        password: Some(Arc::new(move || Ok(Zeroizing::new(read.lock().unwrap().as_bytes().to_vec())))),
        ..PostgresOptions::default()
    };
    let url = format!("postgres://changing@127.0.0.1:{}/{database}", cluster.port());
    let ledger = PostgresLedger::connect(&address(&url), options).await.unwrap();
    record(&ledger, 1).await.unwrap();
    cluster.sql("postgres", "ALTER ROLE changing PASSWORD 'second'");
    let end =
        format!("SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{database}'");
    cluster.sql("postgres", &end);
    let found = unreachable(record(&ledger, 2).await);
    assert!(found.ends_with("password authentication failed for user \"changing\" (28P01)"), "{found}");
    *password.lock().unwrap() = "second";
    until_it_works(|| record(&ledger, 2)).await;
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_standby_is_not_used_until_it_is_promoted() {
    let Some(primary) = Cluster::setup().tcp().durable().start() else { return };
    let database = primary.fresh_database();
    let standby = primary.standby(Replication::Asynchronous);
    let (p, s) = (primary.port(), standby.port());
    let ledger = connect(&by(&primary, &[s, p], &database)).await.unwrap();
    record(&ledger, 1).await.unwrap();
    let found = unreachable(connect(&by(&primary, &[s], &database)).await);
    assert_eq!(found, format!("127.0.0.1:{s}: a standby, which may only be read"));
    standby.catch_up_with(&primary);
    primary.stop(Stop::Immediate);
    let found = unreachable(record(&ledger, 2).await);
    assert!(found.contains("a standby, which may only be read"), "{found}");
    standby.promote();
    let ((), took) = until_it_works(|| record(&ledger, 2)).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    for seconds in 3..20 {
        record(&ledger, seconds).await.unwrap();
    }
    assert_eq!(standby.sql(&database, "SELECT count(*) FROM pylon_receiver.events"), "19");
    ledger.close().await.unwrap();
}

/// The old primary comes back while the new one is away for a moment: what it commits then, and what it lacks, would be lost.
#[test]
fn a_primary_of_before_a_fail_over_is_refused_and_logged() {
    let Some(primary) = Cluster::setup().tcp().durable().start() else { return };
    let database = primary.fresh_database();
    let standby = primary.standby(Replication::Asynchronous);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (found, lines) = logged(|| {
        runtime.block_on(async {
            let ledger = connect(&by(&primary, &[primary.port(), standby.port()], &database)).await.unwrap();
            record(&ledger, 1).await.unwrap();
            standby.catch_up_with(&primary);
            primary.stop(Stop::Immediate);
            standby.promote();
            until_it_works(|| record(&ledger, 2)).await;
            standby.stop(Stop::Immediate);
            primary.restart();
            let found = unreachable(record(&ledger, 3).await);
            assert_eq!(primary.sql(&database, "SELECT count(*) FROM pylon_receiver.events"), "1");
            standby.restart();
            until_it_works(|| record(&ledger, 3)).await;
            found
        })
    });
    assert_eq!(standby.sql(&database, "SELECT count(*) FROM pylon_receiver.events"), "3");
    let older = "an older timeline, such as a primary of before a fail-over has: expected timeline 2 or later, found 1; restart the \
         receiver if that is intended";
    assert!(found.contains(&format!("127.0.0.1:{}: {older}", primary.port())), "{found}");
    let told = lines.iter().filter(|line| line.starts_with("ERROR") && line.contains(older)).count();
    assert_eq!(told, 1, "{lines:?}");
}

/// A server that no program of this version can use does not keep it from the next one.
#[tokio::test]
async fn a_host_that_can_never_be_used_hides_no_other() {
    let Some(stranger) = Cluster::setup().tcp().start() else { return };
    let Some(cluster) = Cluster::setup().tcp().start() else { return };
    for cluster in [&stranger, &cluster] {
        cluster.sql("postgres", "CREATE DATABASE twin");
    }
    stranger.sql("postgres", &format!("ALTER ROLE postgres PASSWORD '{}'", cluster.password()));
    stranger.sql(
        "twin",
        "CREATE SCHEMA other; CREATE FUNCTION other.version() RETURNS text LANGUAGE sql AS $$SELECT 'CockroachDB'$$;
         ALTER DATABASE twin SET search_path = other, pg_catalog;",
    );
    let ledger = connect(&by(&cluster, &[stranger.port(), cluster.port()], "twin")).await.unwrap();
    record(&ledger, 1).await.unwrap();
    ledger.close().await.unwrap();
    let free = free_port();
    match connect(&by(&cluster, &[free, stranger.port()], "twin")).await.unwrap_err() {
        LedgerError::Unknown(found) => {
            let expected = format!(
                "127.0.0.1:{free}: cannot connect: connection refused; 127.0.0.1:{}: expected PostgreSQL itself",
                stranger.port()
            );
            assert!(found.starts_with(&expected), "{found}");
        }
        other => panic!("{other:?}"),
    }
}

/// The old primary neither answers nor ends connections: only time tells that it is gone.
#[tokio::test]
async fn a_server_that_falls_silent_is_left_within_seconds() {
    let Some(primary) = Cluster::setup().tcp().durable().start() else { return };
    let database = primary.fresh_database();
    let standby = primary.standby(Replication::Asynchronous);
    let proxy = Proxy::to(primary.port());
    let ledger = connect(&by(&primary, &[proxy.port(), standby.port()], &database)).await.unwrap();
    record(&ledger, 1).await.unwrap();
    standby.catch_up_with(&primary);
    proxy.turn(Way::Swallow);
    let began = Instant::now();
    let found = unreachable(record(&ledger, 2).await);
    assert!(began.elapsed() < Duration::from_millis(6500), "{found} after {:?}", began.elapsed());
    standby.promote();
    let ((), took) = until_it_works(|| record(&ledger, 2)).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Not one connection leads to the old one.
    for seconds in 3..20 {
        let began = Instant::now();
        record(&ledger, seconds).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    ledger.check().await.unwrap();
    assert_eq!(standby.sql(&database, "SELECT count(*) FROM pylon_receiver.events"), "19");
}

#[tokio::test]
async fn a_frozen_server_holds_nobody_up_for_ever() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.fresh_database();
    let ledger = connect(&cluster.url(&database)).await.unwrap();
    record(&ledger, 1).await.unwrap();
    cluster.freeze();
    let began = Instant::now();
    for seconds in 2..4 {
        unreachable(record(&ledger, seconds).await);
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    }
    let found = unreachable(connect(&cluster.url(&database)).await);
    assert!(found.ends_with(": no answer in time"), "{found}");
    cluster.thaw();
    until_it_works(|| record(&ledger, 2)).await;
    until_it_works(|| record(&ledger, 3)).await;
    assert_eq!(cluster.sql(&database, "SELECT count(*) FROM pylon_receiver.events"), "3");
}

/// Nothing is wrong with a server that lets one commit wait for a standby.
#[tokio::test]
async fn one_answer_that_does_not_come_costs_no_other_connection() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.fresh_database();
    let options = PostgresOptions {
        answer_within: Duration::from_secs(3),
        clean_up_every: Duration::from_millis(100),
        ..PostgresOptions::default()
    };
    let ledger = PostgresLedger::connect(&address(&cluster.url(&database)), options).await.unwrap();
    record(&ledger, 1).await.unwrap();
    ledger.stats().await.unwrap();
    let others = || {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND application_name ~ '^pylon-receiver (listen|read)' ORDER BY pid"
        );
        cluster.sql("postgres", &sql)
    };
    let before = others();
    assert_eq!(before.lines().count(), 2, "{before}");
    cluster.conf([("synchronous_standby_names", "nobody")]);
    unreachable(record(&ledger, 2).await);
    ledger.stats().await.unwrap();
    cluster.conf([("synchronous_standby_names", "")]);
    until_it_works(|| record(&ledger, 3)).await;
    ledger.stats().await.unwrap();
    assert_eq!(others(), before);
    ledger.close().await.unwrap();
}

/// As after a switch-over that leaves connections open, for instance behind a load balancer.
#[tokio::test]
async fn connections_to_a_server_that_may_only_be_read_are_renewed() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.fresh_database();
    let ledger = connect(&cluster.url(&database)).await.unwrap();
    until_it_works(|| record(&ledger, 1)).await;
    ledger.stats().await.unwrap();
    let before = sessions(&cluster, &database);
    assert!(before.len() >= 2, "{before:?}");
    cluster.conf([("default_transaction_read_only", "on")]);
    let found = unreachable(record(&ledger, 2).await);
    assert!(found.contains("may only be read"), "{found}");
    cluster.conf([("default_transaction_read_only", "off")]);
    until_it_works(|| record(&ledger, 2)).await;
    until_it_works(|| ledger.stats()).await;
    let after = sessions(&cluster, &database);
    assert!(after.iter().all(|session| !before.contains(session)), "{before:?} {after:?}");
    record(&ledger, 3).await.unwrap();
    assert_eq!(sessions(&cluster, &database), after, "they are renewed once");
}

#[tokio::test]
async fn a_server_without_room_is_not_flooded() {
    let Some(cluster) = Cluster::setup().with("max_connections", "12").start() else { return };
    let database = cluster.fresh_database();
    cluster.sql("postgres", "CREATE ROLE plain LOGIN");
    cluster.sql(
        &database,
        "GRANT CREATE ON DATABASE CURRENT_DATABASE TO plain".replace("CURRENT_DATABASE", &database).as_str(),
    );
    let url = cluster.url_as("plain", &database);
    let ledger = Arc::new(connect(&url).await.unwrap());
    record(&*ledger, 1).await.unwrap();
    // Others take what is left, and what was ours.
    let mut others = Vec::new();
    let end = format!(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name LIKE 'pylon%' AND datname = '{database}'"
    );
    for _ in 0..10 {
        while let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
            others.push((client, tokio::spawn(connection)));
        }
        cluster.sql("postgres", &end);
    }
    let refusals = || cluster.log().matches("FATAL:  remaining connection slots are reserved").count();
    let before = refusals();
    let began = Instant::now();
    let mut seconds = 2;
    while began.elapsed() < Duration::from_secs(2) {
        let tried: Vec<_> = (0..20)
            .map(|_| {
                seconds += 1;
                let ledger = ledger.clone();
                tokio::spawn(async move { record(&*ledger, seconds).await })
            })
            .collect();
        for tried in tried {
            let found = unreachable(tried.await.unwrap());
            assert!(found.ends_with("(53300)"), "{found}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let tries = refusals() - before;
    assert!((1..=20).contains(&tries), "{tries} tries in 2 s");
    drop(others);
    until_it_works(|| record(&*ledger, 2)).await;
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_ended_fails_nobody_for_long() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    let ledger = connect(&cluster.url(&database)).await.unwrap();
    for seconds in 1..5 {
        until_it_works(|| record(&ledger, seconds)).await;
        let end =
            format!("SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{database}'");
        cluster.sql("postgres", &end);
    }
    let ((), took) = until_it_works(|| record(&ledger, 5)).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(cluster.sql(&database, "SELECT count(*) FROM pylon_receiver.events"), "5");
    ledger.close().await.unwrap();
    cluster.drop_database(&database);
}

/// Cut, or swallowed by the network: once that ends, nobody waits for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_the_network_is_back_events_are_kept_soon() {
    let Some(cluster) = Cluster::setup().tcp().start() else { return };
    let database = cluster.fresh_database();
    let proxy = Proxy::to(cluster.port());
    let ledger = connect(&by(&cluster, &[proxy.port()], &database)).await.unwrap();
    let mut seconds = 0;
    for (way, lasts) in [(Way::Cut, 2), (Way::Cut, 3), (Way::Swallow, 2), (Way::Swallow, 6)] {
        seconds += 1;
        until_it_works(|| record(&ledger, seconds)).await;
        proxy.turn(way);
        let (began, lasts) = (Instant::now(), Duration::from_secs(lasts));
        while began.elapsed() < lasts {
            seconds += 1;
            let _ = tokio::time::timeout_at((began + lasts).into(), record(&ledger, seconds)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxy.turn(Way::Pass);
        seconds += 1;
        let ((), took) = until_it_works(|| record(&ledger, seconds)).await;
        assert!(took < Duration::from_secs(2), "{way:?} for {lasts:?}: {took:?}");
    }
    ledger.close().await.unwrap();
}

/// What fails ends its transaction: a rollback behind that would have the server warn each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_asked_for_no_rollback_of_nothing() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.fresh_database();
    let ledger = connect(&cluster.url(&database)).await.unwrap();
    record(&ledger, 0).await.unwrap();
    let fail = "
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no such data' USING ERRCODE = 'data_exception'; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON pylon_receiver.open FOR EACH ROW
            WHEN (NEW.destination = 'bad') EXECUTE FUNCTION fail()";
    cluster.sql(&database, fail);
    for seconds in 1..20 {
        let bad = event(seconds).in_line("bad", "line");
        assert!(matches!(ledger.record(bad).await, Err(LedgerError::Failed(_))));
        record(&ledger, seconds).await.unwrap();
        let order = ledger.redeliver(vec![event(0).id], Some("bad".into())).await;
        assert!(matches!(order, Err(LedgerError::Failed(_))), "{order:?}");
        assert_eq!(ledger.redeliver(vec![event(0).id], Some("good".into())).await, Ok(1));
    }
    ledger.close().await.unwrap();
    let log = cluster.log();
    assert!(log.contains("no such data") && !log.contains("WARNING"), "{log}");
}

#[test]
fn another_cluster_in_the_place_of_the_first_is_refused_and_logged() {
    let Some(first) = Cluster::setup().tcp().start() else { return };
    let Some(second) = Cluster::setup().tcp().start() else { return };
    let (database, proxy) = ("twin".to_owned(), Proxy::to(first.port()));
    for cluster in [&first, &second] {
        cluster.sql("postgres", "CREATE DATABASE twin");
    }
    second.sql("postgres", &format!("ALTER ROLE postgres PASSWORD '{}'", first.password()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (found, lines) = logged(|| {
        runtime.block_on(async {
            let ledger = connect(&by(&first, &[proxy.port()], &database)).await.unwrap();
            record(&ledger, 1).await.unwrap();
            proxy.point_to(second.port());
            proxy.cut_once();
            let found = unreachable(record(&ledger, 2).await);
            proxy.point_to(first.port());
            until_it_works(|| record(&ledger, 2)).await;
            found
        })
    });
    let identifier = |cluster: &Cluster| cluster.sql("postgres", "SELECT system_identifier FROM pg_control_system()");
    let expected = format!(
        "127.0.0.1:{}: another database cluster: expected system identifier {}, found {}; restart the receiver if that is intended",
        proxy.port(),
        identifier(&first),
        identifier(&second)
    );
    assert_eq!(found, expected);
    let is_error = |line: &String| line.starts_with("ERROR") && line.contains("another database cluster");
    assert!(lines.iter().any(is_error), "{lines:?}");
    let connected = format!("system_identifier={}", identifier(&first));
    assert!(
        lines.iter().any(|line| line.contains("connected to the database") && line.contains(&connected)),
        "{lines:?}"
    );
}
