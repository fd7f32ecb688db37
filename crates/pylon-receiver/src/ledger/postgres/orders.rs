//! Operators' orders: begun, carried out part by part, ended, listed.

use super::changes::Changes;
use super::database::Database;
use super::error::Fault;
use super::read::bounded;
use super::row::{milliseconds, moment_of, text_of};
use super::transaction::{Job, transact};
use super::under_order::{OrderJob, UnderOrder, in_table};
use super::{dead, reassign, redeliver};
use crate::ledger::{BegunOrder, Carried, NewOrder, Order, OrderEnd, OrderPart, OrderRecord, OrderState, Page};
use crate::time::Moment;
use deadpool_postgres::Transaction;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio_postgres::Row;

/// Begins an order, unless one with its key began before.
pub(super) async fn begin(database: Arc<Database>, order: NewOrder) -> Result<BegunOrder, Fault> {
    transact(&database, Begin(order)).await
}

struct Begin(NewOrder);

impl Job for Begin {
    type Answer = BegunOrder;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<BegunOrder, Fault> {
        let Self(order) = self;
        // Who comes second waits for the first one's commit, and finds its row with a statement of its own.
        let begin = "
            INSERT INTO orders (key, verb, what, who, source, note, counted, began_at, until)
            SELECT $1::text, $2::text, $3::text, $4::bytea, $5::text, $6::bytea, $7::bigint, wall_ms(), tick() + $8::bigint
            WHERE NOT EXISTS (SELECT 1 FROM orders WHERE key = $1)
            ON CONFLICT (key) DO NOTHING RETURNING number";
        let begin = transaction.prepare_cached(begin).await?;
        let begun = transaction
            .query_opt(
                &begin,
                &[
                    &&*order.key,
                    &order.verb.name(),
                    &order.what.to_string(),
                    &order.who.as_bytes(),
                    &order.source.name(),
                    &order.note.as_deref().map(str::as_bytes),
                    &order.counted.map(in_table),
                    &milliseconds(OrderRecord::LEASE),
                ],
            )
            .await?;
        if let Some(begun) = &begun {
            let forget = transaction.prepare_cached("DELETE FROM orders WHERE number <= $1 AND state <> 0").await?;
            let last = begun.try_get::<_, i64>(0)?.saturating_sub(in_table(OrderRecord::MOST_KEPT));
            transaction.execute(&forget, &[&last]).await?;
        }
        let find = transaction.prepare_cached(&format!("{ORDERS} WHERE key = $1")).await?;
        let found = transaction.query_one(&find, &[&&*order.key]).await?;
        Ok(BegunOrder { record: read(&found)?, is_new: begun.is_some() })
    }
}

/// Does a part of an order, in one transaction or in several.
pub(super) async fn carry_out(database: Arc<Database>, number: u64, part: OrderPart) -> Result<Carried, Fault> {
    let order = UnderOrder { database: &database, number: in_table(number) };
    match part {
        OrderPart::Counting(counted) => order.transact(Counting(counted), Some(0), 0).await,
        OrderPart::Redeliver { events, destination } => redeliver::events(order, events, destination.as_ref()).await,
        OrderPart::Route(events) => redeliver::route(order, events).await,
        OrderPart::RedeliverDead(deliveries) => dead::redeliver(order, deliveries).await,
        OrderPart::DropDead(deliveries) => dead::drop_all(order, deliveries).await,
        OrderPart::Move { from, to } => reassign::to_another(order, &from, &to).await,
        OrderPart::Drop { destination } => reassign::drop_all(order, &destination).await,
    }
}

struct Counting(Option<u64>);

impl OrderJob for Counting {
    async fn run(&self, _: &Transaction<'_>, _: &mut Changes, _: i64) -> Result<u64, Fault> {
        Ok(0)
    }

    fn counted(&self) -> Option<u64> {
        self.0
    }
}

/// Ends an order that is under way.
pub(super) async fn end(database: Arc<Database>, number: u64, end: OrderEnd) -> Result<Option<OrderRecord>, Fault> {
    let (state, reason) = match end {
        OrderEnd::Done => (OrderState::Done, None),
        OrderEnd::Failed(reason) => (OrderState::Failed, Some(reason)),
        OrderEnd::BrokenOff => (OrderState::BrokenOff, None),
    };
    transact(&database, Finish { number: in_table(number), state, reason }).await
}

/// Cancels an order that is under way.
pub(super) async fn cancel(database: Arc<Database>, number: u64) -> Result<Option<OrderRecord>, Fault> {
    transact(&database, Finish { number: in_table(number), state: OrderState::Cancelled, reason: None }).await
}

struct Finish {
    number: i64,
    state: OrderState,
    reason: Option<Box<str>>,
}

impl Job for Finish {
    type Answer = Option<OrderRecord>;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<Option<OrderRecord>, Fault> {
        let Self { number, state, reason } = self;
        let finish = "
            UPDATE orders SET state = $2, reason = $3, ended_at = wall_ms()
            WHERE number = $1 AND state = 0 AND until > tick()";
        let finish = transaction.prepare_cached(finish).await?;
        let reason = reason.as_deref().map(str::as_bytes);
        transaction.execute(&finish, &[number, &number_of(*state), &reason]).await?;
        let find = transaction.prepare_cached(&format!("{ORDERS} WHERE number = $1")).await?;
        transaction.query_opt(&find, &[number]).await?.as_ref().map(read).transpose()
    }
}

/// A page of the orders.
pub(super) async fn list(database: Arc<Database>, page: Page<u64>) -> Result<Vec<OrderRecord>, Fault> {
    let (condition, first) = match page.order {
        Order::NewestFirst => ("number < $1 ORDER BY number DESC", i64::MAX),
        Order::OldestFirst => ("number > $1 ORDER BY number", 0),
    };
    let (after, limit) = (page.after.map_or(first, in_table), i64::from(page.limit));
    bounded::read(&database, async |connection| {
        let list = connection.prepare_cached(&format!("{ORDERS} WHERE {condition} LIMIT $2")).await?;
        connection.query(&list, &[&after, &limit]).await?.iter().map(read).collect()
    })
    .await
}

/// One order.
pub(super) async fn order(database: Arc<Database>, number: u64) -> Result<Option<OrderRecord>, Fault> {
    bounded::read(&database, async |connection| {
        let find = connection.prepare_cached(&format!("{ORDERS} WHERE number = $1")).await?;
        connection.query_opt(&find, &[&in_table(number)]).await?.as_ref().map(read).transpose()
    })
    .await
}

/// The present by the server's clock.
pub(super) async fn present(database: Arc<Database>) -> Result<Moment, Fault> {
    bounded::read(&database, async |connection| {
        let ask = connection.prepare_cached("SELECT wall_ms()").await?;
        Ok(moment_of(connection.query_one(&ask, &[]).await?.try_get(0)?))
    })
    .await
}

const ORDERS: &str = "
    SELECT number, CASE WHEN state = 0 AND until <= tick() THEN 4::smallint ELSE state END, verb, what, who, source, note, counted,
        taken, done, unrouted, began_at, ended_at, reason
    FROM orders";

fn read(row: &Row) -> Result<OrderRecord, Fault> {
    let number = |column: usize| Ok::<_, Fault>(row.try_get::<_, i64>(column)?.cast_unsigned());
    let text = |column: usize| row.try_get::<_, Option<Vec<u8>>>(column)?.map(text_of).transpose();
    let stored: i16 = row.try_get(1)?;
    let state = OrderState::ALL.iter().copied().find(|&state| number_of(state) == stored);
    let state = state.ok_or_else(|| other(&format!("the number of an order's state, found {stored}")))?;
    let what =
        serde_json::from_str(row.try_get(3)?).map_err(|_| other("an order's selection as JSON, found another text"))?;
    Ok(OrderRecord {
        number: number(0)?,
        state,
        verb: named(row, 2)?,
        what,
        who: text_of(row.try_get(4)?)?,
        source: named(row, 5)?,
        note: text(6)?,
        counted: row.try_get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
        taken: number(8)?,
        done: number(9)?,
        unrouted: number(10)?,
        began_at: moment_of(row.try_get(11)?),
        ended_at: row.try_get::<_, Option<i64>>(12)?.map(moment_of),
        reason: text(13)?,
    })
}

/// A word of a few in a column.
fn named<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, Fault> {
    let name: String = row.try_get(column)?;
    serde_json::from_value(serde_json::Value::String(name)).map_err(|_| other("a word of an order, found another one"))
}

fn other(expected_and_found: &str) -> Fault {
    Fault::Other(format!("expected {expected_and_found}").into())
}

/// The number of a state in the table.
const fn number_of(state: OrderState) -> i16 {
    match state {
        OrderState::Running => 0,
        OrderState::Done => 1,
        OrderState::Cancelled => 2,
        OrderState::Failed => 3,
        OrderState::BrokenOff => 4,
    }
}
