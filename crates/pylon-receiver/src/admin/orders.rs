//! An operator's orders: redeliver events, redeliver or drop dead deliveries.

use super::answer::{Answer, Refusal, json};
use super::fields::Fields;
use super::parts::{AdminParts, Running};
use super::selection::{Selectable, SelectedEvent, Selection, Unselectable};
use crate::id::{DeliveryId, EventId};
use crate::ledger::{EventDetail, Ledger, LedgerError, LedgerFuture, NewDelivery};
use crate::text::{nearest, quoted};
use crate::time::Moment;
use crate::wire::{DeadOrder, EventOrder, OrderResult};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use http::{StatusCode, Uri};
use http_body::Body as _;
use pylon_webhooks::{EventKind, WebhookEvent};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The longest order, in bytes.
pub const ORDER_LIMIT: usize = 1024 * 1024;

/// How long the body of an order may take. An order is short.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The body of an order, if it could be read.
pub(super) struct Body(Result<Bytes, StatusCode>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        // Otherwise the limit applies only once that much has arrived, and a sender may take its time.
        if request.body().size_hint().lower() > ORDER_LIMIT as u64 {
            return Ok(Self(Err(StatusCode::PAYLOAD_TOO_LARGE)));
        }
        let body = timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        Ok(Self(match body {
            Ok(body) => body.map_err(|rejection| rejection.status()),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }))
    }
}

pub(super) async fn redeliver_events(State(parts): State<AdminParts>, uri: Uri, body: Body) -> Answer {
    ordered(&parts)?;
    let mut fields = fields_of(&uri, body)?;
    let order = fields.read()?;
    fields.finish()?;
    json(&redeliver(&parts, order, &fields).await?)
}

/// Redelivers events.
pub(crate) async fn redeliver_events_of(parts: &AdminParts, order: EventOrder) -> Result<OrderResult, Refusal> {
    redeliver(parts, order, &Fields::of_order()).await
}

async fn redeliver(parts: &AdminParts, order: EventOrder, fields: &Fields) -> Result<OrderResult, Refusal> {
    let running = ordered(parts)?;
    let EventOrder { ids, filter, all, destination, dry_run } = order;
    let selection = Selection::<EventId>::new(ids, filter, all, fields)?;
    let find = |name: String| find_destination(fields, "destination", &name, running.as_deref());
    let destination = destination.map(find).transpose()?;
    let act: Act<EventId> = match destination {
        Some(destination) => Box::new(move |ledger, events| {
            let ids = events.iter().map(|event| event.id).collect();
            let redelivered = ledger.redeliver(ids, Some(destination.clone()));
            Box::pin(async move { Ok(Done { count: redelivered.await?, ..Done::default() }) })
        }),
        None => Box::new(move |ledger, events| {
            let running = running.clone();
            Box::pin(async move { again(ledger, running.as_deref(), events).await })
        }),
    };
    carry_out(parts.clone(), Order { selection, dry_run, verb: Verb::Redeliver, act }).await
}

pub(super) async fn redeliver_dead(State(parts): State<AdminParts>, uri: Uri, body: Body) -> Answer {
    dead(parts, &uri, body, Verb::Redeliver, |ledger, dead| ledger.redeliver_dead(dead)).await
}

pub(super) async fn drop_dead(State(parts): State<AdminParts>, uri: Uri, body: Body) -> Answer {
    dead(parts, &uri, body, Verb::Drop, |ledger, dead| ledger.drop_dead(dead)).await
}

async fn dead(
    parts: AdminParts,
    uri: &Uri,
    body: Body,
    verb: Verb,
    act: impl for<'l> Fn(&'l dyn Ledger, Vec<DeliveryId>) -> LedgerFuture<'l, u64> + Send + Sync + 'static,
) -> Answer {
    let running = ordered(&parts)?;
    let mut fields = fields_of(uri, body)?;
    let DeadOrder { ids, filter, all, dry_run } = fields.read()?;
    fields.finish()?;
    let destination = filter.as_ref().and_then(|filter| filter.destination.clone());
    let selection = Selection::<DeliveryId>::new(ids, filter, all, &fields)?;
    if let Some(name) = destination {
        check_known(&fields, &name, running.as_deref(), &*parts.ledger).await?;
    }
    let act: Act<DeliveryId> = Box::new(move |ledger, dead| {
        let done = act(ledger, dead);
        Box::pin(async move { Ok(Done { count: done.await?, ..Done::default() }) })
    });
    json(&carry_out(parts, Order { selection, dry_run, verb, act }).await?)
}

/// The receiver that an order is for; none: those that share the ledger.
fn ordered(parts: &AdminParts) -> Result<Option<Arc<dyn Running>>, Refusal> {
    match &parts.running {
        None if !parts.is_shared => Err(Refusal::not_running()),
        running => Ok(running.clone()),
    }
}

/// Delivers events again wherever they went before, and those that went nowhere to the destinations that would take them now.
async fn again(
    ledger: &dyn Ledger,
    running: Option<&dyn Running>,
    events: Vec<SelectedEvent>,
) -> Result<Done, LedgerError> {
    let (new, former): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.is_new);
    let mut done = Done::default();
    if !former.is_empty() {
        done.count = ledger.redeliver(former.iter().map(|event| event.id).collect(), None).await?;
    }
    let mut routed = Vec::new();
    for SelectedEvent { id, is_routable, .. } in new {
        let deliveries = match running.filter(|_| is_routable) {
            Some(running) => routes(ledger, running, id).await?,
            None => Vec::new(),
        };
        match deliveries.is_empty() {
            true => done.unrouted += 1,
            false => routed.push((id, deliveries)),
        }
    }
    if !routed.is_empty() {
        done.count += ledger.route(routed).await?;
    }
    Ok(done)
}

/// Where an event would go if it came in now.
async fn routes(ledger: &dyn Ledger, running: &dyn Running, id: EventId) -> Result<Vec<NewDelivery>, LedgerError> {
    let Some(EventDetail { record, body, .. }) = ledger.event(id).await? else { return Ok(Vec::new()) };
    let kind = record.kind.as_deref().and_then(EventKind::from_name);
    let event = WebhookEvent::from_stored(body, &record.name, kind);
    // Only JSON is unrouted; anything else was parked.
    Ok(event.map(|event| running.routes(&record.endpoint, &event)).unwrap_or_default())
}

/// The fields of an order.
pub(super) fn fields_of(uri: &Uri, body: Body) -> Result<Fields, Refusal> {
    Fields::of_query(uri.query())?.finish()?;
    let body = body.0.map_err(|status| match status {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("body too large: expected {ORDER_LIMIT} bytes at most, found more; order in parts"),
        ),
        StatusCode::REQUEST_TIMEOUT => Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("slow body: expected its end within {} s, found none", BODY_TIMEOUT.as_secs()),
        ),
        _ => Refusal::bad_request("malformed body: expected a JSON object, found that it broke off"),
    })?;
    Fields::of_body(&body)
}

/// A destination of the receiver: nobody would deliver to another one. Those of receivers elsewhere are not known.
pub(super) fn find_destination(
    fields: &Fields,
    field: &str,
    name: &str,
    running: Option<&dyn Running>,
) -> Result<Arc<str>, Refusal> {
    let Some(running) = running else {
        let is_blank = name.trim().is_empty();
        return if is_blank {
            Err(fields.malformed(field, "expected a name, found a blank one"))
        } else {
            Ok(name.into())
        };
    };
    let destinations: Vec<Arc<str>> = running.destinations().into_iter().map(|destination| destination.name).collect();
    let found = destinations.iter().find(|known| ***known == *name);
    found.cloned().ok_or_else(|| {
        let known = destinations.iter().map(|known| &**known);
        fields.malformed(field, unknown_destination("expected one of the configured destinations", name, known))
    })
}

/// Refuses a condition on a destination that neither the configuration nor the ledger knows: it would match nothing.
async fn check_known(
    fields: &Fields,
    name: &str,
    running: Option<&dyn Running>,
    ledger: &dyn Ledger,
) -> Result<(), Refusal> {
    let configured = running.map(Running::destinations).unwrap_or_default();
    let configured = configured.into_iter().map(|destination| destination.name.to_string());
    let left = ledger.stats().await?.destinations.into_iter().map(|left| left.destination);
    let known: Vec<String> = configured.chain(left).collect();
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    let expected = "expected a destination that is configured or has deliveries";
    let fault = unknown_destination(expected, name, known.iter().map(String::as_str));
    Err(fields.malformed("filter.destination", fault))
}

fn unknown_destination<'n>(expected: &str, name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let advice = nearest(name, known).map(|meant| format!("; did you mean {}?", quoted(meant))).unwrap_or_default();
    format!("{expected}, found {}{advice}", quoted(name))
}

/// Does the order to one batch.
type Act<I> =
    Box<dyn for<'l> Fn(&'l dyn Ledger, Vec<<I as Selectable>::Selected>) -> LedgerFuture<'l, Done> + Send + Sync>;

struct Order<I: Selectable> {
    selection: Selection<I>,
    /// Whether the order only counts what it selects.
    dry_run: bool,
    verb: Verb,
    act: Act<I>,
}

/// What is done.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    Redeliver,
    Move,
    Drop,
}

impl Verb {
    /// The verb's past participle.
    const fn done(self) -> &'static str {
        match self {
            Self::Redeliver => "redelivered",
            Self::Move => "moved",
            Self::Drop => "dropped",
        }
    }

    fn result(self, Done { matched, count, unrouted }: Done) -> OrderResult {
        let unrouted = (unrouted > 0).then_some(unrouted);
        let mut result = OrderResult { matched, unrouted, ..OrderResult::default() };
        let counted = match self {
            Self::Redeliver => &mut result.redelivered,
            Self::Move => &mut result.moved,
            Self::Drop => &mut result.dropped,
        };
        *counted = Some(count);
        result
    }
}

async fn carry_out<I: Selectable>(parts: AdminParts, order: Order<I>) -> Result<OrderResult, Refusal> {
    finish(order.verb, order.dry_run, async move {
        let mut done = Done::default();
        let end = done.run(&*parts.ledger, order, parts.clock.now()).await;
        (done, end)
    })
    .await
}

/// Carries out an order, and answers what came of it.
pub(super) async fn finish(
    verb: Verb,
    is_dry_run: bool,
    work: impl Future<Output = (Done, Result<(), Unselectable>)> + Send + 'static,
) -> Result<OrderResult, Refusal> {
    // In a task of its own: a caller that hangs up must not leave the order half done and unlogged.
    let task = tokio::spawn(async move {
        let (done, end) = work.await;
        if !is_dry_run {
            tracing::info!(matched = done.matched, done = done.count, "an operator's order: {}", verb.done());
        }
        (done, end)
    });
    let (done, end) = task.await.map_err(|_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the order broke off; the log says why")
    })?;
    match end {
        Ok(()) => Ok(verb.result(done)),
        Err(Unselectable::Ledger(error)) => {
            Err(Refusal::from(error).adding(&format!("; {} were {} before that", done.count, verb.done())))
        }
        Err(Unselectable::Id(fault)) => {
            Err(Refusal::new(StatusCode::NOT_FOUND, "not_found", format!("{fault}; nothing was {}", verb.done())))
        }
    }
}

/// How far an order has come.
#[derive(Default, Clone, Copy)]
pub(super) struct Done {
    pub(super) matched: u64,
    pub(super) count: u64,
    /// Events that no destination takes.
    pub(super) unrouted: u64,
}

impl Done {
    async fn run<I: Selectable>(
        &mut self,
        ledger: &dyn Ledger,
        order: Order<I>,
        now: Moment,
    ) -> Result<(), Unselectable> {
        let Order { selection, dry_run, act, .. } = order;
        let mut batches = selection.batches(ledger, now).await?;
        while let Some(batch) = batches.next(ledger).await? {
            self.matched += batch.len() as u64;
            if !dry_run && !batch.is_empty() {
                let Done { count, unrouted, .. } = act(ledger, batch).await?;
                self.count += count;
                self.unrouted += unrouted;
            }
        }
        Ok(())
    }
}
