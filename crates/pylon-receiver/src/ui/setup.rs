//! Set-up, step by step: each step is done once the receiver has seen that it is.

use super::filters;
use super::frame::{Frame, Ui};
use super::next_step;
use super::page::{Answer, Problem, page};
use super::query;
use crate::access::Caller;
use crate::admin;
use crate::id::EventId;
use crate::ledger::{self, EventFilter, Order, Page};
use crate::wire::{
    Activity, AttemptOutcome, DeliveryRecord, DeliveryState, EndpointActivity, EventRecord, LastAccepted, LastRefused,
};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use http::{HeaderMap, StatusCode, Uri};
use pylon_webhooks::{EventKind, Reason, WebhookEvent};
use serde::Deserialize;
use serde_json::Value;

/// Placeholders that are named at most: one is enough to look at the template.
const MOST_NAMED: usize = 20;

#[derive(Template)]
#[template(path = "setup.html")]
struct Setup {
    frame: Frame,
    activity: Activity,
    endpoint: EndpointActivity,
    /// Whose template is shown.
    kind: EventKind,
    /// Whether the kind was asked for: then only events of that kind count.
    is_of_kind: bool,
    first: Option<First>,
    /// Why the last request was refused, if nothing was accepted after it.
    refused: Option<LastRefused>,
    destinations: Vec<There>,
}

/// Instead, where this receiver accepts no webhooks.
#[derive(Template)]
#[template(path = "setup_elsewhere.html")]
struct Elsewhere {
    frame: Frame,
}

/// The newest event that the set-up is about.
struct First {
    event: EventRecord,
    /// The host to which it was sent.
    host: Option<String>,
    /// Fields that hold a placeholder of the template, and the placeholder.
    placeholders: Vec<(String, String)>,
    deliveries: Vec<DeliveryRecord>,
}

/// A destination in the last step.
struct There {
    name: String,
    state: Arrival,
    /// The last attempt, if it failed.
    failed: Option<AttemptOutcome>,
}

/// Whether anything has arrived at a destination.
enum Arrival {
    Done,
    /// A delivery has not arrived yet.
    Waiting,
    /// The destination does not take this event.
    NotWanted,
    /// No event has come.
    Nothing,
}

#[derive(Deserialize)]
struct Wanted {
    endpoint: Option<String>,
    kind: Option<String>,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let mut fields = query::fields_of(uri.query(), ui.parts.clock.now())?;
    let Wanted { endpoint, kind } = fields.read()?;
    fields.finish()?;
    let none = |message: &'static str| Problem::new(StatusCode::NOT_FOUND, message, "");
    let running = ui.parts.running.as_ref();
    let activity = running.ok_or_else(|| none("no receiver is running: the ledger is only read"))?.activity();
    if activity.endpoints.is_empty() {
        return page(&Elsewhere { frame: ui.frame(&caller, "").await }, &headers);
    }
    let asked = kind.as_deref().map(|kind| {
        let unknown = "there is no such kind: expected one that `pylon-receiver template` lists, found another name";
        EventKind::from_name(kind).ok_or_else(|| none(unknown))
    });
    let asked = asked.transpose()?;
    let found = match &endpoint {
        Some(name) => activity.endpoints.iter().find(|endpoint| endpoint.name == *name),
        None => activity.endpoints.first(),
    };
    let unknown = "there is no such endpoint: expected one that is configured, found another name";
    let endpoint = found.ok_or_else(|| none(unknown))?.clone();
    let first = match newest(&ui, &endpoint, asked).await? {
        Some(id) => ui.parts.ledger.event(id).await.map_err(admin::Refusal::from)?.map(first),
        None => None,
    };
    let setup = Setup {
        frame: ui.frame(&caller, "").await,
        kind: asked.unwrap_or(EventKind::IssueNew),
        is_of_kind: asked.is_some(),
        refused: endpoint.seen.unresolved().cloned(),
        destinations: activity.destinations.iter().map(|there| There::of(there, first.as_ref())).collect(),
        first,
        endpoint,
        activity,
    };
    page(&setup, &headers)
}

impl Setup {
    /// Whether a request has found the endpoint.
    fn is_reached(&self) -> bool {
        self.first.is_some() || self.endpoint.seen.accepted.is_some() || self.endpoint.seen.refused.is_some()
    }

    /// Where a test from this machine is sent to.
    fn address(&self) -> &str {
        self.activity
            .addresses
            .iter()
            .find(|address| !address.starts_with("unix:"))
            .map_or("http://ADDRESS", |found| found)
    }

    /// Whether an event of the kind has come, with every placeholder replaced.
    fn is_filled_in(&self) -> bool {
        self.first.as_ref().is_some_and(|first| first.event.kind.is_some() && first.placeholders.is_empty())
    }

    fn has_delivered(&self) -> bool {
        !self.destinations.is_empty()
            && self.destinations.iter().all(|there| matches!(there.state, Arrival::Done | Arrival::NotWanted))
            && self.destinations.iter().any(|there| matches!(there.state, Arrival::Done))
    }

    fn is_done(&self) -> bool {
        self.endpoint.can_authenticate && self.refused.is_none() && self.is_filled_in() && self.has_delivered()
    }
}

impl There {
    fn of(there: &crate::wire::DestinationActivity, first: Option<&First>) -> Self {
        let deliveries = first.map(|first| first.deliveries.as_slice()).unwrap_or_default();
        let mut deliveries = deliveries.iter().filter(|delivery| delivery.destination == there.name).peekable();
        let is_wanted = deliveries.peek().is_some();
        let is_delivered = deliveries.any(|delivery| delivery.state == DeliveryState::Delivered);
        let state = match first {
            _ if is_delivered || there.seen.last_delivered_at.is_some() => Arrival::Done,
            _ if is_wanted => Arrival::Waiting,
            Some(_) => Arrival::NotWanted,
            None => Arrival::Nothing,
        };
        let failed = there.seen.latest.first().filter(|latest| !latest.delivered).cloned();
        Self { name: there.name.clone(), state, failed }
    }
}

/// The newest event of the endpoint, among the newest of all and those that this receiver has seen: a search through the whole ledger
/// would take too long for a page that asks every few seconds.
async fn newest(
    ui: &Ui,
    endpoint: &EndpointActivity,
    kind: Option<EventKind>,
) -> Result<Option<EventId>, admin::Refusal> {
    let is_wanted = |found: Option<&str>| kind.is_none_or(|kind| found == Some(kind.name()));
    let asked = Page { after: None, limit: query::ROWS, order: Order::NewestFirst };
    let events = admin::list_events(&ui.parts, EventFilter::default(), asked).await?.events;
    let mut of_ledger =
        events.iter().filter(|event| event.endpoint == endpoint.name && is_wanted(event.kind.as_deref()));
    let seen = || {
        let accepted = endpoint.seen.accepted.as_ref();
        accepted.filter(|accepted| is_wanted(accepted.kind.as_deref())).map(|LastAccepted { event, .. }| *event)
    };
    Ok(of_ledger.next().map(|event| event.id).or_else(seen))
}

fn first(detail: ledger::EventDetail) -> First {
    let host = detail.headers.iter().find(|(name, _)| *name == "host");
    First {
        host: host.map(|(_, value)| String::from_utf8_lossy(value).into_owned()),
        placeholders: placeholders(&detail),
        deliveries: detail.deliveries.into_iter().map(|(delivery, _)| delivery).collect(),
        event: detail.record,
    }
}

/// The fields that hold a placeholder instead of a value.
fn placeholders(detail: &ledger::EventDetail) -> Vec<(String, String)> {
    let kind = detail.record.kind.as_deref().and_then(EventKind::from_name);
    let Ok(event) = WebhookEvent::from_stored(detail.body.clone(), &detail.record.name, kind) else {
        return Vec::new();
    };
    let problems = event.problems().into_iter().filter(|problem| problem.reason == Reason::UnresolvedPlaceholder);
    let typed = problems.map(|problem| (problem.field.to_owned(), event.text(problem.field).into_owned()));
    let untyped = event.custom_fields().into_iter().chain(event.extra()).filter_map(|(name, value)| match value {
        Value::String(text) if is_placeholder(&text) => Some((name, text)),
        _ => None,
    });
    typed.chain(untyped).take(MOST_NAMED).collect()
}

/// As the core has it for typed fields.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("{{") && text.ends_with("}}")
}
