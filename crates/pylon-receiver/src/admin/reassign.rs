//! Orders about what is left of a destination that is gone: give it to another one, or drop it.

use super::answer::{Answer, Refusal, json};
use super::fields::Fields;
use super::orders::{Body, Done, Verb, fields_of, find_destination, finish};
use super::parts::AdminParts;
use super::selection::Unselectable;
use crate::ledger::{DestinationStats, Ledger, LedgerError, LedgerFuture};
use crate::text::{nearest, quoted};
use crate::wire::{DropOrder, MoveOrder};
use axum::extract::State;
use http::Uri;
use std::sync::Arc;

pub(super) async fn move_deliveries(State(parts): State<AdminParts>, uri: Uri, body: Body) -> Answer {
    let mut fields = fields_of(&uri, body)?;
    let MoveOrder { from, to, dry_run } = fields.read()?;
    fields.finish()?;
    let left = left_of(&parts, &fields, "from", &from).await?;
    let to = find_destination(&fields, "to", &to, parts.running.as_deref())?;
    let from: Arc<str> = from.into();
    carry_out(parts, left, dry_run, Verb::Move, move |ledger| ledger.move_deliveries(from.clone(), to.clone())).await
}

pub(super) async fn drop_deliveries(State(parts): State<AdminParts>, uri: Uri, body: Body) -> Answer {
    let mut fields = fields_of(&uri, body)?;
    let DropOrder { destination, dry_run } = fields.read()?;
    fields.finish()?;
    let left = left_of(&parts, &fields, "destination", &destination).await?;
    let destination: Arc<str> = destination.into();
    carry_out(parts, left, dry_run, Verb::Drop, move |ledger| ledger.drop_deliveries(destination.clone())).await
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

async fn carry_out(
    parts: AdminParts,
    matched: u64,
    dry_run: bool,
    verb: Verb,
    act: impl for<'l> Fn(&'l dyn Ledger) -> LedgerFuture<'l, u64> + Send + Sync + 'static,
) -> Answer {
    let result = finish(verb, dry_run, async move {
        let mut done = Done { matched, ..Done::default() };
        let end = if dry_run { Ok(()) } else { to_the_end(&*parts.ledger, act, &mut done.count).await };
        (done, end.map_err(Unselectable::from))
    });
    json(&result.await?)
}

/// Call after call, as long as there is something to do.
async fn to_the_end(
    ledger: &dyn Ledger,
    act: impl for<'l> Fn(&'l dyn Ledger) -> LedgerFuture<'l, u64>,
    count: &mut u64,
) -> Result<(), LedgerError> {
    loop {
        match act(ledger).await? {
            0 => return Ok(()),
            done => *count += done,
        }
    }
}
