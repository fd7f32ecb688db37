//! Numbers of deliveries, as statements answer them.

use super::super::error::Fault;
use std::sync::Arc;
use tokio_postgres::Row;

/// A destination, and a number of its deliveries in this column.
pub(super) fn of_destination(row: &Row, column: usize) -> Result<(Arc<str>, usize), Fault> {
    let number: i64 = row.try_get(column)?;
    Ok((row.try_get::<_, &str>(0)?.into(), usize::try_from(number).unwrap_or(0)))
}
