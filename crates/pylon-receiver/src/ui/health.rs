//! Is it well: ledger, configuration, version.

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, page};
use crate::access::Caller;
use crate::admin;
use crate::wire::Stats;
use askama::Template;
use axum::Extension;
use axum::extract::State;
use http::HeaderMap;

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    frame: Frame,
    unmet: Vec<String>,
    warnings: Vec<String>,
    durability: Option<String>,
    stats: Stats,
    config: Option<String>,
    version: &'static str,
}

pub(super) async fn show(State(ui): State<Ui>, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Answer {
    let frame = ui.frame(&caller, "").await;
    let running = ui.parts.running.as_ref();
    let health = HealthPage {
        frame,
        unmet: ui.health.unmet().await,
        warnings: running.map(|running| running.warnings()).unwrap_or_default(),
        durability: ui.parts.ledger.durability().map(|durability| durability.meaning.into()),
        stats: admin::stats_of(&ui.parts).await?,
        config: running.map(|running| running.config()),
        version: env!("CARGO_PKG_VERSION"),
    };
    page(&health, &headers)
}
