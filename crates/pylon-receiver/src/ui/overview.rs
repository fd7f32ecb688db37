//! The first page: is it well, and what needs me?

use super::filters;
use super::frame::{Frame, Ui};
use super::page::{Answer, page};
use super::spark::Spark;
use crate::access::Caller;
use crate::admin;
use crate::time::Moment;
use crate::wire::{Activity, CircuitStatus, Destination, Spool, Stats};
use askama::Template;
use axum::Extension;
use axum::extract::State;
use http::HeaderMap;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    unmet: Vec<String>,
    durability: Option<String>,
    events: u64,
    parked: u64,
    refused: u64,
    destinations: Vec<Row>,
    /// What is not set up yet.
    missing: Vec<Missing>,
    /// Since when the receiver watches; none: no receiver is running.
    since: Option<Moment>,
    spool: Option<Spool>,
}

struct Row {
    destination: Destination,
    /// Why it is failing.
    why: Option<String>,
    /// None: it is not one of this receiver's.
    spark: Option<Spark>,
}

/// Something that is not set up yet.
struct Missing {
    sentence: String,
    /// Whose set-up says more; none: that of any.
    endpoint: Option<String>,
}

pub(super) async fn show(State(ui): State<Ui>, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Answer {
    let frame = ui.frame(&caller, "").await;
    let stats = admin::stats_of(&ui.parts).await?;
    let unmet = ui.health.unmet().await;
    let durability = ui.parts.ledger.durability().map(|durability| durability.meaning.into());
    let Stats { events, parked, refused, destinations, spool, .. } = stats;
    let activity = ui.parts.running.as_ref().map(|running| running.activity());
    let now = ui.parts.clock.now();
    let row = |destination: Destination| {
        let all = activity.iter().flat_map(|activity| &activity.destinations);
        let seen = all.into_iter().find(|seen| seen.name == destination.stats.destination).map(|seen| &seen.seen);
        let is_failing = destination.failing == Some(true);
        let why = seen.and_then(|seen| seen.latest.first()).filter(|latest| is_failing && !latest.delivered);
        let why = why.map(|latest| latest.detail.clone());
        let spark = seen.filter(|_| destination.circuit.is_some()).map(|seen| Spark::of(&seen.minutes, now));
        Row { destination, why, spark }
    };
    let overview = Overview {
        frame,
        unmet,
        durability,
        events,
        parked,
        refused,
        destinations: destinations.into_iter().map(row).collect(),
        missing: activity.as_ref().map(|activity| missing(activity, events)).unwrap_or_default(),
        since: activity.as_ref().map(|activity| activity.since),
        spool,
    };
    page(&overview, &headers)
}

fn missing(activity: &Activity, events: u64) -> Vec<Missing> {
    let without = activity.endpoints.iter().filter(|endpoint| !endpoint.can_authenticate);
    let secrets = without.map(|endpoint| Missing {
        sentence: format!("The endpoint {} has no secret: it refuses every webhook.", endpoint.name),
        endpoint: Some(endpoint.name.clone()),
    });
    let is_new = events == 0 && !activity.endpoints.is_empty();
    let none = is_new.then(|| Missing { sentence: "No event has come yet.".to_owned(), endpoint: None });
    secrets.chain(none).collect()
}
