//! The tests' own PostgreSQL starts for root and others, replicates, and is gone after its process, however that ends.

use pylon_test_support::folder::{Folder, give};
use pylon_test_support::postgres::{Cluster, Replication, Stop};
use pylon_test_support::process::{Program, User};
use pylon_test_support::wait::{PATIENCE, eventually};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::scope;

/// Has the test below hold a cluster until it is killed.
const HELD: &str = "PYLON_TEST_HELD_CLUSTER";

/// Whether this process is there, and not only waits to be waited for.
fn is_alive(id: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn the_shared_cluster_serves_many_tests_a_database_each() {
    let Some(cluster) = Cluster::shared() else { return };
    let names: Vec<_> = scope(|scope| {
        let made: Vec<_> = (0..4).map(|_| scope.spawn(|| cluster.fresh_database())).collect();
        made.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (number, name) in names.iter().enumerate() {
        cluster.sql(
            name,
            &format!("CREATE TABLE its (number int, text text); INSERT INTO its VALUES ({number}, 'a'), (9, NULL)"),
        );
    }
    for (number, name) in names.iter().enumerate() {
        assert_eq!(cluster.sql(name, "SELECT * FROM its ORDER BY number DESC"), format!("9|\n{number}|a"));
    }
    let copy = cluster.fresh_database_from(&names[0]);
    assert_eq!(cluster.sql(&copy, "SELECT count(*) FROM its"), "2");
    names.iter().for_each(|name| cluster.drop_database(name));
    let gone = cluster.psql(&cluster.url(&names[0]), "SELECT 1").unwrap_err();
    assert!(gone.contains("does not exist"), "{gone}");
    let path = cluster.socket_folder().join(format!(".s.PGSQL.{}", cluster.port()));
    assert!(path.exists() && cluster.socket_folder().as_os_str().len() < 100, "{path:?}");
}

#[test]
fn errors_of_sql_are_told() {
    let Some(cluster) = Cluster::shared() else { return };
    let told = std::panic::catch_unwind(|| cluster.sql("postgres", "SELECT 1; SELECT nonsense")).unwrap_err();
    let told = told.downcast::<String>().unwrap();
    assert!(
        told.contains("column \"nonsense\" does not exist") && told.contains("SELECT 1; SELECT nonsense"),
        "{told}"
    );
}

#[test]
fn a_cluster_ends_with_its_value_and_leaves_nothing() {
    let Some(cluster) = Cluster::start() else { return };
    let (id, folder) = (cluster.id().to_string(), cluster.socket_folder().to_owned());
    assert!(is_alive(&id) && folder.join("data/PG_VERSION").exists());
    drop(cluster);
    assert!(!is_alive(&id) && !folder.exists());
}

/// Not a test of its own: the one below runs and kills it.
#[test]
fn a_held_cluster() {
    let kind = std::env::var(HELD).unwrap_or_default();
    let cluster = match &*kind {
        "" => return,
        "shared" => {
            // The thread that asks for it ends, as those of tests do.
            std::thread::spawn(|| Cluster::shared().is_some()).join().unwrap();
            Cluster::shared().unwrap()
        }
        _ => &Cluster::start().unwrap(),
    };
    let sessions = cluster
        .sql("postgres", "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
    if kind == "frozen" {
        cluster.freeze();
    }
    println!("\nheld {} {} {sessions}", cluster.socket_folder().display(), cluster.id());
    std::thread::sleep(PATIENCE * 3);
}

#[test]
fn a_cluster_is_gone_after_its_process_is_killed() {
    // Where there is no PostgreSQL, this says so.
    if Cluster::shared().is_none() {
        return;
    }
    for kind in ["shared", "own", "frozen"] {
        let mut tests = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "postgres::a_held_cluster", "--nocapture"])
            .env(HELD, kind)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(tests.stdout.take().unwrap()).lines();
        let line = lines.map_while(Result::ok).find(|line| line.starts_with("held ")).expect("it holds a cluster");
        let words: Vec<_> = line.split(' ').skip(1).collect();
        let (folder, processes) = words.split_first().unwrap();
        assert!(processes.len() > 3 && processes.iter().all(|id| is_alive(id)) && Path::new(folder).exists(), "{line}");
        tests.kill().unwrap();
        tests.wait().unwrap();
        eventually("the processes end", || processes.iter().all(|id| !is_alive(id)).then_some(()));
        eventually("the folder goes", || (!Path::new(folder).exists()).then_some(()));
    }
}

#[test]
fn a_cluster_starts_for_another_user_too() {
    let Some(cluster) = Cluster::shared() else { return };
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Every other test is one of a user who is not root.
        return;
    }
    let nobody = User::named(&["nobody"]).unwrap();
    // Where that user can reach it.
    let folder = Folder::new("pylon-tests-", Some(&nobody));
    let program = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    give(&program, &nobody);
    let name = "postgres::a_cluster_ends_with_its_value_and_leaves_nothing";
    let mut tests = Program::new(program).user(Some(nobody)).arguments(["--exact", name]);
    tests = tests.without_environment("TMPDIR").environment("PYLON_DEMAND_PROGRAMS", "1");
    // .../root/usr/lib/postgresql/15/bin, in a copy of unpacked packages.
    if let Some(unpacked) = cluster.programs().ancestors().nth(6) {
        tests = tests.environment("PYLON_DEBIAN_PROGRAMS", unpacked);
    }
    let printed = tests.run("", PATIENCE).unwrap();
    assert!(printed.contains("1 passed"), "{printed}");
}

#[test]
fn tcp_asks_for_the_password() {
    let Some(cluster) = Cluster::setup().tcp().start() else { return };
    let url = cluster.tcp_url("postgres");
    assert_eq!(cluster.psql(&url, "SELECT inet_server_port()").unwrap(), cluster.port().to_string());
    let refused = cluster.psql(&url.replace(cluster.password(), "wrong"), "SELECT 1").unwrap_err();
    assert!(refused.contains("password authentication failed"), "{refused}");
    cluster.restart();
    assert_eq!(cluster.psql(&url, "SELECT 1").unwrap(), "1");
}

#[test]
fn what_is_committed_survives_every_way_to_stop() {
    let Some(cluster) = Cluster::setup().with("autovacuum", "off").start() else { return };
    cluster.sql("postgres", "CREATE TABLE kept (number int)");
    for (number, how) in [Stop::Smart, Stop::Fast, Stop::Immediate, Stop::Kill].into_iter().enumerate() {
        cluster.sql("postgres", &format!("INSERT INTO kept VALUES ({number})"));
        cluster.stop(how);
        assert!(cluster.psql(&cluster.url("postgres"), "SELECT 1").is_err(), "{how:?}");
        cluster.restart();
        assert_eq!(cluster.sql("postgres", "SELECT count(*) FROM kept"), (number + 1).to_string(), "{how:?}");
    }
    assert_eq!(cluster.sql("postgres", "SHOW autovacuum"), "off");
}

#[test]
fn settings_hold_when_conf_returns_and_wrong_ones_are_told() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.conf([("log_min_duration_statement", "77"), ("application_name", "a 'name' \\ of ours")]);
    assert_eq!(cluster.sql("postgres", "SHOW log_min_duration_statement"), "77ms");
    cluster.conf([("max_connections", "33")]);
    assert_eq!(cluster.sql("postgres", "SHOW max_connections"), "400");
    cluster.restart();
    assert_eq!(cluster.sql("postgres", "SHOW max_connections"), "33");
    assert_eq!(cluster.sql("postgres", "SELECT reset_val FROM pg_settings WHERE name = 'application_name'"), "psql");
    cluster.hba("local all stranger reject");
    cluster.sql("postgres", "CREATE ROLE stranger LOGIN; CREATE ROLE friend LOGIN");
    let refused = cluster.psql(&cluster.url_as("stranger", "postgres"), "SELECT 1").unwrap_err();
    assert!(refused.contains("pg_hba.conf rejects connection"), "{refused}");
    assert_eq!(cluster.psql(&cluster.url_as("friend", "postgres"), "SELECT current_user").unwrap(), "friend");
    let told = std::panic::catch_unwind(|| cluster.conf([("work_mem", "much")])).unwrap_err();
    let told = told.downcast::<String>().unwrap();
    assert!(told.contains("work_mem"), "{told}");
}

#[test]
fn the_usual_cluster_does_not_sync_and_a_durable_one_does() {
    let (Some(usual), Some(durable)) = (Cluster::shared(), Cluster::durable()) else { return };
    let settings =
        "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')";
    assert_eq!(usual.sql("postgres", settings), "off|off|on");
    assert_eq!(durable.sql("postgres", settings), "on|on|on");
}

#[test]
fn texts_sort_by_language_unless_sql_says_otherwise() {
    let Some(cluster) = Cluster::shared() else { return };
    assert_eq!(cluster.sql("postgres", "SELECT 'a' < 'B', 'a' < 'B' COLLATE \"C\""), "t|f");
}

#[test]
fn a_frozen_server_answers_once_it_goes_on() {
    let Some(cluster) = Cluster::start() else { return };
    scope(|scope| {
        let session = scope.spawn(|| cluster.sql("postgres", "SELECT 'slept' FROM pg_sleep(0.3)"));
        let is_asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        eventually("the session sleeps", || (cluster.sql("postgres", is_asleep) == "1").then_some(()));
        cluster.freeze();
        let late = scope.spawn(|| cluster.sql("postgres", "SELECT 'late'"));
        // Longer than the session sleeps.
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert!(!session.is_finished() && !late.is_finished());
        cluster.thaw();
        assert_eq!((session.join().unwrap(), late.join().unwrap()), ("slept".to_owned(), "late".to_owned()));
    });
}

#[test]
fn a_synchronous_standby_holds_each_commit_and_can_be_promoted() {
    let Some(primary) = Cluster::setup().tcp().start() else { return };
    let standby = primary.standby(Replication::Synchronous);
    primary.sql("postgres", "SET synchronous_commit = remote_apply; CREATE TABLE kept AS SELECT 1 AS number");
    assert_eq!(standby.sql("postgres", "SELECT number, pg_is_in_recovery() FROM kept"), "1|t");
    standby.stop(Stop::Fast);
    scope(|scope| {
        let waits = scope.spawn(|| primary.sql("postgres", "INSERT INTO kept VALUES (2)"));
        let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        eventually("the commit waits for the standby", || (primary.sql("postgres", cancel) == "1").then_some(()));
        waits.join().unwrap();
    });
    // A wait that is cancelled is a commit with a warning.
    assert!(primary.log().contains("canceling wait for synchronous replication"), "{}", primary.log());
    standby.restart();
    standby.catch_up_with(&primary);
    primary.stop(Stop::Kill);
    standby.promote();
    assert_eq!(
        standby.psql(&standby.tcp_url("postgres"), "INSERT INTO kept VALUES (3); SELECT count(*) FROM kept").unwrap(),
        "3"
    );
}

#[test]
fn an_asynchronous_standby_holds_no_commit_back() {
    let Some(primary) = Cluster::start() else { return };
    let standby = primary.standby(Replication::Asynchronous);
    standby.stop(Stop::Fast);
    primary.sql("postgres", "CREATE TABLE kept AS SELECT 1 AS number");
    standby.restart();
    standby.catch_up_with(&primary);
    assert_eq!(standby.sql("postgres", "SELECT * FROM kept"), "1");
}
