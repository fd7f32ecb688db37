//! Takes all events that wait, commits them together, then answers everybody.

use super::database::Database;
use super::error::Fault;
use super::record;
use crate::ledger::{NewEvent, Recorded};
use std::sync::Arc;

/// Connections that record.
pub(super) const WRITERS: usize = 2;

/// Records an event.
pub(super) async fn record(database: Arc<Database>, event: NewEvent) -> Result<Recorded, Fault> {
    let mut answers = record::run(&database, std::slice::from_ref(&event)).await?;
    answers.pop().ok_or_else(|| Fault::Other("expected an answer for each event".into()))
}
