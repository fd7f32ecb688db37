//! Sends one event again.

use super::frame::Ui;
use super::page::{Answer, Problem};
use super::query;
use crate::access::Caller;
use crate::admin::{self, OrderedBy};
use crate::id::EventId;
use crate::wire::{EventOrder, OrderTerms};
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

#[derive(Deserialize)]
struct Form {
    /// None: wherever it went.
    destination: Option<String>,
    /// Makes a double click one order.
    key: Option<String>,
}

/// Asks no question: it is what operators do most, and an app has to take an event twice anyway.
pub(super) async fn event(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    body: String,
) -> Answer {
    let done = async {
        let mut fields = query::fields_of(Some(&body), ui.parts.clock.now())?;
        let Form { destination, key } = fields.read()?;
        fields.finish()?;
        let id: EventId = id.parse().map_err(admin::Refusal::bad_request)?;
        let order = EventOrder { ids: Some(vec![id]), destination, ..EventOrder::default() };
        let terms = OrderTerms { key, ..OrderTerms::default() };
        let done = admin::order_events(&ui.parts, order, terms, OrderedBy::page(&caller)).await?;
        // A reload of the page that follows sends nothing.
        Ok(Redirect::to(&format!("../{id}?order={}", done.order.unwrap_or_default())).into_response())
    };
    done.await.map_err(|refusal: admin::Refusal| Problem::from(refusal).far_below())
}
