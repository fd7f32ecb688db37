//! The index of terms in its tables: what is put there, and what is found by it.

use super::transaction::Transaction;
use crate::id::EventId;
use crate::ledger::Page;
use crate::ledger::terms::{
    Candidates, Indexed, Listed, Segment, SegmentFault, SegmentRange, Terms, hash_of, ids_at, places_of, to_merge,
};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, params};

/// Bodies that are read for one segment of the lowest level, in bytes, and that a search may have to read in vain.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// When more events than this are in no segment, a search does not use the index: it would read the bodies of all of them first.
const MOST_OUTSIDE: usize = 8192;

/// Events that come into the index together.
pub(super) struct Batch {
    /// What the index had when they were read.
    place: i64,
    /// The last of them: its `seq` and its id.
    last: (i64, EventId),
    segment: Segment,
}

/// The next events for the index, so many together; none: there are too few yet.
pub(super) fn next_batch(connection: &Connection, together: usize) -> Result<Option<Batch>> {
    let transaction = connection.unchecked_transaction()?;
    let place = place(&transaction)?;
    let mut rows = transaction
        .prepare_cached("SELECT seq, id, name, kind, length(body) FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = rows.query(params![place, i64::try_from(together).unwrap_or(i64::MAX)])?;
    let (mut last, mut count, mut bytes) = (None, 0, 0);
    let mut outside: Vec<(i64, EventId, String, Option<String>)> = Vec::new();
    while let Some(row) = rows.next()? {
        last = Some((row.get(0)?, row.get(1)?));
        outside.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        (count, bytes) = (count + 1, bytes + row.get::<_, usize>(4)?);
        if bytes >= MOST_BYTES {
            break;
        }
    }
    let Some(last) = last.filter(|_| count >= together || bytes >= MOST_BYTES) else { return Ok(None) };
    let mut body = transaction.prepare_cached("SELECT body FROM events WHERE seq = ?1")?;
    let mut indexed = Vec::with_capacity(outside.len());
    for (seq, id, name, kind) in outside {
        let read = body.query_row([seq], |row| Ok(Terms::of(row.get_ref(0)?.as_blob()?, &name, kind.as_deref())));
        // A damaged body has no terms: the others are found all the same.
        let terms = read.unwrap_or_else(|error| {
            tracing::warn!(event_id = %id, %error, "a body could not be read: no search finds its event by its terms");
            Terms::default()
        });
        indexed.push(Indexed { id, hashes: terms.hashes() });
    }
    Ok(Some(Batch { place, last, segment: Segment::of(indexed) }))
}

/// Puts the batch into the index, unless events have been forgotten meanwhile in such a way that others may have their `seq` now.
pub(super) fn put_batch(transaction: &mut Transaction<'_>, batch: &Batch) -> Result<()> {
    let connection = transaction.connection;
    let (seq, id) = batch.last;
    let is_as_before = place(connection)? == batch.place
        && connection.prepare_cached("SELECT 1 FROM events WHERE seq = ?1 AND id = ?2")?.exists(params![seq, id])?;
    if !is_as_before {
        return Ok(());
    }
    put(connection, &batch.segment, 0)?;
    connection.prepare_cached("UPDATE term_index SET place = ?1")?.execute([seq]).map(drop)
}

/// Segments that become one.
pub(super) struct Merged {
    parts: Vec<i64>,
    level: i16,
    segment: Segment,
}

/// The next segments that are to become one; none: there are few enough.
pub(super) fn next_merge(connection: &Connection) -> Result<Option<Merged>> {
    let transaction = connection.unchecked_transaction()?;
    let listed = transaction
        .prepare_cached("SELECT number, level, events FROM term_segments")?
        .query_map([], |row| Ok(Listed { number: row.get(0)?, level: row.get(1)?, events: row.get(2)? }))?
        .collect::<Result<Vec<_>>>()?;
    let Some((parts, level)) = to_merge(&listed) else { return Ok(None) };
    let mut ids = transaction.prepare_cached("SELECT ids FROM term_segments WHERE number = ?1")?;
    let mut blocks =
        transaction.prepare_cached("SELECT entries FROM term_blocks WHERE segment = ?1 ORDER BY first_hash")?;
    let mut read = |&number: &i64| {
        let blocks = blocks.query_map([number], |row| row.get(0))?.collect::<Result<Vec<Vec<u8>>>>()?;
        ids.query_row([number], |row| {
            Segment::from_stored(row.get_ref(0)?.as_blob()?, blocks.iter().map(Vec::as_slice)).map_err(damaged)
        })
    };
    let segments = parts.iter().map(&mut read).collect::<Result<Vec<_>>>()?;
    let mut is_there = transaction.prepare_cached("SELECT 1 FROM events WHERE id = ?1")?;
    // One that cannot be looked up stays.
    let segment = Segment::merged(segments, |id| is_there.exists([id]).unwrap_or(true));
    Ok(Some(Merged { parts, level, segment }))
}

/// Puts the one in the place of the others.
pub(super) fn put_merged(transaction: &mut Transaction<'_>, merged: &Merged) -> Result<()> {
    let connection = transaction.connection;
    for &number in &merged.parts {
        forget(connection, number)?;
    }
    put(connection, &merged.segment, merged.level)
}

/// A segment of which no event is left.
pub(super) fn next_forgotten(connection: &Connection) -> Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT number FROM term_segments WHERE NOT EXISTS
             (SELECT 1 FROM events WHERE id >= first_id AND id <= last_id) LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()
}

/// Takes a segment out of the index.
pub(super) fn forget_segment(transaction: &mut Transaction<'_>, &number: &i64) -> Result<()> {
    forget(transaction.connection, number)
}

fn forget(connection: &Connection, number: i64) -> Result<()> {
    connection.prepare_cached("DELETE FROM term_blocks WHERE segment = ?1")?.execute([number])?;
    connection.prepare_cached("DELETE FROM term_segments WHERE number = ?1")?.execute([number]).map(drop)
}

fn put(connection: &Connection, segment: &Segment, level: i16) -> Result<()> {
    let Some((first, last)) = segment.ends() else { return Ok(()) };
    connection
        .prepare_cached(
            "INSERT INTO term_segments (level, first_id, last_id, events, ids) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![level, first, last, segment.len() as i64, segment.ids()])?;
    let number = connection.last_insert_rowid();
    let mut put =
        connection.prepare_cached("INSERT INTO term_blocks (segment, first_hash, entries) VALUES (?1, ?2, ?3)")?;
    for block in segment.blocks() {
        put.execute(params![number, block.first_hash, block.entries])?;
    }
    Ok(())
}

fn place(connection: &Connection) -> Result<i64> {
    connection.prepare_cached("SELECT place FROM term_index")?.query_row([], |row| row.get(0))
}

/// Events that may have a term.
pub(super) struct TermSearch<'c> {
    connection: &'c Connection,
    /// None: no event has it.
    hash: Option<i64>,
    candidates: Candidates,
}

impl<'c> TermSearch<'c> {
    /// Begins; none: too many events are not in the index. Everything of a search is read in one transaction.
    pub(super) fn begin(
        connection: &'c Connection,
        term: &str,
        page: Page<EventId>,
        ends: (EventId, EventId),
    ) -> Result<Option<Self>> {
        let place = place(connection)?;
        let outside = connection
            .prepare_cached("SELECT id FROM events WHERE seq > ?1 LIMIT ?2")?
            .query_map(params![place, MOST_OUTSIDE as i64 + 1], |row| row.get(0))?
            .collect::<Result<Vec<EventId>>>()?;
        if outside.len() > MOST_OUTSIDE {
            return Ok(None);
        }
        let segments = connection
            .prepare_cached("SELECT number, first_id, last_id FROM term_segments")?
            .query_map([], |row| Ok(SegmentRange { number: row.get(0)?, first: row.get(1)?, last: row.get(2)? }))?
            .collect::<Result<Vec<_>>>()?;
        let mut candidates = Candidates::new(page, ends, segments);
        candidates.add(outside);
        Ok(Some(Self { connection, hash: hash_of(term), candidates }))
    }

    /// The next ones in the order of the page, this many at most; none: that was the last.
    pub(super) fn next(&mut self, most: usize) -> Result<Vec<EventId>> {
        let Some(hash) = self.hash else { return Ok(Vec::new()) };
        loop {
            let segments = self.candidates.next_segments(1, most);
            if segments.is_empty() {
                return Ok(self.candidates.take(most));
            }
            for segment in segments {
                let found = self.look_into(segment.number, hash)?;
                self.candidates.add(found);
            }
        }
    }

    fn look_into(&self, number: i64, hash: i64) -> Result<Vec<EventId>> {
        let places = self
            .connection
            .prepare_cached(
                "SELECT entries FROM term_blocks WHERE segment = ?1 AND first_hash <= ?2 ORDER BY first_hash DESC LIMIT 1",
            )?
            .query_row(params![number, hash], |row| places_of(row.get_ref(0)?.as_blob()?, hash).map_err(damaged))
            .optional()?
            .unwrap_or_default();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        self.connection
            .prepare_cached("SELECT ids FROM term_segments WHERE number = ?1")?
            .query_row([number], |row| ids_at(row.get_ref(0)?.as_blob()?, &places).map_err(damaged))
    }
}

fn damaged(fault: SegmentFault) -> Error {
    Error::FromSqlConversionFailure(0, Type::Blob, fault.into())
}
