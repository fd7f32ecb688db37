//! Operators' orders: begun, carried out part by part, ended, listed.

use super::clock::{LedgerClock, Tick};
use super::transaction::Transaction;
use super::{reassign, redeliver};
use crate::ledger::{BegunOrder, Carried, NewOrder, Order, OrderEnd, OrderPart, OrderRecord, OrderState, Page};
use crate::time::WallClock;
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

/// Begins an order, unless one with its key began before.
pub(super) fn begin(transaction: &mut Transaction<'_>, order: &NewOrder) -> rusqlite::Result<BegunOrder> {
    let connection = transaction.connection;
    let begun = connection
        .prepare_cached(
            "INSERT INTO orders (key, state, verb, what, who, source, note, counted, began_at_ms, until_ms)
             VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (key) DO NOTHING",
        )?
        .execute(params![
            order.key,
            order.verb.name(),
            order.what.to_string(),
            order.who,
            order.source.name(),
            order.note,
            order.counted,
            transaction.now.wall,
            transaction.now.tick.after(OrderRecord::LEASE),
        ])?;
    if begun > 0 {
        connection
            .prepare_cached("DELETE FROM orders WHERE number <= (SELECT max(number) FROM orders) - ?1 AND state <> 0")?
            .execute([OrderRecord::MOST_KEPT.cast_signed()])?;
    }
    let record = connection
        .prepare_cached(&format!("{ORDERS} WHERE key = ?1"))?
        .query_row([&order.key], |row| read(row, transaction.now.tick))?;
    Ok(BegunOrder { record, is_new: begun > 0 })
}

/// Does a part of an order.
pub(super) fn carry_out(
    transaction: &mut Transaction<'_>,
    (number, part): &(u64, OrderPart),
) -> rusqlite::Result<Carried> {
    let connection = transaction.connection;
    let number = number_in_table(*number);
    let is_under_way = connection
        .prepare_cached("SELECT 1 FROM orders WHERE number = ?1 AND state = 0 AND until_ms > ?2")?
        .exists(params![number, transaction.now.tick])?;
    if !is_under_way {
        return Ok(Carried { done: 0, is_over: true });
    }
    let mut counted = None;
    let done = match part {
        OrderPart::Counting(number) => {
            counted = *number;
            0
        }
        OrderPart::Redeliver { events, destination } => {
            redeliver::events(transaction, number, events, destination.as_ref())?
        }
        OrderPart::Route(events) => redeliver::route(transaction, number, events)?,
        OrderPart::RedeliverDead(deliveries) => redeliver::dead(transaction, number, deliveries)?,
        OrderPart::DropDead(deliveries) => redeliver::drop_dead(transaction, number, deliveries)?,
        OrderPart::Move { from, to } => reassign::to_another(transaction, number, from, to)?,
        OrderPart::Drop { destination } => reassign::drop_all(transaction, number, destination)?,
    };
    connection
        .prepare_cached(
            "UPDATE orders SET counted = coalesce(?2, counted), taken = taken + ?3, done = done + ?4, unrouted = unrouted + ?5,
             until_ms = ?6 WHERE number = ?1",
        )?
        .execute(params![
            number,
            counted,
            part.taken().unwrap_or(done),
            done,
            part.unrouted(),
            transaction.now.tick.after(OrderRecord::LEASE)
        ])?;
    Ok(Carried { done, is_over: false })
}

/// Ends an order that is under way.
pub(super) fn end(
    transaction: &mut Transaction<'_>,
    (number, end): &(u64, OrderEnd),
) -> rusqlite::Result<Option<OrderRecord>> {
    let (state, reason) = match end {
        OrderEnd::Done => (OrderState::Done, None),
        OrderEnd::Failed(reason) => (OrderState::Failed, Some(&**reason)),
        OrderEnd::BrokenOff => (OrderState::BrokenOff, None),
    };
    finish(transaction, *number, state, reason)
}

/// Cancels an order that is under way.
pub(super) fn cancel(transaction: &mut Transaction<'_>, number: &u64) -> rusqlite::Result<Option<OrderRecord>> {
    finish(transaction, *number, OrderState::Cancelled, None)
}

fn finish(
    transaction: &mut Transaction<'_>,
    number: u64,
    state: OrderState,
    reason: Option<&str>,
) -> rusqlite::Result<Option<OrderRecord>> {
    let now = transaction.now;
    transaction
        .connection
        .prepare_cached(
            "UPDATE orders SET state = ?2, reason = ?3, ended_at_ms = ?4 WHERE number = ?1 AND state = 0 AND until_ms > ?5",
        )?
        .execute(params![number_in_table(number), number_of(state), reason, now.wall, now.tick])?;
    find(transaction.connection, number, now.tick)
}

/// One process has the file, so every order under way is that of a process that ended.
pub(super) fn break_off(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE orders SET state = 4 WHERE state = 0", []).map(drop)
}

/// A page of the orders.
pub(super) fn list(
    connection: &Connection,
    clock: Arc<dyn WallClock>,
    page: Page<u64>,
) -> rusqlite::Result<Vec<OrderRecord>> {
    let transaction = connection.unchecked_transaction()?;
    let now = LedgerClock::open(&transaction, clock)?.now().tick;
    let (beyond, direction, first) = match page.order {
        Order::NewestFirst => ("<", "DESC", i64::MAX),
        Order::OldestFirst => (">", "ASC", 0),
    };
    let after = page.after.map_or(first, number_in_table);
    transaction
        .prepare_cached(&format!("{ORDERS} WHERE number {beyond} ?1 ORDER BY number {direction} LIMIT ?2"))?
        .query_map(params![after, page.limit], |row| read(row, now))?
        .collect()
}

/// One order.
pub(super) fn order(
    connection: &Connection,
    clock: Arc<dyn WallClock>,
    number: u64,
) -> rusqlite::Result<Option<OrderRecord>> {
    let transaction = connection.unchecked_transaction()?;
    let now = LedgerClock::open(&transaction, clock)?.now().tick;
    find(&transaction, number, now)
}

const ORDERS: &str = "
    SELECT number, state, verb, what, who, source, note, counted, taken, done, unrouted, began_at_ms, ended_at_ms, reason, until_ms
    FROM orders";

fn find(connection: &Connection, number: u64, now: Tick) -> rusqlite::Result<Option<OrderRecord>> {
    connection
        .prepare_cached(&format!("{ORDERS} WHERE number = ?1"))?
        .query_row([number_in_table(number)], |row| read(row, now))
        .optional()
}

fn read(row: &Row<'_>, now: Tick) -> rusqlite::Result<OrderRecord> {
    let stored: i64 = row.get(1)?;
    let until: Tick = row.get(14)?;
    let state = OrderState::ALL.iter().copied().find(|&state| number_of(state) == stored);
    let state = match state.ok_or(FromSqlError::OutOfRange(stored))? {
        OrderState::Running if until <= now => OrderState::BrokenOff,
        state => state,
    };
    let what: String = row.get(3)?;
    Ok(OrderRecord {
        number: row.get(0)?,
        state,
        verb: named(row, 2)?,
        what: serde_json::from_str(&what).map_err(|error| FromSqlError::Other(Box::new(error)))?,
        who: row.get(4)?,
        source: named(row, 5)?,
        note: row.get(6)?,
        counted: row.get(7)?,
        taken: row.get(8)?,
        done: row.get(9)?,
        unrouted: row.get(10)?,
        began_at: row.get(11)?,
        ended_at: row.get(12)?,
        reason: row.get(13)?,
    })
}

/// A word of a few in a column.
fn named<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let name: String = row.get(column)?;
    let read = serde_json::from_value(serde_json::Value::String(name));
    read.map_err(|error| FromSqlError::Other(Box::new(error)).into())
}

/// The number of a state in the table, which a partial index names.
const fn number_of(state: OrderState) -> i64 {
    match state {
        OrderState::Running => 0,
        OrderState::Done => 1,
        OrderState::Cancelled => 2,
        OrderState::Failed => 3,
        OrderState::BrokenOff => 4,
    }
}

/// No order has a higher number than the column holds.
fn number_in_table(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
