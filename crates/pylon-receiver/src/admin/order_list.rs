//! The orders that were given: a list, one of them, and its end.

use super::answer::{Answer, Refusal, json};
use super::fields::Fields;
use super::lists::{Gathered, Part, gather, page};
use super::orders::{Body, fields_of};
use super::parts::AdminParts;
use crate::ledger::{OrderRecord, Page};
use crate::wire::OrderList;
use axum::extract::{Path, State};
use http::{StatusCode, Uri};

pub(super) async fn list(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    let mut fields = Fields::of_query(uri.query())?;
    let page = page(&mut fields)?;
    json(&list_orders(&parts, page).await?)
}

/// A page of orders.
pub(crate) async fn list_orders(parts: &AdminParts, page: Page<u64>) -> Result<OrderList, Refusal> {
    let ask = |page| Part::whole(parts.ledger.orders(page));
    let Gathered { entries, next, .. } = gather(page, ask, |order| order.number, |order| order).await?;
    Ok(OrderList { orders: entries, next })
}

pub(super) async fn show(State(parts): State<AdminParts>, Path(number): Path<String>, uri: Uri) -> Answer {
    Fields::of_query(uri.query())?.finish()?;
    json(&find_order(&parts, &number).await?)
}

/// The order with this number.
pub(crate) async fn find_order(parts: &AdminParts, number: &str) -> Result<OrderRecord, Refusal> {
    let number = number.parse().map_err(|_| unknown())?;
    parts.ledger.order(number).await?.ok_or_else(unknown)
}

pub(super) async fn cancel(
    State(parts): State<AdminParts>,
    Path(number): Path<String>,
    uri: Uri,
    body: Body,
) -> Answer {
    // A body says nothing here, but only a program may send one: a form of another page has none in JSON.
    fields_of(&uri, body)?.finish()?;
    json(&cancel_order(&parts, &number).await?)
}

/// Cancels the order with this number, if it is under way; says what became of it.
pub(crate) async fn cancel_order(parts: &AdminParts, number: &str) -> Result<OrderRecord, Refusal> {
    let number = number.parse().map_err(|_| unknown())?;
    parts.ledger.cancel_order(number).await?.ok_or_else(unknown)
}

fn unknown() -> Refusal {
    let message = format!(
        "unknown order: expected one that is kept, found none with this number; the newest {} are kept",
        OrderRecord::MOST_KEPT
    );
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
}
