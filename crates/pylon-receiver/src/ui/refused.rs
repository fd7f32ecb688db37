//! Refused requests: why, and what to do.

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, page};
use super::query;
use crate::access::Caller;
use crate::admin;
use crate::ledger::RefusedFilter;
use crate::wire::{Body, RefusedList, RefusedRequest};
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
    let (filter, asked) = query::asked::<RefusedFilter, _>(&uri, ui.parts.clock.now())?;
    let frame = ui.frame(&caller, "").await;
    let RefusedList { refused, next } = admin::list_refused(&ui.parts, filter.clone(), asked).await?;
    let next = query::next(&uri, next);
    page(&Refused { frame, filter, refused, next }, &headers)
}

/// The beginning of a body, as text.
pub(super) fn text(body: &Body) -> &str {
    match body {
        Body::Text(text) => text,
        Body::Base64(_) => "",
    }
}
