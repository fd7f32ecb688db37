//! One destination: is it up, and what is left for it?

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, Problem, page};
use super::query;
use super::spark::{Spark, lately};
use crate::access::Caller;
use crate::admin;
use crate::ledger::DeliveryFilter;
use crate::text::show_duration;
use crate::time::Moment;
use crate::wire::{
    CircuitStatus, DeliveryList, DeliveryRecord, DeliveryState, Destination, DestinationActivity, RetrySummary,
};
use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode, Uri};
use std::time::Duration;

#[derive(Template)]
#[template(path = "destination.html")]
struct DestinationPage {
    frame: Frame,
    destination: Destination,
    here: Option<Here>,
    deliveries: Vec<DeliveryRecord>,
    state: Option<DeliveryState>,
    next: Option<String>,
}

/// What this receiver has seen of it.
struct Here {
    since: Moment,
    seen: DestinationActivity,
    spark: Spark,
    /// Attempts of the last five minutes: delivered, failed.
    lately: (u64, u64),
    retry: String,
}

pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let answer = async {
        let (filter, asked) = query::asked::<DeliveryFilter, _>(&uri, ui.parts.clock.now())?;
        let destination = ui.destinations().await?.into_iter().find(|found| found.stats.destination == name);
        let destination = destination.ok_or_else(|| {
            let message = "there is no such destination: expected one that is configured or has deliveries left, found another name";
            Problem::new(StatusCode::NOT_FOUND, message, "../")
        })?;
        let state = filter.state;
        let filter = DeliveryFilter { destination: Some(name), ..filter };
        let DeliveryList { deliveries, next } = admin::list_deliveries(&ui.parts, filter, asked).await?;
        let next = query::next(&uri, next);
        let here = here(&ui, &destination);
        let frame = ui.frame(&caller, "../").await;
        page(&DestinationPage { frame, destination, here, deliveries, state, next }, &headers)
    };
    answer.await.map_err(Problem::below)
}

fn here(ui: &Ui, destination: &Destination) -> Option<Here> {
    let activity = ui.parts.running.as_ref()?.activity();
    let seen = activity.destinations.into_iter().find(|seen| seen.name == destination.stats.destination)?;
    let now = ui.parts.clock.now();
    let (spark, lately) = (Spark::of(&seen.seen.minutes, now), lately(&seen.seen.minutes, now));
    let retry = policy(&seen.retry);
    Some(Here { since: activity.since, seen, spark, lately, retry })
}

fn policy(retry: &RetrySummary) -> String {
    let shown = |seconds| Duration::try_from_secs_f64(seconds).map(show_duration).unwrap_or_default();
    let RetrySummary { attempts, age_seconds, first_delay_seconds, longest_delay_seconds } = *retry;
    let (age, first, longest) = (shown(age_seconds), shown(first_delay_seconds), shown(longest_delay_seconds));
    format!(
        "A failed delivery is retried within {first}, then after up to twice as long each time, up to {longest}. \
         It is given up after {attempts} attempts, or at an age of {age} once five attempts were made."
    )
}
