//! The ring of refused requests.

use super::transaction::Transaction;
use crate::ledger::NewRefused;
use rusqlite::params;

/// Keeps one, and drops the oldest.
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
    let oldest_kept = connection.last_insert_rowid() - i64::try_from(transaction.options.refused).unwrap_or(i64::MAX);
    let dropped = connection.prepare_cached("DELETE FROM refused WHERE number <= ?1")?.execute([oldest_kept])?;
    transaction.count_refused(1 - dropped as i64);
    Ok(())
}
