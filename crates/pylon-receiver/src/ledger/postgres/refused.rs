//! The ring of refused requests: what it keeps, and what gives way.

use super::database::Database;
use super::error::Fault;
use crate::ledger::NewRefused;
use std::sync::Arc;

/// Keeps one; another one gives way if there are too many.
pub(super) async fn run(_database: Arc<Database>, _refused: NewRefused) -> Result<(), Fault> {
    Err(Fault::Other("under construction".into()))
}
