//! The ring of refused requests: what it keeps, and what gives way.

use super::transaction::Transaction;
use crate::ledger::NewRefused;
use rusqlite::{Connection, params};

/// How many requests give way to one at most, where fewer are to be kept than before: everybody waits for this thread.
const MOST_DROPPED: u64 = 64;

/// Keeps one; another one gives way if there are too many.
///
/// Scanners ask for many paths. So requests to paths without an endpoint give way first, while they are more than a quarter of all. Among
/// the others, the oldest request of the most frequent reason gives way: a flood of one kind pushes out no other kind.
pub(super) fn run(transaction: &mut Transaction<'_>, refused: &NewRefused) -> rusqlite::Result<()> {
    let connection = transaction.connection;
    connection
        .prepare_cached(
            "INSERT INTO refused (at_ms, endpoint, code, reason, status, method, path, remote, headers, body, body_length)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            refused.at,
            refused.endpoint,
            refused.code,
            refused.reason,
            refused.status,
            refused.method,
            refused.path,
            refused.remote,
            refused.headers.as_bytes(),
            refused.body.as_ref(),
            i64::try_from(refused.body_length).unwrap_or(i64::MAX),
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO refused_totals (endpoint, code, kept) VALUES (coalesce(?1, ''), ?2, 1)
             ON CONFLICT (endpoint, code) DO UPDATE SET kept = kept + 1",
        )?
        .execute(params![refused.endpoint, refused.code])?;
    let most = transaction.options.refused as u64;
    let mut dropped = 0;
    while dropped < MOST_DROPPED && drop_one(connection, most)? {
        dropped += 1;
    }
    transaction.count_refused(1 - dropped as i64);
    Ok(())
}

/// Drops one, if there are more than this.
fn drop_one(connection: &Connection, most: u64) -> rusqlite::Result<bool> {
    let (kept, nowhere): (u64, u64) = connection
        .prepare_cached(
            "SELECT coalesce(sum(kept), 0), coalesce(sum(kept) FILTER (WHERE endpoint = ''), 0) FROM refused_totals",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if kept <= most {
        return Ok(false);
    }
    let is_of_nowhere = nowhere > most.div_ceil(4) || nowhere == kept;
    let (endpoint, code, oldest): (String, String, i64) = connection
        .prepare_cached(
            "SELECT endpoint, code, (SELECT min(number) FROM refused
                 WHERE refused.endpoint IS nullif(refused_totals.endpoint, '') AND refused.code = refused_totals.code) AS oldest
             FROM refused_totals WHERE (endpoint = '') = ?1 ORDER BY kept DESC, oldest LIMIT 1",
        )?
        .query_row([is_of_nowhere], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    connection.prepare_cached("DELETE FROM refused WHERE number = ?1")?.execute([oldest])?;
    connection
        .prepare_cached("UPDATE refused_totals SET kept = kept - 1 WHERE endpoint = ?1 AND code = ?2")?
        .execute(params![endpoint, code])?;
    connection
        .prepare_cached("DELETE FROM refused_totals WHERE endpoint = ?1 AND code = ?2 AND kept = 0")?
        .execute(params![endpoint, code])?;
    Ok(true)
}
