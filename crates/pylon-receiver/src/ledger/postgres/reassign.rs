//! Deliveries of a destination that is gone: to another destination, or dropped.

use super::database::Database;
use super::error::Fault;
use std::sync::Arc;

/// Gives deliveries to another destination.
pub(super) async fn to_another(_database: Arc<Database>, _from: Arc<str>, _to: Arc<str>) -> Result<u64, Fault> {
    Err(Fault::Other("under construction".into()))
}

/// Drops deliveries.
pub(super) async fn drop_all(_database: Arc<Database>, _destination: Arc<str>) -> Result<u64, Fault> {
    Err(Fault::Other("under construction".into()))
}
