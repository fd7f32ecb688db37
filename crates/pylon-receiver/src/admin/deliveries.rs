//! Deliveries: a list of them.

use super::AdminParts;
use super::answer::{Answer, json};
use super::fields::Fields;
use super::filters;
use crate::id::DeliveryId;
use crate::ledger::DeliveryRecord;
use axum::extract::State;
use http::Uri;
use serde::Serialize;

pub(super) async fn list(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    #[derive(Serialize)]
    struct List {
        deliveries: Vec<DeliveryRecord>,
        next: Option<DeliveryId>,
    }
    let mut fields = Fields::of_query(uri.query())?;
    let (filter, page) = (filters::deliveries(&mut fields)?, filters::page(&mut fields, str::parse)?);
    fields.finish()?;
    let deliveries = parts.ledger.deliveries(filter, page).await?;
    let next = filters::next(&deliveries, &page, |delivery| delivery.id);
    json(&List { deliveries, next })
}
