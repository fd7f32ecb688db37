//! Takes events into the index of terms, in the background. Any receiver may do it for all of them.

use super::changes::Changes;
use super::database::Database;
use super::error::Fault;
use super::row::{event_of, text_of, uuid_of};
use super::session::Use;
use super::transaction::{Job, transact};
use super::tries::{ANSWERED_WITHIN, once};
use crate::ledger::terms::{Indexed, Listed, Segment, Terms, to_merge};
use deadpool_postgres::Transaction;
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio_postgres::Row;
use uuid::Uuid;

/// Between two looks at what is new.
const EVERY: Duration = Duration::from_millis(500);
/// Of so many looks, one is for segments of which no event is left.
const FORGET_EVERY: u32 = 120;
/// After each piece of work it rests for so many times as long: what comes in must not wait for it.
const REST: u32 = 2;
/// Bodies that are read for one segment of the lowest level, in bytes, and that a search may have to read in vain.
const MOST_BYTES: i64 = 4 * 1024 * 1024;

/// Starts the chore of a ledger; it ends with it.
pub(super) fn start(database: &Arc<Database>) {
    let (runtime, database) = (database.runtime.clone(), Arc::downgrade(database));
    runtime.spawn(async move {
        let (mut pause, mut look) = (EVERY, 0_u32);
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            let done = run(&database, look.is_multiple_of(FORGET_EVERY)).await;
            look = look.wrapping_add(1);
            pause = match done {
                None => return,
                Some(Ok(true)) => began.elapsed() * REST,
                Some(Ok(false)) => EVERY,
                Some(Err(fault)) => {
                    tracing::debug!(%fault, "the index of terms could not be written");
                    EVERY * 10
                }
            };
        }
    });
}

/// Does one piece of work, and says whether there was one; none: the ledger is gone. When it is about to be closed, this breaks off.
async fn run(database: &Weak<Database>, forgets: bool) -> Option<Result<bool, Fault>> {
    let database = database.upgrade()?;
    let done = async {
        if forgets {
            transact(&database, Forget).await?;
        }
        if !once(ANSWERED_WITHIN, is_due(&database)).await? {
            return Ok(false);
        }
        let together = i64::try_from(database.options.indexed_together.max(1)).unwrap_or(i64::MAX);
        let took_in = transact(&database, TakeIn { together }).await?;
        while transact(&database, Merge).await? {}
        Ok(took_in)
    };
    tokio::select! {
        biased;
        () = database.closing() => None,
        done = done => Some(done),
    }
}

/// Whether events of before are left, or enough new ones.
const IS_DUE: &str = "
    SELECT place IS NOT NULL OR (
        SELECT coalesce(sum(cardinality(events)) >= $1 OR sum(bytes) >= $2::bigint, false)
        FROM (SELECT events, bytes FROM unindexed_events LIMIT $1) AS part
    ) FROM chores WHERE name = 'terms'";

async fn is_due(database: &Database) -> Result<bool, Fault> {
    let connection = database.connection(Use::Chores).await?;
    let together = i64::try_from(database.options.indexed_together.max(1)).unwrap_or(i64::MAX);
    let is_due = connection.prepare_cached(IS_DUE).await?;
    let row = connection.query_opt(&is_due, &[&together, &MOST_BYTES]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Takes the chore, unless somebody else has it; says up to which event those of before are left.
async fn take(transaction: &Transaction<'_>) -> Result<Option<Option<Uuid>>, Fault> {
    let take = "SELECT place FROM chores WHERE name = 'terms' FOR UPDATE SKIP LOCKED";
    let take = transaction.prepare_cached(take).await?;
    Ok(transaction.query_opt(&take, &[]).await?.map(|row| row.try_get(0)).transpose()?)
}

/// Takes in events that were recorded since there is an index, or of before.
struct TakeIn {
    together: i64,
}

/// Of the commits with unindexed events, as many as have so many together.
const NEW: &str = "
    DELETE FROM unindexed_events WHERE ctid = ANY (ARRAY(
        SELECT row FROM (
            SELECT ctid AS row, sum(cardinality(events)) OVER (ROWS UNBOUNDED PRECEDING) - cardinality(events) AS before
            FROM (SELECT ctid, events FROM unindexed_events LIMIT $1) AS part
        ) AS counted WHERE before < $1
    )) RETURNING events";

const OLD: &str = "SELECT id FROM events WHERE id <= $1 ORDER BY id DESC LIMIT $2";

const GO_ON: &str = "UPDATE chores SET place = $1 WHERE name = 'terms'";

impl Job for TakeIn {
    type Answer = bool;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<bool, Fault> {
        let Some(place) = take(transaction).await? else { return Ok(false) };
        let new = transaction.prepare_cached(NEW).await?;
        let mut ids: Vec<Uuid> = Vec::new();
        for row in transaction.query(&new, &[&self.together]).await? {
            ids.extend(row.try_get::<_, Vec<Uuid>>(0)?);
        }
        if let Some(place) = place {
            let old = transaction.prepare_cached(OLD).await?;
            let old: Vec<Uuid> = transaction
                .query(&old, &[&place, &self.together])
                .await?
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<_, _>>()?;
            let is_full = old.len() as i64 >= self.together;
            let next = old.last().and_then(|last| last.as_u128().checked_sub(1)).map(Uuid::from_u128);
            let go_on = transaction.prepare_cached(GO_ON).await?;
            transaction.execute(&go_on, &[&next.filter(|_| is_full)]).await?;
            ids.extend(old);
        }
        let indexed = read(transaction, ids).await?;
        for part in indexed.chunks(Segment::MOST_EVENTS) {
            put(transaction, &Segment::of(part.to_vec()), 0).await?;
        }
        Ok(true)
    }
}

const LENGTHS: &str = "SELECT id, octet_length(body)::bigint FROM events WHERE id = ANY($1) ORDER BY id";
const BODIES: &str = "SELECT id, name, kind, body FROM events WHERE id = ANY($1)";

/// The terms of the events, some bodies in memory at a time.
async fn read(transaction: &Transaction<'_>, ids: Vec<Uuid>) -> Result<Vec<Indexed>, Fault> {
    let (lengths, bodies) = (transaction.prepare_cached(LENGTHS).await?, transaction.prepare_cached(BODIES).await?);
    let mut indexed = Vec::with_capacity(ids.len());
    let (mut together, mut bytes) = (Vec::new(), 0);
    let mut rows = transaction.query(&lengths, &[&ids]).await?.into_iter().peekable();
    while let Some(row) = rows.next() {
        together.push(row.try_get::<_, Uuid>(0)?);
        bytes += row.try_get::<_, i64>(1)?;
        if bytes >= MOST_BYTES || rows.peek().is_none() {
            let read = transaction.query(&bodies, &[&together]).await?;
            let terms = tokio::task::spawn_blocking(move || read.iter().map(terms_of).collect::<Result<Vec<_>, _>>());
            indexed.extend(terms.await.unwrap_or_else(|error| Err(Fault::Other(error.to_string().into())))?);
            (together, bytes) = (Vec::new(), 0);
        }
    }
    Ok(indexed)
}

fn terms_of(row: &Row) -> Result<Indexed, Fault> {
    let (name, kind, body) = (text_of(row.try_get(1)?)?, row.try_get::<_, Option<&str>>(2)?, row.try_get(3)?);
    Ok(Indexed { id: event_of(row.try_get(0)?), hashes: Terms::of(body, &name, kind).hashes() })
}

const PUT: &str = "
    INSERT INTO term_segments (level, first_id, last_id, events, ids) VALUES ($1, $2, $3, $4, $5) RETURNING number";

const PUT_BLOCKS: &str = "
    INSERT INTO term_blocks (segment, first_hash, entries) SELECT $1, * FROM unnest($2::bigint[], $3::bytea[])";

async fn put(transaction: &Transaction<'_>, segment: &Segment, level: i16) -> Result<(), Fault> {
    let Some((first, last)) = segment.ends() else { return Ok(()) };
    let put = transaction.prepare_cached(PUT).await?;
    let events = i32::try_from(segment.len()).unwrap_or(i32::MAX);
    let row = transaction.query_one(&put, &[&level, &uuid_of(first), &uuid_of(last), &events, &segment.ids()]).await?;
    let number: i64 = row.try_get(0)?;
    let (hashes, entries): (Vec<i64>, Vec<Vec<u8>>) =
        segment.blocks().into_iter().map(|block| (block.first_hash, block.entries)).unzip();
    let put = transaction.prepare_cached(PUT_BLOCKS).await?;
    transaction.execute(&put, &[&number, &hashes, &entries]).await?;
    Ok(())
}

/// Makes one segment of several; says whether there were enough.
struct Merge;

const LIST: &str = "SELECT number, level, events FROM term_segments";
const IDS: &str = "SELECT ids FROM term_segments WHERE number = $1";
const ENTRIES: &str = "SELECT entries FROM term_blocks WHERE segment = $1 ORDER BY first_hash";
const ARE_THERE: &str = "SELECT id FROM events WHERE id = ANY($1)";

impl Job for Merge {
    type Answer = bool;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<bool, Fault> {
        if take(transaction).await?.is_none() {
            return Ok(false);
        }
        let list = transaction.prepare_cached(LIST).await?;
        let listed = |row: &Row| {
            let events = usize::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0);
            Ok::<_, Fault>(Listed { number: row.try_get(0)?, level: row.try_get(1)?, events })
        };
        let listed: Vec<Listed> = transaction.query(&list, &[]).await?.iter().map(listed).collect::<Result<_, _>>()?;
        let Some((parts, level)) = to_merge(&listed) else { return Ok(false) };
        let (ids, entries) = (transaction.prepare_cached(IDS).await?, transaction.prepare_cached(ENTRIES).await?);
        let (mut segments, mut there) = (Vec::with_capacity(parts.len()), Vec::new());
        for number in &parts {
            let ids: Vec<u8> = transaction.query_one(&ids, &[number]).await?.try_get(0)?;
            let rows = transaction.query(&entries, &[number]).await?;
            let blocks: Vec<&[u8]> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            let segment = Segment::from_stored(&ids, blocks).map_err(|fault| Fault::Other(fault.to_string().into()))?;
            there.extend(ids.as_chunks::<16>().0.iter().copied().map(Uuid::from_bytes));
            segments.push(segment);
        }
        let are_there = transaction.prepare_cached(ARE_THERE).await?;
        let left: HashSet<Uuid> = transaction
            .query(&are_there, &[&there])
            .await?
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        forget(transaction, &parts).await?;
        put(transaction, &Segment::merged(segments, |id| left.contains(&uuid_of(id))), level).await?;
        Ok(true)
    }
}

/// Takes segments of which no event is left out of the index.
struct Forget;

const FORGOTTEN: &str = "
    SELECT number FROM term_segments LEFT JOIN LATERAL (
        SELECT true AS is_there FROM events WHERE id >= first_id AND id <= last_id LIMIT 1
    ) AS kept ON true WHERE kept.is_there IS NULL";

impl Job for Forget {
    type Answer = ();
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<(), Fault> {
        if take(transaction).await?.is_none() {
            return Ok(());
        }
        let forgotten = transaction.prepare_cached(FORGOTTEN).await?;
        let rows = transaction.query(&forgotten, &[]).await?;
        let numbers: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        forget(transaction, &numbers).await
    }
}

async fn forget(transaction: &Transaction<'_>, numbers: &[i64]) -> Result<(), Fault> {
    if numbers.is_empty() {
        return Ok(());
    }
    let blocks = transaction.prepare_cached("DELETE FROM term_blocks WHERE segment = ANY($1)").await?;
    transaction.execute(&blocks, &[&numbers]).await?;
    let segments = transaction.prepare_cached("DELETE FROM term_segments WHERE number = ANY($1)").await?;
    transaction.execute(&segments, &[&numbers]).await?;
    Ok(())
}
