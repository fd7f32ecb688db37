//! One event: what came, what became of it, and what each attempt met.

use super::answer::{Answer as Said, Attempt, attempts};
use super::filters;
use super::frame::{Frame, Ui};
use super::json_layout;
use super::page::{Answer, Problem, page_with_key};
use super::query;
use super::text::{MOST_SHOWN, beginning};
use crate::access::Caller;
use crate::admin::{self, Refusal};
use crate::id::EventId;
use crate::ledger::{self, OrderRecord};
use crate::wire::{DeliveryDetail, DeliveryState, EventDetail};
use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, StatusCode, Uri};
use pylon_webhooks::{EventKind, Field, FieldValue, WebhookEvent};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Attempts that a delivery shows of its first ones, and of its last ones.
const MOST_AT_AN_END: usize = 5;

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    frame: Frame,
    event: EventDetail,
    deliveries: Vec<Delivery>,
    view: View,
    body: Body,
    /// An order that was just given.
    given: Option<OrderRecord>,
    /// Makes a double click one order.
    key: String,
}

/// A delivery as the page shows it.
struct Delivery {
    detail: DeliveryDetail,
    /// The order that made it, or that moved or dropped it since.
    order: Option<OrderRecord>,
    first: Vec<Attempt>,
    /// How many stand between the first and the last ones.
    between: usize,
    last: Vec<Attempt>,
}

/// How the body is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum View {
    /// The fields that are known, and what did not fit.
    #[default]
    Fields,
    /// Over lines.
    Pretty,
    /// As it came.
    Raw,
}

enum Body {
    Fields {
        fields: Vec<(&'static str, String)>,
        problems: Vec<String>,
        extra: Vec<(String, String)>,
    },
    Text(String),
    /// JSON up to here; there it breaks.
    Broken {
        before: String,
        after: String,
    },
    /// It is no text.
    Binary(u64),
    /// It is longer than what is shown.
    Cut(String),
}

#[derive(Deserialize)]
struct Wanted {
    body: Option<View>,
    order: Option<u64>,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let answer = async {
        let mut fields = query::fields_of(uri.query(), ui.parts.clock.now())?;
        let Wanted { body: view, order } = fields.read()?;
        fields.finish()?;
        let found = find(&ui, &id).await?;
        let view = view.unwrap_or_default();
        let body = body_of(view, &found);
        let event = EventDetail::from(found);
        let mut orders = HashMap::new();
        for number in event.deliveries.iter().filter_map(|delivery| delivery.record.order).chain(order) {
            if !orders.contains_key(&number)
                && let Some(order) = ui.parts.ledger.order(number).await.map_err(Refusal::from)?
            {
                orders.insert(number, order);
            }
        }
        let given = order.and_then(|number| orders.get(&number).cloned());
        let with_order = |detail: &DeliveryDetail| {
            let order = detail.record.order.and_then(|number| orders.get(&number).cloned());
            shown(detail.clone(), order)
        };
        let deliveries = event.deliveries.iter().map(with_order).collect();
        let (frame, key) = (ui.frame(&caller, "../").await, admin::random_key());
        let template = EventPage { frame, event, deliveries, view, body, given, key };
        page_with_key(&template, &headers, &template.key)
    };
    answer.await.map_err(Problem::below)
}

/// The whole body, as a download that no browser shows.
pub(super) async fn body(State(ui): State<Ui>, Path(id): Path<String>) -> Answer {
    let event = find(&ui, &id).await.map_err(|refusal| Problem::from(refusal).far_below())?;
    let disposition = format!("attachment; filename=\"{}.json\"", event.record.id);
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, disposition),
        (CONTENT_SECURITY_POLICY, "sandbox".to_owned()),
    ];
    Ok((headers, event.body).into_response())
}

async fn find(ui: &Ui, id: &str) -> Result<ledger::EventDetail, Refusal> {
    let unknown = || {
        let message =
            "there is no such event: expected one that is kept, found none with this id; it may have been pruned";
        Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
    };
    let id: EventId = id.parse().map_err(|_| unknown())?;
    ui.parts.ledger.event(id).await?.ok_or_else(unknown)
}

fn shown(detail: DeliveryDetail, order: Option<OrderRecord>) -> Delivery {
    let log = &detail.log;
    let between = log.len().saturating_sub(2 * MOST_AT_AN_END);
    let (first, last) = match between {
        0 => (attempts(log), Vec::new()),
        _ => (attempts(&log[..MOST_AT_AN_END]), attempts(&log[log.len() - MOST_AT_AN_END..])),
    };
    Delivery { first, between, last, detail, order }
}

fn body_of(view: View, event: &ledger::EventDetail) -> Body {
    let Ok(text) = std::str::from_utf8(&event.body) else { return Body::Binary(event.body.len() as u64) };
    match view {
        View::Fields => match fields_of(event) {
            Some(fields) => fields,
            None => pretty(text),
        },
        View::Pretty => pretty(text),
        View::Raw => cut(text),
    }
}

fn cut(text: &str) -> Body {
    if text.len() <= MOST_SHOWN { Body::Text(text.to_owned()) } else { Body::Cut(beginning(text).to_owned()) }
}

fn pretty(text: &str) -> Body {
    match json_layout::lay_out(text) {
        Ok(laid_out) => cut(&laid_out),
        Err(at) if at < MOST_SHOWN => {
            let after = beginning(&text[at..]).to_owned();
            Body::Broken { before: text[..at].to_owned(), after }
        }
        Err(_) => cut(text),
    }
}

/// None: the body is no JSON, or of no known kind.
fn fields_of(event: &ledger::EventDetail) -> Option<Body> {
    let kind = event.record.kind.as_deref().and_then(EventKind::from_name)?;
    let event = WebhookEvent::from_stored(event.body.clone(), &event.record.name, Some(kind)).ok()?;
    let fields = event.fields().filter_map(|field| Some((field.name, value(&event, field)?))).collect();
    let problems = event.problems().iter().map(ToString::to_string).collect();
    let extra = event.custom_fields().into_iter().chain(event.extra()).map(|(name, value)| (name, json(&value)));
    Some(Body::Fields { fields, problems, extra: extra.collect() })
}

/// A field's value in the digits in which it came; none: it is empty, or did not fit.
fn value(event: &WebhookEvent, field: &Field) -> Option<String> {
    let text = match event.read(field).ok()? {
        FieldValue::List(items) => items.join(", "),
        _ => event.text(field.name).into_owned(),
    };
    (!text.is_empty()).then(|| beginning(&text).to_owned())
}

fn json(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => beginning(text).to_owned(),
        other => beginning(&other.to_string()).to_owned(),
    }
}
