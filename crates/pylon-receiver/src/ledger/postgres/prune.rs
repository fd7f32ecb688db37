//! Forgets what is done and old, a little at a time.
//!
//! Whoever adds a delivery to an event locks the event. So this locks what it wants to forget, and only then looks whether something is
//! left to do: in a statement of its own, which sees all that others did before.

use super::changes::Changes;
use super::database::Database;
use super::error::Fault;
use super::lease::uuid_of_owner;
use super::row::{moment_of, uuid_of};
use super::transaction::{Job, transact};
use crate::id::EventId;
use crate::ledger::{Owner, Prune, Pruned};
use crate::time::Moment;
use deadpool_postgres::Transaction;
use futures_util::future::try_join4;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Events looked at, and keys forgotten, in one call.
const MOST: i64 = 500;
/// For how long an owner that does not ask again keeps others from pruning.
const OWNED_FOR: Duration = Duration::from_secs(180);

/// Goes on where the last call ended, and begins anew at the end.
pub(super) async fn run(database: Arc<Database>, prune: Prune) -> Result<Pruned, Fault> {
    transact(&database, prune).await
}

impl Job for Prune {
    type Answer = Pruned;

    async fn run(&self, transaction: &Transaction<'_>, changes: &mut Changes) -> Result<Pruned, Fault> {
        let &Self { owner, kept_for } = self;
        let Some(Chore { place, wall }) = take(transaction, owner).await? else { return Ok(Pruned::Elsewhere) };
        let (events, place) = match kept_for {
            Some(kept_for) => forget_events(transaction, changes, place, wall.before(kept_for)).await?,
            None => (0, None),
        };
        // Last, because it waits for nobody: who waits for these keys may hold others.
        let keys = forget_keys(transaction).await?;
        keep_place(transaction, owner, place).await?;
        Ok(Pruned::Here { events, more: place.is_some() || keys == MOST.cast_unsigned() })
    }
}

/// Where to go on, and the present.
struct Chore {
    place: Option<Uuid>,
    wall: Moment,
}

/// Takes the chore, unless somebody else has it.
async fn take(transaction: &Transaction<'_>, owner: Owner) -> Result<Option<Chore>, Fault> {
    let take = "
        SELECT place, wall_ms() FROM chores
        WHERE name = 'prune' AND (owner IS NULL OR owner = $1 OR until <= (SELECT tick()))
        FOR UPDATE SKIP LOCKED";
    let take = transaction.prepare_cached(take).await?;
    let row = transaction.query_opt(&take, &[&uuid_of_owner(owner)]).await?;
    row.map(|row| Ok(Chore { place: row.try_get(0)?, wall: moment_of(row.try_get(1)?) })).transpose()
}

async fn keep_place(transaction: &Transaction<'_>, owner: Owner, place: Option<Uuid>) -> Result<(), Fault> {
    let keep = "UPDATE chores SET owner = $1, until = tick() + $2, place = $3 WHERE name = 'prune'";
    let keep = transaction.prepare_cached(keep).await?;
    let owned_for = OWNED_FOR.as_millis() as i64;
    transaction.execute(&keep, &[&uuid_of_owner(owner), &owned_for, &place]).await?;
    Ok(())
}

/// Forgets keys whose time is over; says how many. One that is being used at this moment is left for the next call, one of a copy that is
/// not in use for later.
async fn forget_keys(transaction: &Transaction<'_>) -> Result<u64, Fault> {
    let forget = "
        WITH over AS MATERIALIZED (
            SELECT endpoint, key FROM deduplication_keys WHERE expires_at <= tick()
                AND NOT EXISTS (SELECT 1 FROM copied_keys AS copied
                    WHERE copied.endpoint = deduplication_keys.endpoint AND copied.key = deduplication_keys.key)
            ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        DELETE FROM deduplication_keys USING over
        WHERE deduplication_keys.endpoint = over.endpoint AND deduplication_keys.key = over.key";
    let forget = transaction.prepare_cached(forget).await?;
    Ok(transaction.execute(&forget, &[&MOST]).await?)
}

/// Those of the events of which nothing is left to do, also not in a copy that is being let go; and a parked one only if it was ever
/// redelivered.
const DONE: &str = "
    SELECT old.id, old.is_parked FROM unnest($1::uuid[], $2::boolean[]) AS old (id, is_parked)
    LEFT JOIN LATERAL (SELECT true AS is_there FROM open WHERE event_id = old.id LIMIT 1) AS unfinished ON true
    LEFT JOIN LATERAL (SELECT true AS is_there FROM copied_deliveries WHERE event_id = old.id LIMIT 1) AS copied ON true
    LEFT JOIN LATERAL (SELECT true AS is_there FROM finished WHERE event_id = old.id AND state = 4 LIMIT 1) AS dead ON true
    LEFT JOIN LATERAL (SELECT true AS is_there FROM finished WHERE event_id = old.id LIMIT 1) AS ended ON true
    WHERE unfinished.is_there IS NULL AND copied.is_there IS NULL AND dead.is_there IS NULL
        AND (NOT old.is_parked OR ended.is_there)";

/// An event, and whether it is parked.
type Old = (Uuid, bool);

async fn done(transaction: &Transaction<'_>, old: &[Old]) -> Result<Vec<Old>, Fault> {
    let (ids, are_parked): (Vec<Uuid>, Vec<bool>) = old.iter().copied().unzip();
    let done = transaction.prepare_cached(DONE).await?;
    transaction
        .query(&done, &[&ids, &are_parked])
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// Forgets some of the events behind the place that arrived before the moment; says how many, and where to go on.
async fn forget_events(
    transaction: &Transaction<'_>,
    changes: &mut Changes,
    place: Option<Uuid>,
    before: Moment,
) -> Result<(u64, Option<Uuid>), Fault> {
    let look = "
        SELECT id, parked IS NOT NULL FROM events WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";
    let look = transaction.prepare_cached(look).await?;
    let behind = place.unwrap_or(Uuid::nil());
    let rows = transaction.query(&look, &[&behind, &uuid_of(EventId::first_at(before)), &MOST]).await?;
    let old: Vec<Old> = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, Fault>>()?;
    let next = old.last().filter(|_| old.len() as i64 == MOST).map(|&(id, _)| id);

    // A first look, so that the rows of those that stay are not written again and again, which a lock does.
    let locked = lock(transaction, &done(transaction, &old).await?).await?;
    let done = done(transaction, &locked).await?;
    if !done.is_empty() {
        forget(transaction, &done).await?;
        let parked = done.iter().filter(|(_, is_parked)| *is_parked).count();
        changes.tallies.count_events(-(done.len() as i64), -(parked as i64));
    }
    Ok((done.len() as u64, next))
}

/// Locks the events and, before them, the keys that are remembered as long as they are kept. What is being redelivered at this moment is
/// left out.
async fn lock(transaction: &Transaction<'_>, old: &[Old]) -> Result<Vec<Old>, Fault> {
    let ids: Vec<Uuid> = old.iter().map(|&(id, _)| id).collect();
    let lock_keys = "
        SELECT true FROM deduplication_keys WHERE event_id = ANY($1) AND expires_at IS NULL ORDER BY endpoint, key FOR UPDATE";
    let lock_keys = transaction.prepare_cached(lock_keys).await?;
    transaction.execute(&lock_keys, &[&ids]).await?;
    let lock = "
        SELECT id, parked IS NOT NULL FROM events WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED";
    let lock = transaction.prepare_cached(lock).await?;
    transaction.query(&lock, &[&ids]).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn forget(transaction: &Transaction<'_>, done: &[Old]) -> Result<(), Fault> {
    let ids: Vec<Uuid> = done.iter().map(|&(id, _)| id).collect();
    let attempts = transaction.prepare_cached("DELETE FROM attempts WHERE event_id = ANY($1)").await?;
    let finished = transaction.prepare_cached("DELETE FROM finished WHERE event_id = ANY($1)").await?;
    let keys = "DELETE FROM deduplication_keys WHERE event_id = ANY($1) AND expires_at IS NULL";
    let keys = transaction.prepare_cached(keys).await?;
    let events = transaction.prepare_cached("DELETE FROM events WHERE id = ANY($1)").await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&ids];
    // Sent together.
    try_join4(
        transaction.execute(&attempts, &parameters),
        transaction.execute(&finished, &parameters),
        transaction.execute(&keys, &parameters),
        transaction.execute(&events, &parameters),
    )
    .await?;
    Ok(())
}
