//! Ends attempts.

use super::lease::{Ended, take};
use super::row::number_of;
use super::transaction::Transaction;
use crate::ledger::{ANSWERS_AT_AN_END, DeliveryState, NewAttempt, Settled, Settlement, Verdict};
use crate::time::Moment;
use rusqlite::params;
use std::sync::Arc;
use std::time::Duration;

/// Ends a lease with its verdict, if it still holds.
pub(super) fn run(
    transaction: &mut Transaction<'_>,
    destination: &Arc<str>,
    settlement: &Settlement,
) -> rusqlite::Result<Settled> {
    let Some(lease) = take(transaction, destination, settlement.lease)? else { return Ok(Settled::Fenced) };
    if let Some(attempt) = &settlement.attempt {
        log(transaction, &lease, attempt)?;
        if settlement.verdict != Verdict::Delivered {
            forget_answer(transaction, &lease)?;
        }
    }
    let detail = settlement.attempt.as_ref().map(|attempt| attempt.detail.as_ref());
    let code = settlement.attempt.as_ref().map(|attempt| attempt.code.as_ref());
    let delivery = Unfinished { seq: lease.seq, destination, order_key: lease.order_key.as_deref() };
    match &settlement.verdict {
        Verdict::Delivered => {
            end(transaction, delivery, End { state: DeliveryState::Delivered, attempts: 1, reason: None, code: None })?;
        }
        Verdict::Dead(reason) => {
            let reason = detail.map_or_else(|| reason.to_string(), |detail| format!("{reason}: {detail}"));
            end(transaction, delivery, End { state: DeliveryState::Dead, attempts: 1, reason: Some(&reason), code })?;
        }
        Verdict::Retry { after, counts } => again(transaction, lease.seq, *after, *counts, (detail, code))?,
        // Its row was not touched by the lease.
        Verdict::Released => transaction.wake(destination),
    }
    Ok(Settled::Recorded)
}

/// A delivery that is waiting.
#[derive(Clone, Copy)]
pub(super) struct Unfinished<'a> {
    pub(super) seq: i64,
    pub(super) destination: &'a Arc<str>,
    pub(super) order_key: Option<&'a str>,
}

/// How a delivery ends.
pub(super) struct End<'a> {
    pub(super) state: DeliveryState,
    /// Attempts that count with this end.
    pub(super) attempts: u32,
    pub(super) reason: Option<&'a str>,
    pub(super) code: Option<&'a str>,
}

/// Ends a delivery that is waiting, and lets the next of its line go; says whether there was one.
pub(super) fn end(transaction: &mut Transaction<'_>, delivery: Unfinished<'_>, end: End<'_>) -> rusqlite::Result<bool> {
    let Unfinished { seq, destination, order_key } = delivery;
    transaction
        .connection
        .prepare_cached(
            "UPDATE deliveries SET state = ?2, at_ms = ?3, attempts = attempts + ?4, reason = ?5, code = ?6 WHERE seq = ?1",
        )?
        .execute(params![seq, number_of(end.state), transaction.now.wall, end.attempts, end.reason, end.code])?;
    transaction.leaves(destination, DeliveryState::Waiting);
    if end.state == DeliveryState::Dead {
        transaction.count_dead(destination, end.code, 1);
    }
    order_key.map_or(Ok(false), |order_key| let_the_next_go(transaction, destination, order_key))
}

/// Lets the first that is held in a line go, of which nothing else is waiting; says whether there was one.
pub(super) fn let_the_next_go(
    transaction: &mut Transaction<'_>,
    destination: &Arc<str>,
    order_key: &str,
) -> rusqlite::Result<bool> {
    let freed = transaction
        .connection
        .prepare_cached(
            "UPDATE deliveries SET state = 10, at_ms = ?3 WHERE seq =
             (SELECT min(seq) FROM deliveries WHERE destination = ?1 AND order_key = ?2 AND state = 11)",
        )?
        .execute(params![destination, order_key, transaction.now.tick])?;
    if freed > 0 {
        transaction.leaves(destination, DeliveryState::Held);
        transaction.enters(destination, DeliveryState::Waiting);
        transaction.wake(destination);
    }
    Ok(freed > 0)
}

/// Leaves a delivery among those that wait, due after the delay, with one attempt more; it is a repeat from now on.
fn again(
    transaction: &Transaction<'_>,
    seq: i64,
    delay: Duration,
    counts: bool,
    (reason, code): (Option<&str>, Option<&str>),
) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached(
            "UPDATE deliveries SET at_ms = ?2, attempts = attempts + 1, uncounted = uncounted + ?3, reason = ?4, code = ?5, is_repeat = 1
             WHERE seq = ?1",
        )?
        .execute(params![seq, transaction.now.tick.after(delay), u32::from(!counts), reason, code])?;
    Ok(())
}

fn log(transaction: &Transaction<'_>, lease: &Ended, attempt: &NewAttempt) -> rusqlite::Result<()> {
    let started_at: Moment = transaction.now.wall.before(attempt.took);
    transaction
        .connection
        .prepare_cached(
            "INSERT OR REPLACE INTO attempts
                 (delivery_seq, attempt, started_at_ms, took_ms, status, detail, code, answer_type, answer, answer_is_cut)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            lease.seq,
            lease.attempt,
            started_at,
            i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX),
            attempt.status,
            attempt.detail,
            attempt.code,
            attempt.answer.as_ref().and_then(|answer| answer.content_type.as_deref()),
            attempt.answer.as_ref().map(|answer| answer.bytes.as_ref()),
            attempt.answer.as_ref().map(|answer| answer.is_cut),
        ])?;
    Ok(())
}

/// Of many attempts only the first ones and the last ones keep their answers.
fn forget_answer(transaction: &Transaction<'_>, lease: &Ended) -> rusqlite::Result<()> {
    if lease.attempt <= 2 * ANSWERS_AT_AN_END {
        return Ok(());
    }
    transaction
        .connection
        .prepare_cached(
            "UPDATE attempts SET answer_type = NULL, answer = NULL, answer_is_cut = NULL WHERE delivery_seq = ?1 AND attempt = ?2",
        )?
        .execute(params![lease.seq, lease.attempt - ANSWERS_AT_AN_END])?;
    Ok(())
}
