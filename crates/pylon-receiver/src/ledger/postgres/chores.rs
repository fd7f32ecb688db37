//! Work in the background that any receiver may do for all of them: adding up tallies, cleaning up behind the couriers, and watching for
//! what keeps PostgreSQL from cleaning up.

use super::connection::Use;
use super::database::Database;
use super::error::Fault;
use super::tallies;
use crate::ledger::LedgerError;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Row;

/// Between two looks at the tables that change all the time. Autovacuum looks once a minute at best, and deliveries leave thousands of dead
/// rows a second.
const CLEAN_EVERY: Duration = Duration::from_secs(3);
/// Between two times that tallies are added up, in looks.
const FOLD_EVERY: u32 = 5;
/// Between two looks for what keeps rows from being cleaned up, in looks.
const WATCH_EVERY: u32 = 20;
/// How many dead rows are cleaned up.
const MOST_DEAD_ROWS: i64 = 2000;
/// How long rows may be kept from being cleaned up.
const HELD_FOR: Duration = Duration::from_secs(600);
/// How often the same is told.
const TELL_EVERY: Duration = Duration::from_secs(3600);

/// Starts the chores of a ledger; they end with it.
pub(super) fn start(database: &Arc<Database>) {
    database.runtime.spawn(run(Arc::downgrade(database)));
}

async fn run(database: Weak<Database>) {
    let mut ticks = interval(CLEAN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one comes at once.
    ticks.tick().await;
    let mut told = Told::default();
    for look in 1_u32.. {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        let done = database.run(move |database| async move {
            if look.is_multiple_of(FOLD_EVERY) {
                fold(&database).await?;
            }
            clean_up(&database).await?;
            if look.is_multiple_of(WATCH_EVERY) { hold_ups(&database, HELD_FOR).await } else { Ok(Vec::new()) }
        });
        match done.await {
            Ok(found) => told.tell(found, Instant::now()),
            Err(LedgerError::Closed) => return,
            Err(error) => tracing::debug!(%error, "the database could not be looked after"),
        }
    }
}

/// Adds up the tallies, unless another receiver is doing it.
async fn fold(database: &Database) -> Result<(), Fault> {
    let mut connection = database.connection(Use::Chores).await?;
    let transaction = connection.transaction().await?;
    let take = "SELECT true FROM chores WHERE name = 'fold' FOR UPDATE SKIP LOCKED";
    if transaction.query_opt(take, &[]).await?.is_some() {
        tallies::fold(&transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// The tables whose rows change or go all the time, where they have many dead rows.
const TO_CLEAN: &str = "
    SELECT quote_ident(relname) FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname IN ('open', 'tallies', 'refused') AND n_dead_tup > $1";

/// Makes the room of dead rows free again. What another receiver is cleaning up is left to it.
async fn clean_up(database: &Database) -> Result<(), Fault> {
    let connection = database.connection(Use::Chores).await?;
    let look = connection.prepare_cached(TO_CLEAN).await?;
    for row in connection.query(&look, &[&MOST_DEAD_ROWS]).await? {
        // To shorten the file it would need a lock that nobody else may have.
        let clean = format!("VACUUM (SKIP_LOCKED, TRUNCATE off) {}", row.try_get::<_, &str>(0)?);
        connection.batch_execute(&clean).await?;
    }
    Ok(())
}

/// Something that keeps dead rows from being cleaned up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HoldUp {
    kind: &'static str,
    /// What it is called in PostgreSQL.
    name: String,
}

/// What an ordinary role may not see comes as NULL, and is not told. Of a replication slot that nobody uses it does not matter for how long:
/// it holds until somebody comes back.
const HOLD_UPS: &str = "
    SELECT 'transaction', format('%s of %s, process %s', coalesce(nullif(application_name, ''), 'a program'), usename, pid)
    FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend' AND datname = current_database()
        AND xact_start < now() - make_interval(secs => $1)
    UNION ALL
    SELECT 'standby', coalesce(nullif(application_name, ''), client_addr::text, 'one without a name')
    FROM pg_stat_activity
    WHERE backend_type = 'walsender' AND age(backend_xmin) > 1000000
    UNION ALL
    SELECT 'slot', slot_name FROM pg_replication_slots WHERE NOT active AND xmin IS NOT NULL
    UNION ALL
    SELECT 'prepared', gid FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < now() - make_interval(secs => $1)";

/// What has kept dead rows from being cleaned up for longer than this.
async fn hold_ups(database: &Database, longer_than: Duration) -> Result<Vec<HoldUp>, Fault> {
    let connection = database.connection(Use::Chores).await?;
    let look = connection.prepare_cached(HOLD_UPS).await?;
    let read = |row: &Row| {
        let kind = match row.try_get(0)? {
            "transaction" => "transaction",
            "standby" => "standby",
            "slot" => "slot",
            _ => "prepared",
        };
        Ok(HoldUp { kind, name: row.try_get(1)? })
    };
    connection.query(&look, &[&longer_than.as_secs_f64()]).await?.iter().map(read).collect()
}

/// When each kind of hold-up was told of last.
#[derive(Default)]
struct Told(HashMap<&'static str, Instant>);
