//! Takes out what a copy has put that was not let go.

use super::super::changes::Changes;
use super::super::database::Database;
use super::super::error::Fault;
use super::super::session::Use;
use super::super::transaction::{Job, transact};
use super::begun::{Begun, Hold, Stage, WITHIN, uuid};
use super::events::forget_deliveries;
use crate::ledger::copy::CopyId;
use deadpool_postgres::Transaction;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Events, and deduplication keys, that are taken out in one transaction.
const MOST: i64 = 1000;

/// Takes some events out, and in the end what is not counted with events; says how many events.
pub(super) async fn run(database: Arc<Database>, copy: CopyId) -> Result<u64, Fault> {
    match transact(&database, Events(copy)).await? {
        0 => {
            while transact(&database, Keys(copy)).await? > 0 {}
            transact(&database, Rest(copy)).await?;
            Ok(0)
        }
        discarded => Ok(discarded),
    }
}

/// Whether there is a copy to take out, which is locked then.
async fn is_there(transaction: &Transaction<'_>, copy: CopyId) -> Result<bool, Fault> {
    let begun = Begun::find(transaction, copy, Hold::Alone).await?;
    Ok(begun.is_some_and(|begun| begun.stage <= Stage::Sealed))
}

struct Events(CopyId);

impl Job for Events {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<u64, Fault> {
        if !is_there(transaction, self.0).await? {
            return Ok(0);
        }
        let choose = transaction.prepare_cached("SELECT id FROM copied_events ORDER BY id LIMIT $1").await?;
        let rows = transaction.query(&choose, &[&MOST]).await?;
        let events: Vec<Uuid> = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_, Fault>>()?;
        if !events.is_empty() {
            forget_deliveries(transaction, &events).await?;
            let forget = transaction.prepare_cached("DELETE FROM copied_events WHERE id = ANY($1)").await?;
            transaction.execute(&forget, &[&events]).await?;
        }
        Ok(events.len() as u64)
    }
}

struct Keys(CopyId);

/// A key that another event has taken over since stays.
const FORGET_KEYS: &str = "
    WITH chosen AS MATERIALIZED (SELECT endpoint, key, event_id FROM copied_keys ORDER BY endpoint, key LIMIT $1),
    forgotten AS (
        DELETE FROM deduplication_keys AS known USING chosen
        WHERE known.endpoint = chosen.endpoint AND known.key = chosen.key AND known.event_id = chosen.event_id
    )
    DELETE FROM copied_keys USING chosen WHERE copied_keys.endpoint = chosen.endpoint AND copied_keys.key = chosen.key";

impl Job for Keys {
    type Answer = u64;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<u64, Fault> {
        if !is_there(transaction, self.0).await? {
            return Ok(0);
        }
        let forget = transaction.prepare_cached(FORGET_KEYS).await?;
        Ok(transaction.execute(&forget, &[&MOST]).await?)
    }
}

/// Refused requests, and the copy itself.
struct Rest(CopyId);

impl Job for Rest {
    type Answer = ();
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<(), Fault> {
        let Self(copy) = *self;
        if is_there(transaction, copy).await? {
            transaction.execute("DELETE FROM copied_refused", &[]).await?;
            transaction.execute("DELETE FROM copies WHERE copy = $1", &[&uuid(copy)]).await?;
        }
        Ok(())
    }
}
