//! One destination: is it up, and what is left for it?

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, Problem, page};
use super::query;
use crate::access::Caller;
use crate::admin;
use crate::ledger::DeliveryFilter;
use crate::wire::{CircuitStatus, DeliveryList, DeliveryRecord, DeliveryState, Destination};
use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode, Uri};

#[derive(Template)]
#[template(path = "destination.html")]
struct DestinationPage {
    frame: Frame,
    destination: Destination,
    deliveries: Vec<DeliveryRecord>,
    state: Option<DeliveryState>,
    next: Option<String>,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let answer = async {
        let (filter, asked) = query::asked::<DeliveryFilter, _>(&uri, ui.parts.clock.now())?;
        let destination = ui.destinations().await?.into_iter().find(|found| found.stats.destination == name);
        let destination = destination.ok_or_else(|| {
            let message = "there is no such destination: expected one that is configured or has deliveries left, found another name";
            Problem::new(StatusCode::NOT_FOUND, message, "../")
        })?;
        let state = filter.state;
        let filter = DeliveryFilter { destination: Some(name), ..filter };
        let DeliveryList { deliveries, next } = admin::list_deliveries(&ui.parts, filter, asked).await?;
        let next = query::next(&uri, next);
        let frame = ui.frame(&caller, "../").await;
        page(&DestinationPage { frame, destination, deliveries, state, next }, &headers)
    };
    answer.await.map_err(Problem::below)
}
