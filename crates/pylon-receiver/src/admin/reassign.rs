//! Orders about what is left of a destination that is gone: give it to another one, or drop it.

use super::answer::{Answer, Refusal, json as answer};
use super::carrying::{self, Given, Hand, OrderedBy, Over, nothing_done};
use super::fields::Fields;
use super::orders::{Body, fields_of, find_destination};
use super::parts::AdminParts;
use crate::access::Caller;
use crate::ledger::{DestinationStats, LedgerError, OrderPart, OrderVerb};
use crate::text::{nearest, quoted};
use crate::wire::{DropOrder, MoveOrder};
use axum::Extension;
use axum::extract::State;
use http::{HeaderMap, Uri};
use serde_json::json;

pub(super) async fn move_deliveries(
    State(parts): State<AdminParts>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut fields = fields_of(&uri, body)?;
    let (MoveOrder { from, to, dry_run }, terms) = (fields.read()?, fields.read()?);
    fields.finish()?;
    let left = left_of(&parts, &fields, "from", &from).await?;
    let to = find_destination(&fields, "to", &to, parts.running.as_deref())?;
    let (by, what) = (OrderedBy::program(&caller, &headers), json!({ "from": from, "to": &*to }));
    let given = Given { by, terms, verb: OrderVerb::Move, what, counted: Some(left) };
    carry_out(parts, given, dry_run, &fields, OrderPart::Move { from: from.into(), to }).await
}

pub(super) async fn drop_deliveries(
    State(parts): State<AdminParts>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut fields = fields_of(&uri, body)?;
    let (DropOrder { destination, dry_run }, terms) = (fields.read()?, fields.read()?);
    fields.finish()?;
    let left = left_of(&parts, &fields, "destination", &destination).await?;
    let (by, what) = (OrderedBy::program(&caller, &headers), json!({ "destination": destination }));
    let given = Given { by, terms, verb: OrderVerb::Drop, what, counted: Some(left) };
    carry_out(parts, given, dry_run, &fields, OrderPart::Drop { destination: destination.into() }).await
}

/// How many deliveries are left of a destination that no receiver is configured with.
async fn left_of(parts: &AdminParts, fields: &Fields, field: &str, name: &str) -> Result<u64, Refusal> {
    let configured = parts.running.as_ref().map(|running| running.destinations()).unwrap_or_default();
    let is_configured = |name: &str| configured.iter().any(|destination| *destination.name == *name);
    if is_configured(name) {
        let name = quoted(name);
        let fault = format!(
            "expected a destination that is not configured, found {name}, to which the receiver delivers; remove it from the \
             configuration first"
        );
        return Err(fields.malformed(field, fault));
    }
    let mut left = parts.ledger.stats().await?.destinations;
    left.retain(|of| !is_configured(&of.destination));
    if let Some(of) = left.iter().find(|of| of.destination == name) {
        let DestinationStats { waiting, held, delivering, dead, .. } = of;
        return Ok(waiting + held + delivering + dead);
    }
    let meant = nearest(name, left.iter().map(|of| of.destination.as_str()));
    let advice = meant.map(|meant| format!("; did you mean {}?", quoted(meant))).unwrap_or_default();
    let fault = format!("expected a destination with deliveries left, found {}, which has none{advice}", quoted(name));
    Err(fields.malformed(field, fault))
}

async fn carry_out(parts: AdminParts, given: Given, dry_run: bool, fields: &Fields, part: OrderPart) -> Answer {
    if dry_run {
        return answer(&nothing_done(given.verb, given.counted.unwrap_or(0)));
    }
    answer(&carrying::give(&parts, given, fields, move |hand| to_the_end(hand, part)).await?)
}

/// Call after call, as long as there is something to do.
async fn to_the_end(mut hand: Hand, part: OrderPart) -> Result<Result<(), Over>, LedgerError> {
    loop {
        match hand.carry_out(part.clone()).await? {
            Ok(0) => return Ok(Ok(())),
            Ok(_) => {}
            Err(over) => return Ok(Err(over)),
        }
    }
}
