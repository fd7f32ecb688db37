//! An operator's orders: redeliver, or drop for good.

use super::database::Database;
use super::error::Fault;
use crate::id::{DeliveryId, EventId};
use crate::ledger::NewDelivery;
use std::sync::Arc;

/// Makes a new delivery of each event to the destination, or to all that it ever went to.
pub(super) async fn events(
    _database: Arc<Database>,
    _events: Vec<EventId>,
    _to: Option<Arc<str>>,
) -> Result<u64, Fault> {
    Err(Fault::Other("under construction".into()))
}

/// Makes the first deliveries of events that went nowhere.
pub(super) async fn route(_database: Arc<Database>, _events: Vec<(EventId, Vec<NewDelivery>)>) -> Result<u64, Fault> {
    Err(Fault::Other("under construction".into()))
}

/// Makes a new delivery in the place of each dead one.
pub(super) async fn dead(_database: Arc<Database>, _deliveries: Vec<DeliveryId>) -> Result<u64, Fault> {
    Err(Fault::Other("under construction".into()))
}

/// Drops dead deliveries.
pub(super) async fn drop_dead(_database: Arc<Database>, _deliveries: Vec<DeliveryId>) -> Result<u64, Fault> {
    Err(Fault::Other("under construction".into()))
}
