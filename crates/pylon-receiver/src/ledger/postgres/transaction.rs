//! Transactions: bounded in time, and tried again where others are in their way.

use super::changes::Changes;
use super::connection::{Connection, Use};
use super::database::Database;
use super::error::Fault;
use super::lent::Lent;
use deadpool_postgres::Transaction;
use std::time::Duration;

/// How long one transaction may take. The server ends what takes too long, and says so, long before: this is for a server that says
/// nothing.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// How often something is tried at once when others are in its way.
const MOST_TRIES: usize = 5;

/// What an operator orders, or a chore: one transaction.
pub(super) trait Job: Sync {
    type Answer: Send;

    /// How long it may take.
    const WITHIN: Duration = ANSWERED_WITHIN;

    /// Does it, and says what it changes in the states of deliveries.
    fn run(
        &self,
        transaction: &Transaction<'_>,
        changes: &mut Changes,
    ) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// Does the job in a transaction; at once again where another transaction was in its way. Keeps the present first, so that the ledger's time
/// goes on from there; after the commit, wakes where something is due.
pub(super) async fn transact<J: Job>(database: &Database, job: J) -> Result<J::Answer, Fault> {
    tried_within(J::WITHIN, || on_connection(database, &job)).await
}

/// Closes the connection if it ends in the middle: an answer may be under way.
async fn on_connection<J: Job>(database: &Database, job: &J) -> Result<J::Answer, Fault> {
    let mut connection = Lent::new(database.connection(Use::Read).await?);
    let result = in_transaction(&mut connection, database, job).await;
    connection.give_back(result)
}

async fn in_transaction<J: Job>(connection: &mut Connection, database: &Database, job: &J) -> Result<J::Answer, Fault> {
    let transaction = connection.transaction().await?;
    let keep_time = transaction.prepare_cached("SELECT keep_time()").await?;
    transaction.execute(&keep_time, &[]).await?;
    let mut changes = Changes::default();
    let answer = job.run(&transaction, &mut changes).await?;
    changes.tallies.write(&transaction).await?;
    transaction.commit().await?;
    changes.wake(database);
    Ok(answer)
}

/// Does the work, which is one transaction, within a bounded time; at once again where another transaction was in its way.
pub(super) async fn tried<T, W>(work: impl FnMut() -> W) -> Result<T, Fault>
where
    W: Future<Output = Result<T, Fault>>,
{
    tried_within(ANSWERED_WITHIN, work).await
}

async fn tried_within<T, W>(within: Duration, mut work: impl FnMut() -> W) -> Result<T, Fault>
where
    W: Future<Output = Result<T, Fault>>,
{
    for _ in 1..MOST_TRIES {
        match once(within, work()).await {
            Err(Fault::Again(_)) => {}
            result => return result,
        }
    }
    once(within, work()).await
}

/// Reads something, within a bounded time.
pub(super) async fn read<T>(
    database: &Database,
    work: impl AsyncFnOnce(&mut Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut connection = Lent::new(database.connection(Use::Read).await?);
    let result = once(ANSWERED_WITHIN, work(&mut connection)).await;
    connection.give_back(result)
}

/// Does the work, which is one transaction, within a bounded time.
async fn once<T>(within: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(within, work).await {
        Ok(result) => result,
        Err(_) => Err(Fault::Away(format!("the database gave no answer in {} s", within.as_secs()).into())),
    }
}
