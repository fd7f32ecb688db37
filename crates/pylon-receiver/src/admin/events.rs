//! Events: a list of them, one, and its body.

use super::AdminParts;
use super::answer::{Answer, Refusal, json};
use super::content::{ShownBody, shown_headers};
use super::fields::Fields;
use super::filters;
use crate::id::EventId;
use crate::ledger::{AttemptLog, DeliveryRecord, EventDetail, EventRecord, EventState};
use crate::time::Moment;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{StatusCode, Uri};
use serde::Serialize;

pub(super) async fn list(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    #[derive(Serialize)]
    struct List {
        events: Vec<EventRecord>,
        next: Option<EventId>,
    }
    let mut fields = Fields::of_query(uri.query())?;
    let (filter, page) = (filters::events(&mut fields)?, filters::page(&mut fields, str::parse)?);
    fields.finish()?;
    let events = parts.ledger.events(filter, page).await?;
    let next = filters::next(&events, &page, |event| event.id);
    json(&List { events, next })
}

pub(super) async fn show(State(parts): State<AdminParts>, id: Result<Path<String>, PathRejection>, uri: Uri) -> Answer {
    let event = find(&parts, id, &uri).await?;
    let EventRecord { id, received_at, endpoint, kind, state, parked, body_length, deliveries: _ } = event.record;
    json(&Shown {
        id,
        received_at,
        endpoint,
        kind,
        state,
        parked,
        body_length,
        headers: shown_headers(&event.headers),
        body: ShownBody::of(&event.body),
        deliveries: event.deliveries.into_iter().map(|(record, log)| ShownDelivery { record, log }).collect(),
    })
}

pub(super) async fn body(State(parts): State<AdminParts>, id: Result<Path<String>, PathRejection>, uri: Uri) -> Answer {
    let event = find(&parts, id, &uri).await?;
    let disposition = format!("attachment; filename=\"{}.bin\"", event.record.id);
    let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, event.body).into_response())
}

/// An event as it is shown: what a list says of it, the deliveries themselves in the place of their number.
#[derive(Serialize)]
struct Shown<'a> {
    id: EventId,
    received_at: Moment,
    endpoint: String,
    kind: String,
    state: EventState,
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<String>,
    body_length: u64,
    headers: Vec<(&'a str, String)>,
    body: ShownBody<'a>,
    deliveries: Vec<ShownDelivery>,
}

#[derive(Serialize)]
struct ShownDelivery {
    #[serde(flatten)]
    record: DeliveryRecord,
    log: Vec<AttemptLog>,
}

async fn find(parts: &AdminParts, id: Result<Path<String>, PathRejection>, uri: &Uri) -> Result<EventDetail, Refusal> {
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
