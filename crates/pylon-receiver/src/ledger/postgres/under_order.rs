//! What an operator orders, part by part: each part in a transaction that also writes the order's row.

use super::changes::Changes;
use super::database::Database;
use super::error::Fault;
use super::row::milliseconds;
use super::session::Use;
use super::transaction::{Job, transact};
use super::tries::ANSWERED_WITHIN;
use crate::ledger::{Carried, OrderRecord};
use deadpool_postgres::Transaction;
use std::time::Duration;

/// An order of which something is done.
#[derive(Clone, Copy)]
pub(super) struct UnderOrder<'d> {
    pub(super) database: &'d Database,
    pub(super) number: i64,
}

impl UnderOrder<'_> {
    /// Does the job in a transaction, and adds to the order's numbers in the same: so many are taken, by default as many as the job
    /// does. Nothing, if the order is not under way.
    pub(super) async fn transact<J: OrderJob>(
        self,
        job: J,
        taken: Option<u64>,
        unrouted: u64,
    ) -> Result<Carried, Fault> {
        transact(self.database, Carrying { order: self.number, job, taken, unrouted }).await
    }
}

/// What is done in one transaction of an order.
pub(super) trait OrderJob: Sync {
    /// How long it may take.
    const WITHIN: Duration = ANSWERED_WITHIN;

    /// On which connections.
    const ON: Use = Use::Read;

    /// Does it; says how many deliveries were made, moved or dropped.
    fn run(
        &self,
        transaction: &Transaction<'_>,
        changes: &mut Changes,
        order: i64,
    ) -> impl Future<Output = Result<u64, Fault>> + Send;

    /// How many events the order is about, if that is found out now.
    fn counted(&self) -> Option<u64> {
        None
    }
}

struct Carrying<J> {
    order: i64,
    job: J,
    taken: Option<u64>,
    unrouted: u64,
}

impl<J: OrderJob> Job for Carrying<J> {
    type Answer = Carried;

    const WITHIN: Duration = J::WITHIN;

    const ON: Use = J::ON;

    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes) -> Result<Carried, Fault> {
        let lock = "SELECT until > tick() FROM orders WHERE number = $1 AND state = 0 FOR NO KEY UPDATE";
        let lock = transaction.prepare_cached(lock).await?;
        let is_under_way = match transaction.query_opt(&lock, &[&self.order]).await? {
            Some(row) => row.try_get(0)?,
            None => false,
        };
        if !is_under_way {
            return Ok(Carried { done: 0, is_over: true });
        }
        let done = self.job.run(transaction, changes, self.order).await?;
        let add = "
            UPDATE orders SET counted = coalesce($2, counted), taken = taken + $3, done = done + $4, unrouted = unrouted + $5,
                until = tick() + $6 WHERE number = $1";
        let add = transaction.prepare_cached(add).await?;
        let (counted, taken) = (self.job.counted().map(in_table), in_table(self.taken.unwrap_or(done)));
        let (unrouted, lease) = (in_table(self.unrouted), milliseconds(OrderRecord::LEASE));
        transaction.execute(&add, &[&self.order, &counted, &taken, &in_table(done), &unrouted, &lease]).await?;
        Ok(Carried { done, is_over: false })
    }
}

/// No number is higher than the columns hold.
pub(super) fn in_table(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
