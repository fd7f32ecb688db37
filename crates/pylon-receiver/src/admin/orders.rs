//! An operator's orders: redeliver events, redeliver or drop dead deliveries.

use super::answer::{Answer, Refusal, json};
use super::carrying::{self, Given, Hand, OrderedBy, Over, nothing_done, past};
use super::fields::Fields;
use super::parts::{AdminParts, Running};
use super::selection::{BATCH, Fixed, Selectable, SelectedEvent, Selection, Unselectable};
use crate::access::Caller;
use crate::id::{DeliveryId, EventId};
use crate::ledger::{EventDetail, Ledger, LedgerError, LedgerFuture, NewDelivery, OrderPart, OrderVerb};
use crate::text::{nearest, quoted};
use crate::wire::{DeadOrder, EventOrder, OrderResult, OrderTerms};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use http::{HeaderMap, StatusCode, Uri};
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

pub(super) async fn redeliver_events(
    State(parts): State<AdminParts>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    ordered(&parts)?;
    let mut fields = fields_of(&uri, body)?;
    let (order, terms) = (fields.read()?, fields.read()?);
    fields.finish()?;
    let by = OrderedBy::program(&caller, &headers);
    json(&redeliver(&parts, order, terms, by, &fields).await?)
}

/// Gives an order about events.
pub(crate) async fn order_events(
    parts: &AdminParts,
    order: EventOrder,
    terms: OrderTerms,
    by: OrderedBy,
) -> Result<OrderResult, Refusal> {
    redeliver(parts, order, terms, by, &Fields::of_order()).await
}

async fn redeliver(
    parts: &AdminParts,
    order: EventOrder,
    terms: OrderTerms,
    by: OrderedBy,
    fields: &Fields,
) -> Result<OrderResult, Refusal> {
    let running = ordered(parts)?;
    let EventOrder { ids, filter, all, destination, dry_run, limit } = order;
    let selection = Selection::<EventId>::new(ids, filter, all, fields)?;
    let find = |name: String| find_destination(fields, "destination", &name, running.as_deref());
    let destination = destination.map(find).transpose()?;
    let mut what = selection.what(limit);
    if let Some(destination) = &destination {
        what.insert("destination".to_owned(), destination.as_ref().into());
    }
    let act: Act<EventId> = Box::new(move |ledger, events| {
        let (destination, running) = (destination.clone(), running.clone());
        Box::pin(async move {
            if destination.is_none() {
                return again(ledger, running.as_deref(), events).await;
            }
            Ok(vec![OrderPart::Redeliver { events: events.iter().map(|event| event.id).collect(), destination }])
        })
    });
    let given = Given { by, terms, verb: OrderVerb::Redeliver, what: what.into(), counted: None };
    carry_out(parts, Order { selection, limit, dry_run, act }, given, fields).await
}

pub(super) async fn redeliver_dead(
    State(parts): State<AdminParts>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    dead_ordered(&parts, &uri, body, OrderVerb::Redeliver, OrderedBy::program(&caller, &headers)).await
}

pub(super) async fn drop_dead(
    State(parts): State<AdminParts>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    dead_ordered(&parts, &uri, body, OrderVerb::Drop, OrderedBy::program(&caller, &headers)).await
}

async fn dead_ordered(parts: &AdminParts, uri: &Uri, body: Body, verb: OrderVerb, by: OrderedBy) -> Answer {
    ordered(parts)?;
    let mut fields = fields_of(uri, body)?;
    let (order, terms) = (fields.read()?, fields.read()?);
    fields.finish()?;
    json(&dead(parts, verb, order, terms, by, &fields).await?)
}

/// Gives an order about dead deliveries.
pub(crate) async fn order_dead(
    parts: &AdminParts,
    verb: OrderVerb,
    order: DeadOrder,
    terms: OrderTerms,
    by: OrderedBy,
) -> Result<OrderResult, Refusal> {
    dead(parts, verb, order, terms, by, &Fields::of_order()).await
}

async fn dead(
    parts: &AdminParts,
    verb: OrderVerb,
    order: DeadOrder,
    terms: OrderTerms,
    by: OrderedBy,
    fields: &Fields,
) -> Result<OrderResult, Refusal> {
    let running = ordered(parts)?;
    let DeadOrder { ids, filter, all, dry_run, limit } = order;
    let destination = filter.as_ref().and_then(|filter| filter.destination.clone());
    let selection = Selection::<DeliveryId>::new(ids, filter, all, fields)?;
    if let Some(name) = destination {
        check_known(fields, &name, running.as_deref(), &*parts.ledger).await?;
    }
    let act: Act<DeliveryId> = Box::new(move |_, dead| {
        let part = match verb {
            OrderVerb::Drop => OrderPart::DropDead(dead),
            OrderVerb::Redeliver | OrderVerb::Move => OrderPart::RedeliverDead(dead),
        };
        Box::pin(async move { Ok(vec![part]) })
    });
    let what = selection.what(limit).into();
    let given = Given { by, terms, verb, what, counted: None };
    carry_out(parts, Order { selection, limit, dry_run, act }, given, fields).await
}

/// The receiver that an order is for; none: those that share the ledger.
fn ordered(parts: &AdminParts) -> Result<Option<Arc<dyn Running>>, Refusal> {
    match &parts.running {
        None if !parts.is_shared => Err(Refusal::not_running()),
        running => Ok(running.clone()),
    }
}

/// What delivers events again wherever they went before, and those that went nowhere to the destinations that would take them now.
async fn again(
    ledger: &dyn Ledger,
    running: Option<&dyn Running>,
    events: Vec<SelectedEvent>,
) -> Result<Vec<OrderPart>, LedgerError> {
    let (new, former): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.is_new);
    let mut parts = Vec::new();
    if !former.is_empty() {
        let events = former.iter().map(|event| event.id).collect();
        parts.push(OrderPart::Redeliver { events, destination: None });
    }
    let mut routed = Vec::with_capacity(new.len());
    for SelectedEvent { id, is_routable, .. } in new {
        let deliveries = match running.filter(|_| is_routable) {
            Some(running) => routes(ledger, running, id).await?,
            None => Vec::new(),
        };
        routed.push((id, deliveries));
    }
    if !routed.is_empty() {
        parts.push(OrderPart::Route(routed));
    }
    Ok(parts)
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

/// What is done to one batch.
type Act<I> = Box<
    dyn for<'l> Fn(&'l dyn Ledger, Vec<<I as Selectable>::Selected>) -> LedgerFuture<'l, Vec<OrderPart>> + Send + Sync,
>;

struct Order<I: Selectable> {
    selection: Selection<I>,
    /// How many it takes at most.
    limit: Option<u64>,
    /// Whether the order only counts what it selects.
    dry_run: bool,
    act: Act<I>,
}

async fn carry_out<I: Selectable>(
    parts: &AdminParts,
    order: Order<I>,
    given: Given,
    fields: &Fields,
) -> Result<OrderResult, Refusal> {
    let Order { selection, limit, dry_run, act } = order;
    let verb = given.verb;
    let fixed = selection.fixed(&*parts.ledger, limit, parts.clock.now()).await.map_err(|fault| match fault {
        Unselectable::Ledger(error) => Refusal::from(error),
        Unselectable::Id(fault) => {
            Refusal::new(StatusCode::NOT_FOUND, "not_found", format!("{fault}; nothing was {}", past(verb)))
        }
    })?;
    if dry_run {
        let (matched, preview) = fixed.preview(&*parts.ledger).await?;
        return Ok(OrderResult { preview, ..nothing_done(verb, matched) });
    }
    let given = Given { counted: fixed.count(), ..given };
    carrying::give(parts, given, fields, move |hand| work(hand, fixed, act)).await
}

/// How many are remembered from counting them until something is done to them: a few hundred kilobytes.
const MOST_REMEMBERED: usize = 10_000;

/// Counts what is selected, and does the order to it.
async fn work<I: Selectable>(mut hand: Hand, fixed: Fixed<I>, act: Act<I>) -> Result<Result<(), Over>, LedgerError> {
    let ledger = hand.ledger.clone();
    let order = hand.number;
    let selected = move |records: Vec<I::Record>| -> Vec<I::Selected> {
        records.iter().filter_map(|record| I::selected(record, order)).collect()
    };
    let mut pages = match fixed {
        Fixed::Found(_) => fixed.pages(),
        Fixed::Matching { filter, most } => {
            let (mut counted, mut remembered) = (0, Some(Vec::new()));
            let mut pages = Fixed::<I>::Matching { filter: filter.clone(), most }.pages();
            while let Some(records) = pages.next(&*ledger).await? {
                counted += records.len() as u64;
                remembered = remembered.filter(|remembered| remembered.len() + records.len() <= MOST_REMEMBERED);
                if let Some(remembered) = &mut remembered {
                    remembered.extend(selected(records));
                }
                if let Err(over) = hand.keep_alive().await? {
                    return Ok(Err(over));
                }
            }
            if let Err(over) = hand.carry_out(OrderPart::Counting(Some(counted))).await? {
                return Ok(Err(over));
            }
            match remembered {
                // Exactly those that were counted.
                Some(remembered) => {
                    for batch in remembered.chunks(BATCH as usize) {
                        if let Err(over) = act_on::<I>(&mut hand, &*ledger, &act, batch.to_vec()).await? {
                            return Ok(Err(over));
                        }
                    }
                    return Ok(Ok(()));
                }
                None => Fixed::Matching { filter, most: counted }.pages(),
            }
        }
    };
    while let Some(records) = pages.next(&*ledger).await? {
        if let Err(over) = act_on::<I>(&mut hand, &*ledger, &act, selected(records)).await? {
            return Ok(Err(over));
        }
    }
    Ok(Ok(()))
}

async fn act_on<I: Selectable>(
    hand: &mut Hand,
    ledger: &dyn Ledger,
    act: &Act<I>,
    batch: Vec<I::Selected>,
) -> Result<Result<(), Over>, LedgerError> {
    if batch.is_empty() {
        return Ok(hand.keep_alive().await?.map(drop));
    }
    for part in act(ledger, batch).await? {
        if let Err(over) = hand.carry_out(part).await? {
            return Ok(Err(over));
        }
    }
    Ok(Ok(()))
}
