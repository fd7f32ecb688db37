//! Transactions that write: the present first, then what is to be done, then what it changed in numbers; after the commit, whom it wakes.

use super::connection::Connection;
use super::database::Database;
use super::error::Fault;
use super::tallies::Tallies;
use crate::ledger::DeliveryState;
use deadpool_postgres::Transaction;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Begins a transaction, and keeps the present: the ledger's time goes on from there.
pub(super) async fn begin(connection: &mut Connection) -> Result<Transaction<'_>, Fault> {
    let transaction = connection.transaction().await?;
    let keep_time = transaction.prepare_cached("SELECT keep_time()").await?;
    transaction.execute(&keep_time, &[]).await?;
    Ok(transaction)
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
