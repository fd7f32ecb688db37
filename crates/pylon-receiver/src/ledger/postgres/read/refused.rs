//! Refused requests in a list.

use super::super::database::Database;
use super::super::error::Fault;
use super::super::row::{moment_of, text_of};
use super::bounded;
use super::range::{Range, direction};
use crate::headers::Headers;
use crate::ledger::{Page, RefusedFilter, RefusedRecord};
use std::sync::Arc;
use tokio_postgres::Row;

/// There are never many, so one statement goes through all of them.
pub(in super::super) async fn refused(
    database: Arc<Database>,
    filter: RefusedFilter,
    page: Page<u64>,
) -> Result<Vec<RefusedRecord>, Fault> {
    let after = page.after.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let Some(range) = Range::ALL.on(Page { after, limit: page.limit, order: page.order }) else {
        return Ok(Vec::new());
    };
    let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
    if has_nul(&filter.endpoint) || has_nul(&filter.code) {
        // PostgreSQL's texts have none.
        return Ok(Vec::new());
    }
    let order = direction(page.order);
    let find = format!(
        "SELECT number, at, endpoint, code, reason, status, method, path, remote, headers, body, body_length FROM refused
         WHERE number >= $1 AND number <= $2 AND ($3::text IS NULL OR endpoint = $3) AND ($4::text IS NULL OR code = $4)
         ORDER BY number {order} LIMIT $5"
    );
    let limit = i64::from(page.limit);
    bounded::read(&database, async |connection| {
        let find = connection.prepare_cached(&find).await?;
        let rows =
            connection.query(&find, &[&range.first, &range.last, &filter.endpoint, &filter.code, &limit]).await?;
        rows.iter().map(read).collect()
    })
    .await
}

fn read(row: &Row) -> Result<RefusedRecord, Fault> {
    let text = |column: usize| text_of(row.try_get(column)?);
    Ok(RefusedRecord {
        number: row.try_get::<_, i64>(0)?.cast_unsigned(),
        at: moment_of(row.try_get(1)?),
        endpoint: row.try_get(2)?,
        code: row.try_get(3)?,
        reason: text(4)?,
        status: u16::try_from(row.try_get::<_, i32>(5)?).unwrap_or(0),
        method: text(6)?,
        path: text(7)?,
        remote: text(8)?,
        headers: Headers::from_stored(row.try_get::<_, Vec<u8>>(9)?),
        body: row.try_get::<_, Vec<u8>>(10)?.into(),
        body_length: row.try_get::<_, i64>(11)?.cast_unsigned(),
    })
}
