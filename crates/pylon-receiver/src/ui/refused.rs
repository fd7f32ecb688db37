//! Refused requests: why, and what to do.

use super::events::ROWS;
use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, page};
use super::query;
use crate::access::Caller;
use crate::admin;
use crate::ledger::{Page, RefusedFilter};
use crate::wire::{Body, PageQuery, RefusedList, RefusedRequest};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use http::{HeaderMap, Uri};

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused {
    frame: Frame,
    filter: RefusedFilter,
    refused: Vec<RefusedRequest>,
    next: Option<String>,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let mut fields = query::fields_of(uri.query(), ui.parts.clock.now())?;
    let filter: RefusedFilter = fields.read()?;
    let PageQuery { after, order, .. } = fields.read::<PageQuery<u64>>()?;
    fields.finish()?;
    let frame = ui.frame(&caller, "").await;
    let asked = Page { after, limit: ROWS, order: order.unwrap_or_default() };
    let RefusedList { refused, next } = admin::list_refused(&ui.parts, filter.clone(), asked).await?;
    let next = next.map(|next| query::with(&uri, "after", &next.to_string()));
    page(&Refused { frame, filter, refused, next }, &headers)
}

/// The beginning of a body, as text.
pub(super) fn text(body: &Body) -> &str {
    match body {
        Body::Text(text) => text,
        Body::Base64(_) => "",
    }
}
