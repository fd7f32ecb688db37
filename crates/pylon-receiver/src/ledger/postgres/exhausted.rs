//! Ends deliveries that are due and cannot be attempted: their attempts are used up, or their event cannot be read.

use super::choose::Due;
use super::database::Database;
use super::error::Fault;
use super::lent::Lent;
use super::line::LOCK_LINES;
use super::row::delivery_of;
use super::session::Use;
use super::settle::finish;
use super::tries::tried_within;
use crate::id::DeliveryId;
use crate::ledger::{DAMAGED, INTERRUPTED};
use std::collections::HashSet;
use std::sync::Arc;
use tokio_postgres::types::ToSql;

/// Ends those that still wait at the destination and in the line that is locked, and have as many attempts that count as were seen: they may
/// have been moved meanwhile. That they wait is said in a way for which there is no index: otherwise PostgreSQL may go through all that wait.
const END: &str = concat!(
    "
WITH ended AS (
    DELETE FROM open USING unnest($1::integer[], $2::uuid[], $3::integer[], $4::bigint[], $5::integer[], $6::bytea[], $7::bigint[],
        $9::text[])
        AS given (place, event_id, number, seq, counted, reason, line, code)
    WHERE open.event_id = given.event_id AND open.number = given.number AND open.state NOT IN (1, 2) AND open.seq = given.seq
        AND open.attempts - open.uncounted + greatest(open.interruptions - 1, 0) >= given.counted
        AND open.destination = $8 AND open.line IS NOT DISTINCT FROM given.line
    RETURNING given.place, open.event_id, open.number, open.destination, open.order_key, open.line, 4::smallint AS state,
        open.attempts + open.interruptions AS tried, open.created_at, open.redelivery_of, given.reason, NULL::bigint AS token,
        coalesce(given.code, open.code) AS code, open.order_number
),
",
    finish!()
);

/// Reads an event, to see whether that can be done.
const READ: &str = "SELECT * FROM events WHERE id = $1";

/// Why they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Their attempts are used up.
    GaveUp,
    /// Their event cannot be read.
    Unreadable,
}

/// Ends them, and lets the next of each line go; says which have ended: others may have come before.
pub(super) async fn end(
    database: &Database,
    destination: &Arc<str>,
    due: &[Due],
    reason: Reason,
) -> Result<Vec<DeliveryId>, Fault> {
    let mut sorted: Vec<_> = due.iter().zip(0_i32..).collect();
    sorted.sort_unstable_by_key(|(due, _)| (due.event, due.number));
    let (mut places, mut events, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut seqs, mut counted, mut reasons, mut in_line) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // None: that of its last failed attempt.
    let mut codes: Vec<Option<&str>> = Vec::new();
    for (due, place) in sorted {
        places.push(place);
        events.push(due.event);
        numbers.push(due.number);
        seqs.push(due.seq);
        counted.push(due.counted().cast_signed());
        in_line.push(due.line);
        codes.push(match reason {
            Reason::GaveUp => (due.interruptions > 0).then_some(INTERRUPTED),
            Reason::Unreadable => Some(DAMAGED),
        });
        reasons.push(match reason {
            Reason::GaveUp => due.gave_up(),
            Reason::Unreadable => "its event cannot be read: the ledger is damaged".to_owned(),
        });
    }
    let reasons: Vec<_> = reasons.iter().map(|reason| reason.as_bytes()).collect();
    let mut lines: Vec<i64> = due.iter().filter_map(|due| due.line).collect();
    lines.sort_unstable();
    lines.dedup();
    let columns: &[&(dyn ToSql + Sync)] =
        &[&places, &events, &numbers, &seqs, &counted, &reasons, &in_line, &&**destination, &codes];
    let lines: &[&(dyn ToSql + Sync)] = &[&lines];
    let rows = tried_within(database.options.exchange_within(), async || {
        let transaction = Lent::new(database.connection(Use::Deliver).await?);
        let lock_lines = transaction.prepare_cached(LOCK_LINES).await?;
        let end = transaction.prepare_cached(END).await?;
        let (begun, locked, ended, committed) = tokio::join!(
            biased;
            transaction.batch_execute("BEGIN; SELECT keep_time()"),
            transaction.execute(&lock_lines, lines),
            transaction.query(&end, columns),
            transaction.batch_execute("COMMIT"),
        );
        begun?;
        locked?;
        let ended = ended?;
        committed?;
        transaction.done();
        Ok(ended)
    })
    .await?;
    let mut ended = HashSet::new();
    for row in rows {
        match row.try_get::<_, Option<i32>>(0)? {
            Some(place) => drop(ended.insert(place)),
            None => {
                // What it let go at its own destination the claim sees when it begins anew.
                let freed: &str = row.try_get(1)?;
                if *freed != **destination {
                    database.wake(&freed.into());
                }
            }
        }
    }
    let has_ended = due.iter().zip(0..).filter(|(_, place)| ended.contains(place));
    Ok(has_ended.map(|(due, _)| delivery_of(due.event, due.number)).collect())
}

/// Those of them whose event cannot be read.
pub(super) async fn unreadable(database: &Database, due: Vec<Due>) -> Result<Vec<Due>, Fault> {
    let connection = database.connection(Use::Deliver).await?;
    let read = connection.prepare_cached(READ).await?;
    let mut unreadable = Vec::new();
    for due in due {
        match connection.query_opt(&read, &[&due.event]).await {
            Ok(Some(_)) => {}
            Ok(None) => unreadable.push(due),
            Err(error) if is_damage(&error) => unreadable.push(due),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(unreadable)
}

/// Whether the server found damage in its files.
pub(super) fn is_damage(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("XX"))
}
