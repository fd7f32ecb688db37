//! How much there is of everything, and which destinations are up.

use super::answer::{Answer, json};
use super::fields::Fields;
use super::{AdminParts, Running};
use crate::deliver::CircuitState;
use crate::ledger::{DestinationStats, Stats};
use axum::extract::State;
use http::Uri;
use serde::Serialize;
use std::collections::BTreeMap;

pub(super) async fn show(State(parts): State<AdminParts>, uri: Uri) -> Answer {
    #[derive(Serialize)]
    struct Shown {
        events: u64,
        parked: u64,
        refused: u64,
        ledger_bytes: u64,
        destinations: Vec<ShownDestination>,
    }
    Fields::of_query(uri.query())?.finish()?;
    let stats = parts.ledger.stats().await?;
    let Stats { events, parked, refused, ledger_bytes, .. } = stats;
    let destinations = destinations(stats, parts.running.as_deref()).into_iter().map(ShownDestination::of).collect();
    json(&Shown { events, parked, refused, ledger_bytes, destinations })
}

/// A destination: what is left for it, and what is known of it.
pub(super) struct Destination {
    /// What is left for it.
    pub(super) left: DestinationStats,
    /// Whether it is one of the receiver's.
    pub(super) known: Known,
}

/// Whether a destination is one of the receiver's.
#[derive(Clone, Copy)]
pub(super) enum Known {
    /// It is, and stands so.
    Configured(CircuitState),
    /// It is not: nobody delivers what is left for it.
    Orphaned,
    /// There is no receiver that could tell.
    Untold,
}

/// Every destination, in the order of their names: those that something is left for, and those of the receiver.
pub(super) fn destinations(stats: Stats, running: Option<&dyn Running>) -> Vec<Destination> {
    let unknown = if running.is_some() { Known::Orphaned } else { Known::Untold };
    let mut all: BTreeMap<String, Destination> = BTreeMap::new();
    for left in stats.destinations {
        all.insert(left.destination.clone(), Destination { left, known: unknown });
    }
    for (name, circuit) in running.map(|running| running.destinations()).unwrap_or_default() {
        let nothing = || DestinationStats { destination: name.to_string(), ..DestinationStats::default() };
        let entry = all.entry(name.to_string()).or_insert_with(|| Destination { left: nothing(), known: unknown });
        entry.known = Known::Configured(circuit);
    }
    all.into_values().collect()
}

#[derive(Serialize)]
struct ShownDestination {
    #[serde(flatten)]
    left: DestinationStats,
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_for_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orphaned: Option<bool>,
}

impl ShownDestination {
    fn of(Destination { left, known }: Destination) -> Self {
        let (circuit, open_for_seconds, orphaned) = match known {
            Known::Configured(CircuitState::Closed) => (Some("closed"), None, Some(false)),
            Known::Configured(CircuitState::Open(left)) => (Some("open"), Some(left.as_secs_f64()), Some(false)),
            Known::Configured(CircuitState::Probing) => (Some("probing"), None, Some(false)),
            Known::Orphaned => (None, None, Some(true)),
            Known::Untold => (None, None, None),
        };
        Self { left, circuit, open_for_seconds, orphaned }
    }
}
