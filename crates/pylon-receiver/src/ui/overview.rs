//! The first page: is it well, and what needs me?

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, page};
use crate::access::Caller;
use crate::admin;
use crate::wire::{CircuitStatus, Destination, Spool, Stats};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use http::HeaderMap;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    unmet: Vec<String>,
    durability: Option<String>,
    events: u64,
    parked: u64,
    refused: u64,
    destinations: Vec<Destination>,
    spool: Option<Spool>,
}

pub(super) async fn show(State(ui): State<Ui>, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Answer {
    let frame = ui.frame(&caller, "").await;
    let stats = admin::stats_of(&ui.parts).await?;
    let unmet = ui.health.unmet().await;
    let durability = ui.parts.ledger.durability().map(|durability| durability.meaning.into());
    let Stats { events, parked, refused, destinations, spool, .. } = stats;
    page(&Overview { frame, unmet, durability, events, parked, refused, destinations, spool }, &headers)
}
