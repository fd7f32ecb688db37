//! One event with all that is told of it.

use super::super::database::Database;
use super::super::error::Fault;
use super::super::row::{attempt, text_of, uuid_of};
use super::bounded;
use super::deliveries::{self, FINISHED, OPEN};
use super::events::{self, COLUMNS, SUMMARY};
use crate::headers::Headers;
use crate::id::EventId;
use crate::ledger::{AttemptRecord, DeliveryRecord, EventDetail, IssueSummary};
use deadpool_postgres::Transaction;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_postgres::IsolationLevel;
use uuid::Uuid;

const MOST_SHOWN: usize = EventDetail::MOST_SHOWN;

pub(in super::super) async fn event(database: Arc<Database>, id: EventId) -> Result<Option<EventDetail>, Fault> {
    bounded::read(&database, async |connection| {
        // One snapshot, so that the parts are of one moment.
        let transaction = connection
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let found = find(&transaction, uuid_of(id)).await?;
        transaction.commit().await?;
        Ok(found)
    })
    .await
}

async fn find(transaction: &Transaction<'_>, id: Uuid) -> Result<Option<EventDetail>, Fault> {
    let find = format!(
        "SELECT id, {COLUMNS}, method, target, query, headers, body
         FROM events CROSS JOIN LATERAL ({SUMMARY}) AS summary WHERE id = $1"
    );
    let find = transaction.prepare_cached(&find).await?;
    let Some(row) = transaction.query_opt(&find, &[&id]).await? else { return Ok(None) };
    let mut deliveries = newest(transaction, id).await?;
    let mut attempts = attempts(transaction, id, &deliveries).await?;

    let mut record = events::read(&row)?;
    let body: Vec<u8> = row.try_get(12)?;
    record.issue = IssueSummary::of(&body, &record.name, record.kind.as_deref());
    for delivery in &mut deliveries {
        delivery.issue = record.issue.clone();
    }
    let with_attempts = deliveries.into_iter().map(|delivery| {
        let attempts = attempts.remove(&delivery.id.number).unwrap_or_default();
        (delivery, attempts)
    });
    Ok(Some(EventDetail {
        method: text_of(row.try_get(8)?)?,
        target: text_of(row.try_get(9)?)?,
        query: row.try_get::<_, Option<Vec<u8>>>(10)?.map(text_of).transpose()?,
        headers: Headers::from_stored(row.try_get::<_, Vec<u8>>(11)?),
        body: body.into(),
        deliveries: with_attempts.collect(),
        record,
    }))
}

/// The newest deliveries of the event, in the order in which they were made.
async fn newest(transaction: &Transaction<'_>, event: Uuid) -> Result<Vec<DeliveryRecord>, Fault> {
    let newest = format!("WHERE event_id = $1 ORDER BY number DESC LIMIT {MOST_SHOWN}");
    let find = format!(
        "SELECT newest.*, clock.ahead, events.name, events.kind
         FROM (({OPEN} {newest}) UNION ALL ({FINISHED} {newest}) ORDER BY number DESC LIMIT {MOST_SHOWN}) AS newest
         JOIN events ON events.id = newest.event_id
         CROSS JOIN (SELECT tick() - wall_ms() AS ahead) AS clock
         ORDER BY newest.number"
    );
    let find = transaction.prepare_cached(&find).await?;
    transaction.query(&find, &[&event]).await?.iter().map(deliveries::read).collect()
}

/// The newest attempts of each delivery, in their order, by its number.
async fn attempts(
    transaction: &Transaction<'_>,
    event: Uuid,
    deliveries: &[DeliveryRecord],
) -> Result<HashMap<u32, Vec<AttemptRecord>>, Fault> {
    let numbers: Vec<i32> = deliveries.iter().map(|delivery| delivery.id.number.cast_signed()).collect();
    let find = format!(
        "SELECT newest.number, newest.attempt, newest.started_at, newest.took_ms, newest.status, newest.detail, newest.code,
             newest.answer_type, newest.answer, newest.answer_is_cut
         FROM unnest($2::integer[]) AS shown (number) CROSS JOIN LATERAL (
             SELECT * FROM attempts WHERE event_id = $1 AND attempts.number = shown.number ORDER BY attempt DESC LIMIT {MOST_SHOWN}
         ) AS newest
         ORDER BY newest.number, newest.attempt"
    );
    let find = transaction.prepare_cached(&find).await?;
    let mut attempts: HashMap<u32, Vec<AttemptRecord>> = HashMap::new();
    for row in transaction.query(&find, &[&event, &numbers]).await? {
        attempts.entry(row.try_get::<_, i32>(0)?.cast_unsigned()).or_default().push(attempt(&row, 1)?);
    }
    Ok(attempts)
}
