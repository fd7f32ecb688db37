//! Tables: made once however many programs begin at once, whole or not at all, and never where somebody else has some.

use super::{address, connect, record, unreachable, until_it_works};
use pylon_receiver::config::LedgerAddress;
use pylon_receiver::ledger::{Ledger, LedgerError, PostgresLedger, SpoolOptions, SpooledLedger};
use pylon_receiver::{LedgerAccess, StartFault, open_ledger};
use pylon_test_support::postgres::{Cluster, Stop};
use pylon_test_support::wait::eventually;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What every program locks that changes tables.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('pylon-receiver pylon_receiver', 0));";
/// Tables as a later version of the program may leave them.
const LATER: &str = "UPDATE pylon_receiver.ledger SET version = 6;";

/// Why there is no ledger that this program can use.
#[track_caller]
fn unknown(result: Result<PostgresLedger, LedgerError>) -> String {
    match result.unwrap_err() {
        LedgerError::Unknown(found) => found.into(),
        other => panic!("expected an unknown ledger, found {other:?}"),
    }
}

fn tables(cluster: &Cluster, database: &str) -> String {
    cluster.sql(database, "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('pylon_receiver')")
}

/// Waits until a session waits in this way.
fn waiting(cluster: &Cluster, database: &str, event: &str) {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = '{event}'");
    eventually("somebody waits", || (cluster.sql("postgres", &sql) != "0").then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_programs_that_begin_at_once_one_makes_the_tables() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    let mut connecting = JoinSet::new();
    for _ in 0..8 {
        let url = cluster.url(&database);
        connecting.spawn(async move { connect(&url).await.unwrap() });
    }
    let ledgers = connecting.join_all().await;
    let ids: Vec<String> = ledgers.iter().map(|ledger| format!("{ledger:?}")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(cluster.sql(&database, "SELECT version FROM pylon_receiver.ledger"), "5");
    for (ledger, seconds) in ledgers.iter().zip(1..) {
        record(ledger, seconds).await.unwrap();
    }
    drop(ledgers);
    cluster.drop_database(&database);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_older_than_the_tables_refuses_them() {
    const NEWER: &str =
        "expected version 5 in the schema pylon_receiver, found 6; use the newer pylon-receiver that made it";
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    let url = cluster.url(&database);
    let running = connect(&url).await.unwrap();
    // One connects while a later version is at it.
    let later = format!("BEGIN; {LOCK} {LATER} SELECT pg_sleep(1); DROP TABLE pylon_receiver.clock; COMMIT;");
    let migrating = std::thread::spawn({
        let url = url.clone();
        move || Cluster::shared().unwrap().psql(&url, &later).unwrap()
    });
    waiting(cluster, &database, "PgSleep");
    // Until that is committed, the tables are those of before.
    connect(&url).await.unwrap().close().await.unwrap();
    migrating.join().unwrap();
    assert_eq!(unknown(connect(&url).await), NEWER);
    // One that runs stops with its next connection.
    let end = format!(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
    );
    cluster.sql("postgres", &end);
    let (found, _) = until_it_works(|| async {
        match running.stats().await {
            Err(LedgerError::Unknown(found)) => Ok(found),
            Err(error) => Err(error),
            Ok(_) => Err(LedgerError::Busy),
        }
    })
    .await;
    assert!(
        found.ends_with("tables of a later version, found while this program runs; use the newer pylon-receiver"),
        "{found}"
    );
    cluster.drop_database(&database);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_program_cannot_record_any_more_it_spools() {
    const LATER_TABLES: &str = "tables of a later version, found while this program runs; use the newer pylon-receiver";
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    let (url, folder) = (cluster.url(&database), tempfile::TempDir::new().unwrap());
    let (alone, behind) = (connect(&url).await.unwrap(), url.clone());
    let spooled = SpooledLedger::start(folder.path().join("spool.db"), SpoolOptions::default(), move || {
        let url = behind.clone();
        async move { connect(&url).await.map(|ledger| Arc::new(ledger) as Arc<dyn Ledger>) }
    });
    let spooled = spooled.await.unwrap();
    for (ledger, seconds) in [(&alone as &dyn Ledger, 1), (&spooled, 2)] {
        record(ledger, seconds).await.unwrap();
    }
    cluster.sql(&database, LATER);
    let end = format!(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
    );
    cluster.sql("postgres", &end);
    let found = unreachable(record(&alone, 3).await);
    assert!(found.ends_with(LATER_TABLES), "{found}");
    let found = unreachable(alone.check().await);
    assert!(found.ends_with(LATER_TABLES), "{found}");
    spooled.check().await.unwrap();
    record(&spooled, 3).await.unwrap();
    assert_eq!(spooled.spool().unwrap().events, 1);
    spooled.check().await.unwrap();
    // Back to the tables that it knows.
    cluster.sql(&database, "UPDATE pylon_receiver.ledger SET version = 1");
    let is_handed_over = || (spooled.spool().unwrap().events == 0).then_some(());
    eventually("it is handed over", is_handed_over);
    spooled.close().await.unwrap();
    drop(alone);
    cluster.drop_database(&database);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_for_another_goes_by_what_that_one_leaves() {
    let Some(cluster) = Cluster::shared() else { return };
    let model = cluster.fresh_database();
    connect(&cluster.url(&model)).await.unwrap().close().await.unwrap();
    let database = cluster.fresh_database();
    let later = format!(
        "BEGIN; {LOCK} CREATE SCHEMA pylon_receiver; CREATE TABLE pylon_receiver.ledger (version int, id uuid);
         INSERT INTO pylon_receiver.ledger VALUES (6, gen_random_uuid()); SELECT pg_sleep(1); COMMIT;"
    );
    let url = cluster.url(&database);
    let migrating = std::thread::spawn(move || Cluster::shared().unwrap().psql(&url, &later).unwrap());
    waiting(cluster, &database, "PgSleep");
    let found = unknown(connect(&cluster.url(&database)).await);
    assert!(found.starts_with("expected version 5 in the schema pylon_receiver, found 6"), "{found}");
    migrating.join().unwrap();
    // Nobody waits for ever.
    let held = cluster.fresh_database();
    let url = cluster.url(&held);
    let hold = format!("BEGIN; {LOCK} SELECT pg_sleep(8); COMMIT;");
    let holding = std::thread::spawn(move || Cluster::shared().unwrap().psql(&url, &hold).unwrap());
    waiting(cluster, &held, "PgSleep");
    let began = Instant::now();
    let found = unreachable(connect(&cluster.url(&held)).await);
    let expected = "expected to change the tables in the schema pylon_receiver, found another program at it; try again";
    assert_eq!(found, expected);
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    holding.join().unwrap();
    [model, database, held].iter().for_each(|name| cluster.drop_database(name));
}

/// As the first version of the tables made them.
const FIRST: &str = include_str!("../../../src/ledger/postgres/schema/001.sql");

#[tokio::test]
async fn tables_of_the_first_version_are_brought_to_this_one_with_what_is_in_them() {
    let Some(cluster) = Cluster::shared() else { return };
    let (new, old) = (cluster.fresh_database(), cluster.fresh_database());
    connect(&cluster.url(&new)).await.unwrap().close().await.unwrap();
    cluster.sql(
        &old,
        &format!(
            "CREATE SCHEMA pylon_receiver; SET search_path = pylon_receiver; {FIRST} INSERT INTO ledger (version) VALUES (1);
             INSERT INTO tallies (destination, events) VALUES ('', 5);
             INSERT INTO finished (event_id, number, destination, state, attempts, finished_at)
             VALUES (gen_random_uuid(), 1, 'app', 4, 1, 5000), (gen_random_uuid(), 1, 'app', 4, 1, 7000);
             INSERT INTO tallies (destination, dead) VALUES ('app', 1), ('app', 1);"
        ),
    );
    let ledger = connect(&cluster.url(&old)).await.unwrap();
    assert_eq!(cluster.sql(&old, "SELECT version FROM pylon_receiver.ledger"), "5");
    record(&ledger, 1).await.unwrap();
    assert_eq!(ledger.stats().await.unwrap().events, 6);
    // Those that died before have no code.
    let groups = ledger.dead_groups().await.unwrap();
    let told: Vec<_> = groups
        .iter()
        .map(|group| {
            (group.code.as_deref(), group.dead, group.first_at.unix_milliseconds(), group.last_at.unix_milliseconds())
        })
        .collect();
    assert_eq!(told, [(None, 2, 5000, 7000)]);
    // They are as those that this version makes.
    let columns = "
        SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'pylon_receiver'
        UNION ALL
        SELECT tablename, indexname, indexdef, '' FROM pg_indexes WHERE schemaname = 'pylon_receiver' ORDER BY 1, 2";
    assert_eq!(cluster.sql(&old, columns), cluster.sql(&new, columns));
    drop(ledger);
    [new, old].iter().for_each(|name| cluster.drop_database(name));
}

/// Killed half-way: the program, then the server.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_as_a_whole_or_not_at_all() {
    const HALF_WAY: &str = "
        CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            IF to_regclass('pylon_receiver.refused') IS NOT NULL THEN PERFORM pg_sleep(60); END IF;
        END $$;
        CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION slow();";
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.fresh_database();
    let url = cluster.url(&database);
    cluster.sql(&database, HALF_WAY);
    let begin = || {
        let url = url.clone();
        // A program of its own, as far as the server can tell.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.spawn(async move { connect(&url).await.map(drop) });
        waiting(&cluster, &database, "PgSleep");
        runtime
    };
    begin().shutdown_background();
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("the session ends", || (cluster.sql("postgres", gone) == "0").then_some(()));
    assert_eq!(tables(&cluster, &database), "0");
    let second = begin();
    cluster.stop(Stop::Kill);
    cluster.restart();
    second.shutdown_background();
    assert_eq!(tables(&cluster, &database), "0");
    cluster.sql(&database, "DROP EVENT TRIGGER slow");
    let ledger = connect(&url).await.unwrap();
    record(&ledger, 1).await.unwrap();
}

#[tokio::test]
async fn a_role_needs_no_more_than_a_schema() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    cluster.sql("postgres", "CREATE ROLE modest LOGIN; CREATE ROLE poor LOGIN");
    let url = cluster.url_as("modest", &database);
    let failed = |result: Result<PostgresLedger, LedgerError>| match result.unwrap_err() {
        LedgerError::Failed(said) => said,
        other => panic!("{other:?}"),
    };
    let expected = format!("expected to make tables in the schema pylon_receiver of the database {database}, found");
    let found = failed(connect(&url).await);
    let order = "CREATE SCHEMA \"pylon_receiver\" AUTHORIZATION \"modest\"";
    let neither = "neither the schema nor the right to make it, as modest; have an administrator run";
    assert_eq!(*found, format!("{expected} {neither}: {order}"));
    cluster.sql(&database, "CREATE SCHEMA pylon_receiver");
    let found = failed(connect(&url).await);
    let order = "GRANT USAGE, CREATE ON SCHEMA \"pylon_receiver\" TO \"modest\"";
    assert_eq!(*found, format!("{expected} no right to, as modest; have an administrator run: {order}"));
    cluster.sql(&database, order);
    let ledger = connect(&url).await.unwrap();
    record(&ledger, 1).await.unwrap();
    ledger.close().await.unwrap();
    // Once the tables are there, no right to make any is needed.
    cluster.sql(&database, "REVOKE CREATE ON SCHEMA pylon_receiver FROM modest");
    let ledger = connect(&url).await.unwrap();
    record(&ledger, 2).await.unwrap();
    ledger.close().await.unwrap();
    cluster.drop_database(&database);
    cluster.sql("postgres", "DROP ROLE modest; DROP ROLE poor");
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_left_alone() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    let at = |schema: &str| format!("{}&schema={schema}", cluster.url(&database));
    cluster.sql(
        &database,
        "CREATE SCHEMA books; CREATE TABLE books.ledger (account text, amount int);
         CREATE SCHEMA bare; CREATE TABLE bare.ledger (version int, id uuid);
         CREATE SCHEMA typed; CREATE TABLE typed.ledger (version text, id uuid); INSERT INTO typed.ledger VALUES ('1', gen_random_uuid());
         CREATE SCHEMA fair; CREATE TABLE fair.events (name text); INSERT INTO fair.events VALUES ('party');",
    );
    for (schema, expected) in [
        ("books", "expected a ledger in the schema books, found a table `ledger` with other columns"),
        ("bare", "expected a ledger in the schema bare, found a table `ledger` without a row"),
        ("typed", "expected a ledger in the schema typed, found a table `ledger` with columns of other types"),
        (
            "fair",
            "expected a ledger or nothing in the schema fair, found other things: relation \"events\" already exists",
        ),
    ] {
        let found = unknown(connect(&at(schema)).await);
        assert_eq!(found, format!("{expected}; name another schema with `schema=`"));
    }
    assert_eq!(cluster.sql(&database, "SELECT name FROM fair.events"), "party");
    assert_eq!(cluster.sql(&database, "SELECT count(*) FROM pg_class WHERE relname = 'ledger'"), "3");
    // Two ledgers in one database know nothing of each other, whatever their schemas are named.
    for schema in ["one", "user", "Two"] {
        let ledger = connect(&at(schema)).await.unwrap();
        record(&ledger, 1).await.unwrap();
        ledger.close().await.unwrap();
    }
    cluster.drop_database(&database);
}

#[tokio::test]
async fn commands_make_no_tables() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.fresh_database();
    let address = LedgerAddress::Postgres(Box::new(address(&cluster.url(&database))));
    for access in [LedgerAccess::Read, LedgerAccess::Change] {
        let fault = open_ledger(&address, None, access).await.map(drop).unwrap_err();
        let expected = "expected the tables of a ledger in the schema pylon_receiver of this database, found none";
        assert_eq!(fault, StartFault::Ledger(LedgerError::Unknown(expected.into())));
    }
    assert_eq!(cluster.sql(&database, "SELECT to_regnamespace('pylon_receiver') IS NULL"), "t");
    connect(&cluster.url(&database)).await.unwrap().close().await.unwrap();
    cluster.sql(&database, "UPDATE pylon_receiver.ledger SET version = 0");
    let fault = open_ledger(&address, None, LedgerAccess::Read).await.map(drop).unwrap_err();
    let expected = "expected version 5 in the schema pylon_receiver, found 0; start a receiver of this version, which brings it up to date";
    assert_eq!(fault, StartFault::Ledger(LedgerError::Unknown(expected.into())));
    cluster.drop_database(&database);
}
