//! What is listed, searched and counted.

use super::database::Database;
use super::error::Fault;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{
    DeliveryFilter, DeliveryRecord, EventDetail, EventFilter, EventRecord, Page, RefusedFilter, RefusedRecord, Stats,
};
use std::sync::Arc;

pub(super) async fn events(
    _database: Arc<Database>,
    _filter: EventFilter,
    _page: Page<EventId>,
) -> Result<Vec<EventRecord>, Fault> {
    Err(Fault::Other("under construction".into()))
}

pub(super) async fn event(_database: Arc<Database>, _id: EventId) -> Result<Option<EventDetail>, Fault> {
    Err(Fault::Other("under construction".into()))
}

pub(super) async fn deliveries(
    _database: Arc<Database>,
    _filter: DeliveryFilter,
    _page: Page<DeliveryId>,
) -> Result<Vec<DeliveryRecord>, Fault> {
    Err(Fault::Other("under construction".into()))
}

pub(super) async fn refused(
    _database: Arc<Database>,
    _filter: RefusedFilter,
    _page: Page<u64>,
) -> Result<Vec<RefusedRecord>, Fault> {
    Err(Fault::Other("under construction".into()))
}

pub(super) async fn stats(_database: Arc<Database>) -> Result<Stats, Fault> {
    Err(Fault::Other("under construction".into()))
}
