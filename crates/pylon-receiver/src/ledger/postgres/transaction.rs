//! Jobs of operators and chores, each one transaction.

use super::changes::Changes;
use super::connection::Connection;
use super::database::Database;
use super::error::Fault;
use super::lent::Lent;
use super::session::Use;
use super::tries::{ANSWERED_WITHIN, tried_within};
use deadpool_postgres::Transaction;
use std::time::Duration;

/// What an operator orders, or a chore: one transaction.
pub(super) trait Job: Sync {
    type Answer: Send;

    /// How long it may take.
    const WITHIN: Duration = ANSWERED_WITHIN;

    /// On which connections.
    const ON: Use = Use::Read;

    /// Whether it counts only once it, and all that was committed before it, is where the server is set up to have it.
    const IS_DURABLE: bool = false;

    /// Does it, and says what it changes in the states of deliveries.
    fn run(
        &self,
        transaction: &Transaction<'_>,
        changes: &mut Changes,
    ) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// Does the job in a transaction; at once again where another transaction was in its way. Keeps the present first, so that the
/// ledger's time goes on from there; after the commit, wakes where something is due.
pub(super) async fn transact<J: Job>(database: &Database, job: J) -> Result<J::Answer, Fault> {
    tried_within(J::WITHIN, || on_connection(database, &job)).await
}

/// Closes the connection if it ends in the middle: an answer may be under way.
async fn on_connection<J: Job>(database: &Database, job: &J) -> Result<J::Answer, Fault> {
    let mut connection = Lent::new(database.connection(J::ON).await?);
    let result = in_transaction(&mut connection, database, job).await;
    connection.give_back(result)
}

async fn in_transaction<J: Job>(connection: &mut Connection, database: &Database, job: &J) -> Result<J::Answer, Fault> {
    let warnings = connection.warnings();
    let transaction = connection.transaction().await?;
    if J::IS_DURABLE {
        // Other than the session: as the server has it.
        transaction.batch_execute("SET LOCAL synchronous_commit TO DEFAULT").await?;
    }
    let keep_time = transaction.prepare_cached("SELECT keep_time()").await?;
    transaction.execute(&keep_time, &[]).await?;
    let mut changes = Changes::default();
    let answer = job.run(&transaction, &mut changes).await?;
    changes.tallies.write(&transaction).await?;
    transaction.commit().await?;
    if J::IS_DURABLE && connection.warnings() != warnings {
        return Err(Fault::Unconfirmed(
            "the wait for a standby was given up on the server; find out who cancels commits there".into(),
        ));
    }
    changes.wake(database);
    Ok(answer)
}
