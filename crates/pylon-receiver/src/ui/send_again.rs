//! Sends one event again.

use super::frame::Ui;
use super::page::{Answer, Problem};
use super::query;
use crate::admin;
use crate::id::EventId;
use crate::wire::EventOrder;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

#[derive(Deserialize)]
struct Form {
    /// None: wherever it went.
    destination: Option<String>,
}

/// Asks no question: it is what operators do most, and an app has to take an event twice anyway.
pub(super) async fn event(State(ui): State<Ui>, Path(id): Path<String>, body: String) -> Answer {
    let done = async {
        let mut fields = query::fields_of(Some(&body), ui.parts.clock.now())?;
        let Form { destination } = fields.read()?;
        fields.finish()?;
        let id: EventId = id.parse().map_err(admin::Refusal::bad_request)?;
        let order = EventOrder { ids: Some(vec![id]), destination, ..EventOrder::default() };
        let done = admin::redeliver_events_of(&ui.parts, order).await?;
        let sent = done.redelivered.unwrap_or_default();
        // A reload of the page that follows sends nothing.
        Ok(Redirect::to(&format!("../{id}?sent={sent}")).into_response())
    };
    done.await.map_err(|refusal: admin::Refusal| Problem::from(refusal).below())
}
