//! Transactions that write: the present first, then what is to be done, then what it changed in numbers; after the commit, whom it wakes.

use super::connection::Connection;
use super::database::Database;
use super::error::Fault;
use super::tallies::Tallies;
use crate::ledger::DeliveryState;
use deadpool_postgres::Transaction;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often something is tried that others were in the way of. Each time somebody else has come through.
const TRIES: usize = 10;

/// Begins a transaction, and keeps the present: the ledger's time goes on from there.
pub(super) async fn begin(connection: &mut Connection) -> Result<Transaction<'_>, Fault> {
    let transaction = connection.transaction().await?;
    let keep_time = transaction.prepare_cached("SELECT keep_time()").await?;
    transaction.execute(&keep_time, &[]).await?;
    Ok(transaction)
}

/// Does something in a transaction of its own; again where others were in the way.
pub(super) async fn again<T, F>(work: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    for _ in 1..TRIES {
        match work().await {
            Err(Fault::Again(reason)) => tracing::debug!(%reason, "others were in the way: once more"),
            done => return done,
        }
    }
    work().await
}

/// What a transaction changes in the states of deliveries.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) tallies: Tallies,
    woken: BTreeSet<Arc<str>>,
}

impl Changes {
    /// So many more deliveries to the destination are in this state. Those that wait are due at once, so it is woken.
    pub(super) fn enter(&mut self, destination: &Arc<str>, state: DeliveryState, number: usize) {
        if state == DeliveryState::Waiting && number > 0 && !self.woken.contains(destination) {
            self.woken.insert(destination.clone());
        }
        self.tallies.count(destination, state, number as i64);
    }

    /// So many fewer deliveries to the destination are in this state.
    pub(super) fn leave(&mut self, destination: &Arc<str>, state: DeliveryState, number: usize) {
        self.tallies.count(destination, state, -(number as i64));
    }

    /// Commits, and wakes.
    pub(super) async fn commit(self, transaction: Transaction<'_>, database: &Database) -> Result<(), Fault> {
        self.tallies.write(&transaction).await?;
        transaction.commit().await?;
        for destination in &self.woken {
            database.wake(destination);
        }
        Ok(())
    }
}
