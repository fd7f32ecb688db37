//! An order about many, before it is given: what would happen, and the form that gives it.

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, Problem, page_with_key};
use super::query;
use crate::access::Caller;
use crate::admin::{self, Fields, OrderedBy, Refusal};
use crate::id::DeliveryId;
use crate::ledger::{DeliveryFilter, EventFilter, OrderVerb};
use crate::time::Moment;
use crate::wire::{DeadOrder, EventOrder, OrderResult, OrderSample, OrderTerms};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

/// How many "the first ones" are.
const FIRST: u64 = 10;

#[derive(Template)]
#[template(path = "new_order.html")]
struct NewOrderPage {
    frame: Frame,
    verb: OrderVerb,
    of: Of,
    matched: u64,
    /// When the oldest and the newest came; none: nothing matches.
    ends: Option<(Moment, Moment)>,
    /// The first of them, and when each came.
    samples: Vec<(Moment, OrderSample)>,
    /// What the form sends back, so that the order takes only what is counted here.
    fields: Vec<(String, String)>,
    key: String,
    /// Whether one delivery is named.
    is_single: bool,
}

/// What an order is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    /// Events.
    Events,
    /// Dead deliveries.
    Dead,
}

#[derive(Debug, Deserialize)]
struct Asked {
    verb: OrderVerb,
    of: Of,
    /// One dead delivery.
    delivery: Option<DeliveryId>,
}

#[derive(Debug, Deserialize)]
struct Form {
    key: Option<String>,
    note: Option<String>,
    limit: Option<u64>,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let answer = async {
        let mut fields = query::fields_of(uri.query(), ui.parts.clock.now())?;
        let order = AskedOrder::read(&mut fields)?;
        fields.finish()?;
        let OrderResult { matched, preview, .. } =
            order.give(&ui, None, true, OrderTerms::default(), OrderedBy::page(&caller)).await?;
        let bounds = preview.as_ref().map(|preview| (preview.until, preview.died_before)).unwrap_or_default();
        let fields = order.within(bounds).fields();
        let frame = ui.frame(&caller, "../").await;
        let AskedOrder { asked: Asked { verb, of, delivery }, .. } = order;
        let (key, is_single) = (admin::random_key(), delivery.is_some());
        let ends = preview.as_ref().map(|preview| (preview.oldest, preview.newest));
        let samples = preview.map(|preview| preview.samples).unwrap_or_default();
        let samples = samples.into_iter().map(|sample| (sample.event.received_at(), sample)).collect();
        let template = NewOrderPage { frame, verb, of, matched, ends, samples, fields, key, is_single };
        page_with_key(&template, &headers, &template.key)
    };
    answer.await.map_err(Problem::below)
}

/// Gives the order, and leads to it while it is carried out.
pub(super) async fn give(State(ui): State<Ui>, Extension(caller): Extension<Caller>, body: String) -> Answer {
    let mut fields = query::fields_of(Some(&body), ui.parts.clock.now())?;
    let order = AskedOrder::read(&mut fields)?;
    let Form { key, note, limit } = fields.read()?;
    fields.finish()?;
    let terms = OrderTerms { key, note, at_once: true };
    let given = order.give(&ui, limit, false, terms, OrderedBy::page(&caller)).await?;
    let number = given.order.unwrap_or_default();
    Ok(Redirect::to(&format!("orders/{number}")).into_response())
}

/// What is asked for by an address or a form.
struct AskedOrder {
    asked: Asked,
    filter: Filter,
}

enum Filter {
    Events(EventFilter),
    Dead(DeliveryFilter),
}

impl AskedOrder {
    fn read(fields: &mut Fields) -> Result<Self, Refusal> {
        let asked: Asked = fields.read()?;
        let filter = match asked.of {
            Of::Events => Filter::Events(fields.read()?),
            Of::Dead => Filter::Dead(fields.read()?),
        };
        match (asked.of, asked.verb) {
            (Of::Events, OrderVerb::Redeliver) | (Of::Dead, OrderVerb::Redeliver | OrderVerb::Drop) => {
                Ok(Self { asked, filter })
            }
            (_, verb) => Err(Refusal::bad_request(format!(
                "no such order: expected to send events or dead deliveries, or to drop dead ones, found {verb}"
            ))),
        }
    }

    async fn give(
        &self,
        ui: &Ui,
        limit: Option<u64>,
        dry_run: bool,
        terms: OrderTerms,
        by: OrderedBy,
    ) -> Result<OrderResult, Refusal> {
        match &self.filter {
            Filter::Events(filter) => {
                let filter = Some(filter.clone());
                let order = EventOrder { filter, all: true, limit, dry_run, ..EventOrder::default() };
                admin::order_events(&ui.parts, order, terms, by).await
            }
            Filter::Dead(filter) => {
                let ids = self.asked.delivery.map(|delivery| vec![delivery]);
                let filter = ids.is_none().then(|| filter.clone());
                let order = DeadOrder { all: ids.is_none(), ids, filter, limit, dry_run };
                admin::order_dead(&ui.parts, self.asked.verb, order, terms, by).await
            }
        }
    }

    /// Within the limits that the preview had.
    fn within(&self, (until, died_before): (Option<Moment>, Option<Moment>)) -> Self {
        let Asked { verb, of, delivery } = self.asked;
        let filter = match &self.filter {
            Filter::Events(filter) => Filter::Events(EventFilter { until: until.or(filter.until), ..filter.clone() }),
            Filter::Dead(filter) => {
                Filter::Dead(DeliveryFilter { died_before: died_before.or(filter.died_before), ..filter.clone() })
            }
        };
        Self { asked: Asked { verb, of, delivery }, filter }
    }

    /// What says the same in a form.
    fn fields(&self) -> Vec<(String, String)> {
        let mut fields = match &self.filter {
            Filter::Events(filter) => query::pairs(filter),
            Filter::Dead(filter) => query::pairs(filter),
        };
        let of = match self.asked.of {
            Of::Events => "events",
            Of::Dead => "dead",
        };
        fields.extend([("of".to_owned(), of.to_owned()), ("verb".to_owned(), self.asked.verb.to_string())]);
        fields.extend(self.asked.delivery.map(|delivery| ("delivery".to_owned(), delivery.to_string())));
        fields
    }
}
