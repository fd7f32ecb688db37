//! Work in the background that any receiver may do for all of them: adding up tallies, cleaning up behind the couriers, and watching for
//! what keeps PostgreSQL from cleaning up.

use super::database::Database;
use super::error::Fault;
use super::hold_up::{self, Told};
use super::session::Use;
use super::tallies;
use super::tries::{ANSWERED_WITHIN, once};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Tallies are added up in one of so many looks.
const FOLD_EVERY: u32 = 5;
/// Hold-ups are watched for in one of so many.
const WATCH_EVERY: u32 = 20;
/// So many dead rows may stay. Autovacuum, which looks once a minute at best, sees to those.
const MOST_DEAD_ROWS: i64 = 2000;

/// Starts the chores of a ledger; they end with it.
pub(super) fn start(database: &Arc<Database>) {
    let every = database.options.clean_up_every.max(Duration::from_millis(1));
    let (runtime, database) = (database.runtime.clone(), Arc::downgrade(database));
    runtime.spawn(async move {
        let mut told = Told::default();
        for look in 1.. {
            // After the pause: at first there is nothing to clean up.
            tokio::time::sleep(every).await;
            if run(&database, look, &mut told).await.is_none() {
                return;
            }
        }
    });
}

/// Does what is to be done in this look; none: the ledger is gone. Nobody waits for it: when the ledger is about to be closed, it breaks
/// off.
async fn run(database: &Weak<Database>, look: u32, told: &mut Told) -> Option<()> {
    let database = database.upgrade()?;
    let done = async {
        if look.is_multiple_of(FOLD_EVERY) {
            once(ANSWERED_WITHIN, fold(&database)).await?;
        }
        clean_up(&database).await?;
        match look.is_multiple_of(WATCH_EVERY) {
            true => once(ANSWERED_WITHIN, hold_up::find(&database)).await,
            false => Ok(Vec::new()),
        }
    };
    tokio::select! {
        biased;
        () = database.closing() => return None,
        done = done => match done {
            Ok(found) => told.tell(&found, Instant::now()),
            Err(fault) => tracing::debug!(%fault, "the database could not be looked after"),
        },
    }
    Some(())
}

/// Adds up the tallies, unless another receiver is doing it.
async fn fold(database: &Database) -> Result<(), Fault> {
    let mut connection = database.connection(Use::Chores).await?;
    let transaction = connection.transaction().await?;
    let take = transaction.prepare_cached("SELECT true FROM chores WHERE name = 'fold' FOR UPDATE SKIP LOCKED").await?;
    if transaction.query_opt(&take, &[]).await?.is_some() {
        tallies::fold(&transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// The tables whose rows change or go all the time, where they have many dead rows.
const TO_CLEAN: &str = "
    SELECT relname FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname IN ('open', 'tallies', 'unindexed_events', 'refused') AND n_dead_tup > $1";

/// Makes the room of dead rows free again. What another receiver is cleaning up is left to it.
async fn clean_up(database: &Database) -> Result<(), Fault> {
    let look = async {
        let connection = database.connection(Use::Chores).await?;
        let look = connection.prepare_cached(TO_CLEAN).await?;
        let tables = connection.query(&look, &[&MOST_DEAD_ROWS]).await?;
        Ok((connection, tables))
    };
    let (connection, tables) = once(ANSWERED_WITHIN, look).await?;
    for row in tables {
        // Without shortening the file, which needs a lock that stops everybody.
        let clean = match row.try_get(0)? {
            "open" => "VACUUM (SKIP_LOCKED, TRUNCATE off) open",
            "tallies" => "VACUUM (SKIP_LOCKED, TRUNCATE off) tallies",
            "unindexed_events" => "VACUUM (SKIP_LOCKED, TRUNCATE off) unindexed_events",
            _ => "VACUUM (SKIP_LOCKED, TRUNCATE off) refused",
        };
        connection.batch_execute(clean).await?;
    }
    Ok(())
}
