//! Events that may have a term, by the index.

use super::super::database::Database;
use super::super::error::Fault;
use super::super::row::{event_of, uuid_of};
use super::bounded;
use crate::id::EventId;
use crate::ledger::Page;
use crate::ledger::terms::{Candidates, SegmentFault, SegmentRange, hash_of, ids_at, places_of};
use deadpool_postgres::Transaction;
use std::collections::HashMap;
use tokio_postgres::IsolationLevel;
use uuid::Uuid;

/// When more events than this are in no segment, a search does not use the index: it would read the bodies of all of them first.
const MOST_OUTSIDE: i64 = 8192;
/// Up to so many ids of a segment are read one by one.
const FEW: usize = 64;

/// What the index says.
pub(super) enum Found {
    /// The next events that may have the term, in the order of the page; none: there are no more.
    Candidates(Vec<EventId>),
    /// Too many events are not in the index.
    NotIndexed,
}

const OUTSIDE: &str = "
    SELECT place IS NOT NULL, (
        SELECT array_agg(id) FROM (
            SELECT id FROM (SELECT events FROM unindexed_events LIMIT $1) AS part CROSS JOIN unnest(part.events) AS unindexed (id) LIMIT $1
        ) AS outside
    ) FROM chores WHERE name = 'terms'";

/// Each segment that may have events of the list, with the block that would have the hash.
const BLOCKS: &str = "
    SELECT number, first_id, last_id, block.entries FROM term_segments LEFT JOIN LATERAL (
        SELECT entries FROM term_blocks WHERE segment = number AND first_hash <= $1 ORDER BY first_hash DESC LIMIT 1
    ) AS block ON true WHERE last_id >= $2 AND first_id <= $3";

const ALL_IDS: &str = "SELECT ids FROM term_segments WHERE number = $1";
const SOME_IDS: &str = "
    SELECT substr(ids, 16 * place + 1, 16) FROM term_segments CROSS JOIN unnest($2::integer[]) AS place WHERE number = $1";

/// The next candidates of a page, this many at most.
pub(super) async fn candidates(
    database: &Database,
    term: &str,
    page: Page<EventId>,
    ends: (EventId, EventId),
    most: usize,
) -> Result<Found, Fault> {
    let Some(hash) = hash_of(term) else { return Ok(Found::Candidates(Vec::new())) };
    bounded::read(database, async |connection| {
        // One snapshot, so that nothing comes into the index, or goes from one segment to another, in the middle.
        let transaction = connection
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let found = look(&transaction, hash, page, ends, most).await?;
        transaction.commit().await?;
        Ok(found)
    })
    .await
}

async fn look(
    transaction: &Transaction<'_>,
    hash: i64,
    page: Page<EventId>,
    ends: (EventId, EventId),
    most: usize,
) -> Result<Found, Fault> {
    let outside = transaction.prepare_cached(OUTSIDE).await?;
    let row = transaction.query_one(&outside, &[&(MOST_OUTSIDE + 1)]).await?;
    let (has_older, outside): (bool, Option<Vec<Uuid>>) = (row.try_get(0)?, row.try_get(1)?);
    let outside = outside.unwrap_or_default();
    if has_older || outside.len() as i64 > MOST_OUTSIDE {
        return Ok(Found::NotIndexed);
    }
    let blocks = transaction.prepare_cached(BLOCKS).await?;
    let (mut ranges, mut places) = (Vec::new(), HashMap::new());
    for row in transaction.query(&blocks, &[&hash, &uuid_of(ends.0), &uuid_of(ends.1)]).await? {
        let number: i64 = row.try_get(0)?;
        let Some(block) = row.try_get::<_, Option<&[u8]>>(3)? else { continue };
        let found = places_of(block, hash).map_err(damaged)?;
        if !found.is_empty() {
            let (first, last) = (event_of(row.try_get(1)?), event_of(row.try_get(2)?));
            ranges.push(SegmentRange { number, first, last });
            places.insert(number, found);
        }
    }
    let mut candidates = Candidates::new(page, ends, ranges);
    candidates.add(outside.into_iter().map(event_of));
    loop {
        let segments = candidates.next_segments(1, most);
        if segments.is_empty() {
            return Ok(Found::Candidates(candidates.take(most)));
        }
        for SegmentRange { number, .. } in segments {
            candidates.add(ids(transaction, number, &places.remove(&number).unwrap_or_default()).await?);
        }
    }
}

async fn ids(transaction: &Transaction<'_>, number: i64, places: &[u16]) -> Result<Vec<EventId>, Fault> {
    if places.len() > FEW {
        let all = transaction.prepare_cached(ALL_IDS).await?;
        let row = transaction.query_one(&all, &[&number]).await?;
        return ids_at(row.try_get(0)?, places).map_err(damaged);
    }
    let some = transaction.prepare_cached(SOME_IDS).await?;
    let places: Vec<i32> = places.iter().copied().map(i32::from).collect();
    let rows = transaction.query(&some, &[&number, &places]).await?;
    rows.iter().map(|row| Ok(ids_at(row.try_get(0)?, &[0]).map_err(damaged)?[0])).collect()
}

fn damaged(fault: SegmentFault) -> Fault {
    Fault::Other(fault.to_string().into())
}
