//! One event, and its body.

use super::answer::{Answer, Refusal, json};
use super::fields::Fields;
use super::parts::AdminParts;
use crate::id::EventId;
use crate::ledger;
use crate::wire::EventDetail;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{StatusCode, Uri};

pub(super) async fn show(State(parts): State<AdminParts>, id: Result<Path<String>, PathRejection>, uri: Uri) -> Answer {
    json(&EventDetail::from(find(&parts, id, &uri).await?))
}

pub(super) async fn body(State(parts): State<AdminParts>, id: Result<Path<String>, PathRejection>, uri: Uri) -> Answer {
    let event = find(&parts, id, &uri).await?;
    let disposition = format!("attachment; filename=\"{}.bin\"", event.record.id);
    let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, event.body).into_response())
}

async fn find(
    parts: &AdminParts,
    id: Result<Path<String>, PathRejection>,
    uri: &Uri,
) -> Result<ledger::EventDetail, Refusal> {
    Fields::of_query(uri.query())?.finish()?;
    // A path that cannot be decoded holds no event id either.
    let Path(id) = id.unwrap_or_else(|_| Path(String::new()));
    let id: EventId = id.parse().map_err(|fault| Refusal::bad_request(format!("malformed path: {fault}")))?;
    let unknown = || {
        let message =
            format!("unknown event: expected one that is kept, found none with the id {id}; it may have been pruned");
        Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
    };
    parts.ledger.event(id).await?.ok_or_else(unknown)
}
