//! Lets a copy go.
//!
//! Events come first, with what of their deliveries has ended; those that have something left to do before all others. Then the
//! deliveries: what is in no line one by one, lines as a whole. Between its event's transaction and its own, a delivery is still in the
//! copy's table: `prune`, `redeliver` and `dead` look there too.

use super::super::changes::Changes;
use super::super::database::Database;
use super::super::error::Fault;
use super::super::session::Use;
use super::super::transaction::{Job, transact};
use super::super::wake::{EVERYWHERE, channel};
use super::begun::{Stage, WITHIN, hold_to_release, set_stage};
use super::kept::Events;
use super::lines::Lines;
use super::loose::Loose;
use super::refused;
use crate::ledger::copy::CopyId;
use deadpool_postgres::Transaction;
use std::sync::Arc;
use std::time::Duration;

/// Deduplication keys that are no longer told from others, in one transaction.
const MOST_KEYS: i64 = 20_000;

/// Lets some go; says how many events and deliveries. Zero: the copy is in use, and stays so.
pub(super) async fn run(database: Arc<Database>, copy: CopyId) -> Result<u64, Fault> {
    for of in [Some(true), None, Some(false)] {
        let released = match of {
            Some(is_unfinished) => transact(&database, Events { copy, is_unfinished }).await?,
            None => match transact(&database, Loose(copy)).await? {
                0 => transact(&database, Lines(copy)).await?,
                released => released,
            },
        };
        if released > 0 {
            return Ok(released);
        }
    }
    while transact(&database, Keys(copy)).await? > 0 {}
    transact(&database, End { copy, channel: channel(database.id) }).await?;
    Ok(0)
}

/// Some deduplication keys: from now on they are pruned as others are.
struct Keys(CopyId);

impl Job for Keys {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<u64, Fault> {
        if hold_to_release(transaction, self.0).await? == Stage::InUse {
            return Ok(0);
        }
        let forget = "
            WITH chosen AS MATERIALIZED (SELECT endpoint, key FROM copied_keys ORDER BY endpoint, key LIMIT $1)
            DELETE FROM copied_keys USING chosen WHERE copied_keys.endpoint = chosen.endpoint AND copied_keys.key = chosen.key";
        let forget = transaction.prepare_cached(forget).await?;
        Ok(transaction.execute(&forget, &[&MOST_KEYS]).await?)
    }
}

/// The end: refused requests are shown, the copy is in use.
struct End {
    copy: CopyId,
    channel: String,
}

impl Job for End {
    type Answer = ();
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;
    // Nobody runs the command again whose last transaction was lost.
    const IS_DURABLE: bool = true;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<(), Fault> {
        if hold_to_release(transaction, self.copy).await? == Stage::InUse {
            return Ok(());
        }
        refused::release(transaction).await?;
        set_stage(transaction, self.copy, Stage::InUse).await?;
        // What was told before may not have been sent, and the command ends now.
        let notify = transaction.prepare_cached("SELECT pg_notify($1, $2)").await?;
        transaction.execute(&notify, &[&self.channel, &EVERYWHERE]).await?;
        Ok(())
    }
}
