//! Orders: redeliver events, redeliver or drop dead deliveries.

use super::AdminParts;
use super::answer::{Answer, Refusal, json};
use super::fields::{Fields, quoted};
use super::selection::{Selectable, Selection};
use super::{ORDER_LIMIT, Running};
use crate::id::{DeliveryId, EventId};
use crate::ledger::{Ledger, LedgerError, LedgerFuture};
use crate::text::nearest;
use crate::time::Moment;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use http::{StatusCode, Uri};
use http_body::Body as _;
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::sync::Arc;

/// What an order says, as far as it could be read.
pub(super) struct Body(Result<Bytes, StatusCode>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        // The limit is otherwise only felt when so much has come in, and a sender may take its time.
        if request.body().size_hint().lower() > ORDER_LIMIT as u64 {
            return Ok(Self(Err(StatusCode::PAYLOAD_TOO_LARGE)));
        }
        Ok(Self(Bytes::from_request(request, state).await.map_err(|rejection| rejection.status())))
    }
}

pub(super) async fn redeliver_events(State(parts): State<AdminParts>, uri: Uri, body: Body) -> Answer {
    let running = parts.running.clone().ok_or_else(Refusal::not_running)?;
    let mut fields = fields(&uri, body)?;
    let selection = Selection::<EventId>::of(&mut fields)?;
    let destination = fields.text("destination")?.map(|name| destination(&fields, &name, &*running)).transpose()?;
    let depth = depth(&mut fields)?;
    fields.finish()?;
    let act: Act<EventId> = Box::new(move |ledger, events, now| ledger.redeliver(events, destination.clone(), now));
    carry_out(parts, running, Order { selection, depth, verb: "redelivered" }, act).await
}

pub(super) async fn redeliver_dead(State(parts): State<AdminParts>, uri: Uri, body: Body) -> Answer {
    dead(parts, &uri, body, "redelivered", Box::new(|ledger, deliveries, now| ledger.redeliver_dead(deliveries, now)))
        .await
}

pub(super) async fn drop_dead(State(parts): State<AdminParts>, uri: Uri, body: Body) -> Answer {
    dead(parts, &uri, body, "dropped", Box::new(|ledger, deliveries, now| ledger.drop_dead(deliveries, now))).await
}

async fn dead(parts: AdminParts, uri: &Uri, body: Body, verb: &'static str, act: Act<DeliveryId>) -> Answer {
    let running = parts.running.clone().ok_or_else(Refusal::not_running)?;
    let mut fields = fields(uri, body)?;
    let selection = Selection::<DeliveryId>::of(&mut fields)?;
    let depth = depth(&mut fields)?;
    fields.finish()?;
    carry_out(parts, running, Order { selection, depth, verb }, act).await
}

fn fields(uri: &Uri, body: Body) -> Result<Fields, Refusal> {
    Fields::of_query(uri.query())?.finish()?;
    let body = body.0.map_err(|status| match status {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("body too large: expected {ORDER_LIMIT} bytes at most, found more; order in parts"),
        ),
        _ => Refusal::bad_request("malformed body: expected a JSON object, found that it broke off"),
    })?;
    Fields::of_body(&body)
}

/// A destination of the receiver: nobody would deliver to another.
fn destination(fields: &Fields, name: &str, running: &dyn Running) -> Result<Arc<str>, Refusal> {
    let destinations: Vec<Arc<str>> = running.destinations().into_iter().map(|(name, _)| name).collect();
    if let Some(found) = destinations.iter().find(|known| ***known == *name) {
        return Ok(found.clone());
    }
    let meant = nearest(name, destinations.iter().map(|known| &**known));
    let advice = meant.map(|meant| format!("; was {} meant?", quoted(meant))).unwrap_or_default();
    let fault = format!("expected one of the configured destinations, found {}{advice}", quoted(name));
    Err(fields.malformed("destination", &fault))
}

/// How far an order goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// It is done.
    Do,
    /// It is only counted what it would be done to.
    Count,
}

fn depth(fields: &mut Fields) -> Result<Depth, Refusal> {
    Ok(if fields.flag("dry_run")? { Depth::Count } else { Depth::Do })
}

/// What is done to a batch at this moment; says to how many it was done.
type Act<I> = Box<dyn for<'l> Fn(&'l dyn Ledger, Vec<I>, Moment) -> LedgerFuture<'l, u64> + Send + Sync>;

struct Order<I: Selectable> {
    selection: Selection<I>,
    depth: Depth,
    /// What is told of what was done.
    verb: &'static str,
}

async fn carry_out<I: Selectable>(
    parts: AdminParts,
    running: Arc<dyn Running>,
    order: Order<I>,
    act: Act<I>,
) -> Answer {
    let verb = order.verb;
    // In a task of its own: who gave the order and hangs up must not leave it half done and untold.
    let task = tokio::spawn(async move {
        let mut done = Done::default();
        let end = done.run(&*parts.ledger, order, parts.clock.now(), &act).await;
        if done.count > 0 {
            running.wake();
        }
        tracing::info!(matched = done.matched, done = done.count, "an operator's order: {verb}");
        (done, end)
    });
    let (done, end) = task.await.map_err(|_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the order broke off; the log says why")
    })?;
    match end {
        Ok(()) => json(&Map::from_iter([
            ("matched".to_owned(), Value::from(done.matched)),
            (verb.to_owned(), Value::from(done.count)),
        ])),
        Err(error) => Err(Refusal::from(error).adding(&format!("; {} were {verb} before that", done.count))),
    }
}

/// What was done so far.
#[derive(Default)]
struct Done {
    matched: u64,
    count: u64,
}

impl Done {
    async fn run<I: Selectable>(
        &mut self,
        ledger: &dyn Ledger,
        order: Order<I>,
        now: Moment,
        act: &Act<I>,
    ) -> Result<(), LedgerError> {
        let mut batches = order.selection.batches(now);
        while let Some(batch) = batches.next(ledger).await? {
            self.matched += batch.len() as u64;
            if order.depth == Depth::Do && !batch.is_empty() {
                self.count += act(ledger, batch, now).await?;
            }
        }
        Ok(())
    }
}
