//! Dead deliveries: what failed for good, and waits for an operator.

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, page};
use super::query;
use crate::access::Caller;
use crate::admin;
use crate::ledger::DeliveryFilter;
use crate::wire::{DeliveryList, DeliveryRecord, DeliveryState};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use http::{HeaderMap, Uri};

#[derive(Template)]
#[template(path = "dead.html")]
struct Dead {
    frame: Frame,
    /// Each destination that has dead deliveries, and how many.
    groups: Vec<(String, u64)>,
    destination: Option<String>,
    deliveries: Vec<DeliveryRecord>,
    next: Option<String>,
    /// The filter of this list, for an order about all that match.
    order: String,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let (filter, asked) = query::asked::<DeliveryFilter, _>(&uri, ui.parts.clock.now())?;
    let frame = ui.frame(&caller, "").await;
    let destinations = ui.destinations().await?.into_iter();
    let groups = destinations.map(|found| (found.stats.destination, found.stats.dead)).filter(|(_, dead)| *dead > 0);
    let destination = filter.destination.clone();
    let order = query::more(&filter);
    let filter = DeliveryFilter { state: Some(DeliveryState::Dead), ..filter };
    let DeliveryList { deliveries, next } = admin::list_deliveries(&ui.parts, filter, asked).await?;
    let next = query::next(&uri, next);
    page(&Dead { frame, groups: groups.collect(), destination, deliveries, next, order }, &headers)
}
