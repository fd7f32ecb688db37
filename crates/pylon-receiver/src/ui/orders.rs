//! Orders: who did what, how far is it?

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, Problem, page};
use super::query;
use crate::access::Caller;
use crate::admin;
use crate::ledger::{OrderRecord, OrderState, OrderVerb, Page};
use crate::wire::{OrderList, PageQuery};
use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use http::{HeaderMap, Uri};
use serde_json::Value;

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    frame: Frame,
    orders: Vec<OrderRecord>,
    next: Option<String>,
}

pub(super) async fn list(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let mut fields = query::fields_of(uri.query(), ui.parts.clock.now())?;
    let PageQuery { after, order, .. } = fields.read()?;
    fields.finish()?;
    let asked = Page { after, limit: query::ROWS, order: order.unwrap_or_default() };
    let OrderList { orders, next } = admin::list_orders(&ui.parts, asked).await?;
    let next = query::next(&uri, next);
    let frame = ui.frame(&caller, "").await;
    page(&OrdersPage { frame, orders, next }, &headers)
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    frame: Frame,
    order: OrderRecord,
    is_running: bool,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let answer = async {
        let order = admin::find_order(&ui.parts, &number).await?;
        let frame = ui.frame(&caller, "../").await;
        let is_running = order.state == OrderState::Running;
        page(&OrderPage { frame, order, is_running }, &headers)
    };
    answer.await.map_err(Problem::below)
}

pub(super) async fn cancel(State(ui): State<Ui>, Path(number): Path<String>) -> Answer {
    let cancelled = admin::cancel_order(&ui.parts, &number).await;
    let order = cancelled.map_err(|refusal| Problem::from(refusal).far_below())?;
    Ok(Redirect::to(&format!("../{}", order.number)).into_response())
}

/// The state in words, with the class of its looks.
pub(super) fn state(order: &OrderRecord) -> (&'static str, &'static str) {
    match order.state {
        OrderState::Running if order.counted.is_none() => ("counting", "pending"),
        OrderState::Running => ("running", "pending"),
        OrderState::Done => ("done", "good"),
        OrderState::Cancelled => ("cancelled", "bad"),
        OrderState::Failed => ("failed", "bad"),
        OrderState::BrokenOff => ("broken off", "bad"),
    }
}

/// What the order does, in the past tense.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]
pub(super) fn past(verb: &OrderVerb) -> &'static str {
    match verb {
        OrderVerb::Redeliver => "sent again",
        OrderVerb::Move => "moved",
        OrderVerb::Drop => "dropped",
    }
}

/// What the order is about, in words: each condition and its value.
pub(super) fn conditions(order: &OrderRecord) -> Vec<(String, String)> {
    let mut conditions = Vec::new();
    let mut add = |name: &str, value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        conditions.push((name.replace('_', " "), text));
    };
    for (name, value) in order.what.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("filter", Value::Object(filter)) => filter.iter().for_each(|(name, value)| add(name, value)),
            (name, value) => add(name, value),
        }
    }
    conditions
}
