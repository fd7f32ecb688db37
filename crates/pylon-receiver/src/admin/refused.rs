//! Refused requests: a list of them.

use super::AdminParts;
use super::answer::{Answer, json};
use super::content::{ShownBody, shown_headers};
use super::fields::Fields;
use super::filters;
use crate::ledger::RefusedRecord;
use crate::time::Moment;
use axum::extract::State;
use http::Uri;
use serde::Serialize;

pub(super) async fn list(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    #[derive(Serialize)]
    struct List<'a> {
        refused: Vec<Shown<'a>>,
        next: Option<u64>,
    }
    let mut fields = Fields::of_query(uri.query())?;
    let number = |text: &str| {
        text.parse().map_err(|_| "expected the number of a refused request, found another text".to_owned())
    };
    let (filter, page) = (filters::refused(&mut fields)?, filters::page(&mut fields, number)?);
    fields.finish()?;
    let refused = parts.ledger.refused(filter, page).await?;
    let next = filters::next(&refused, &page, |refused| refused.number);
    json(&List { refused: refused.iter().map(Shown::of).collect(), next })
}

#[derive(Serialize)]
struct Shown<'a> {
    number: u64,
    at: Moment,
    endpoint: Option<&'a str>,
    code: &'a str,
    reason: &'a str,
    status: u16,
    method: &'a str,
    path: &'a str,
    remote: &'a str,
    headers: Vec<(&'a str, String)>,
    body: ShownBody<'a>,
    body_length: u64,
}

impl<'a> Shown<'a> {
    fn of(record: &'a RefusedRecord) -> Self {
        Self {
            number: record.number,
            at: record.at,
            endpoint: record.endpoint.as_deref(),
            code: &record.code,
            reason: &record.reason,
            status: record.status,
            method: &record.method,
            path: &record.path,
            remote: &record.remote,
            headers: shown_headers(&record.headers),
            body: ShownBody::of(&record.body),
            body_length: record.body_length,
        }
    }
}
