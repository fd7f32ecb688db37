//! Counts of everything in the ledger, and the state of each destination.

use super::answer::{Answer, Refusal, json};
use super::fields::Fields;
use super::parts::{AdminParts, Running};
use crate::ledger::{self, SpoolStatus};
use crate::wire::{Destination, DestinationStats, Spool, Stats};
use axum::extract::State;
use http::Uri;
use std::collections::BTreeMap;

pub(super) async fn show(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    Fields::of_query(uri.query())?.finish()?;
    json(&stats_of(&parts).await?)
}

/// The counts, and the state of each destination.
pub(crate) async fn stats_of(parts: &AdminParts) -> Result<Stats, Refusal> {
    let spool = parts.ledger.spool();
    let stats = parts.ledger.stats().await.map_err(|error| match &spool {
        Some(spool) => Refusal::from(error).adding(&beside(spool)),
        None => error.into(),
    })?;
    let ledger::Stats { events, parked, refused, ledger_bytes, .. } = stats;
    let destinations = destinations(stats, parts.running.as_deref());
    Ok(Stats { events, parked, refused, ledger_bytes, destinations, spool: spool.map(shown) })
}

fn shown(spool: SpoolStatus) -> Spool {
    let SpoolStatus { since, events, bytes, size, refused, last_error, .. } = spool;
    Spool { since, events, bytes, size, refused, error: last_error.map(|error| error.to_string()) }
}

/// What is known of the spool where the ledger cannot be read.
fn beside(spool: &SpoolStatus) -> String {
    spool.sentences().iter().map(|sentence| format!("; {sentence}")).collect()
}

/// By name, every destination that has deliveries left or is one of the receiver's.
pub(super) fn destinations(stats: ledger::Stats, running: Option<&dyn Running>) -> Vec<Destination> {
    let orphaned = running.is_some().then_some(true);
    let of_ledger =
        |stats: DestinationStats| Destination { stats, circuit: None, open_for_seconds: None, orphaned, failing: None };
    let mut all: BTreeMap<String, Destination> =
        stats.destinations.into_iter().map(|stats| (stats.destination.clone(), of_ledger(stats))).collect();
    for configured in running.map(Running::destinations).unwrap_or_default() {
        let name = configured.name.to_string();
        let nothing = DestinationStats { destination: name.clone(), ..DestinationStats::default() };
        let entry = all.entry(name).or_insert_with(|| of_ledger(nothing));
        entry.circuit = configured.circuit;
        entry.open_for_seconds = configured.open_for.map(|left| left.as_secs_f64());
        entry.orphaned = Some(false);
        entry.failing = configured.is_failing;
    }
    all.into_values().collect()
}
