//! The metrics for Prometheus: what this process counted, and the present numbers of the ledger.

use super::answer::{Answer, Refusal};
use super::health::Health;
use super::negotiation::exposition;
use super::parts::{AdminParts, Running};
use super::stats::destinations;
use crate::certificate::CertificateEnd;
use crate::ledger::{DeliveryState, Durability, SpoolStatus, Stats};
use crate::metrics::{DestinationLabel, PREFIX};
use crate::time::Moment;
use crate::wire::{CircuitStatus, Destination};
use axum::Extension;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How long the ledger may take to answer; Prometheus waits for ten seconds by default.
const STATS_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn metrics(
    State(parts): State<AdminParts>,
    Extension(health): Extension<Health>,
    headers: HeaderMap,
) -> Answer {
    let now = parts.clock.now();
    let (stats, unmet) = tokio::join!(tokio::time::timeout(STATS_TIMEOUT, parts.ledger.stats()), health.unmet());
    let stats = match stats {
        Ok(Ok(stats)) => Some(stats),
        // The counters are shown all the same: alarms are made of them.
        Ok(Err(error)) => {
            tracing::warn!(%error, "the ledger could not be counted for the metrics");
            None
        }
        Err(_) => {
            tracing::warn!("the ledger could not be counted for the metrics in time");
            None
        }
    };
    let exposition = exposition(&headers);
    let mut gauges = gauges(stats, parts.running.as_deref(), unmet.is_empty(), now);
    if let Some(Durability { disks, .. }) = parts.ledger.durability() {
        let text = "On how many disks an event is before its sender gets 200 (this process)";
        gauges.register("commit_disks", text, number(disks.into()));
    }
    of_spool(parts.ledger.spool().as_ref(), &mut gauges);
    let text = parts
        .metrics
        .encode_with(&gauges, exposition)
        .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics could not be written"))?;
    Ok(([(CONTENT_TYPE, exposition.content_type())], text).into_response())
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    destination: Arc<str>,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabel {
    certificate: Arc<str>,
}

/// The present numbers; of a ledger that cannot be read, only that it cannot.
///
/// Each help text ends with whose number it is: this process's own, or the ledger's, which every receiver that shares it tells alike.
fn gauges(stats: Option<Stats>, running: Option<&dyn Running>, is_ready: bool, now: Moment) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let readable = number(u64::from(stats.is_some()));
    registry.register("ledger_readable", "Whether the ledger could be read for these metrics (this process)", readable);
    registry.register(
        "ready",
        "Whether the receiver is ready, as /readyz says (this process)",
        number(is_ready.into()),
    );
    if let Some(role) = running.map(Running::role) {
        let (accepts, delivers) = (number(role.accepts().into()), number(role.delivers().into()));
        registry.register("accepts", "Whether the receiver accepts webhooks, by its role (this process)", accepts);
        registry.register("delivers", "Whether the receiver makes deliveries, by its role (this process)", delivers);
    }
    let circuits = Family::<DestinationLabel, Gauge>::default();
    registry.register(
        "circuit_open",
        "Whether a destination is down and left alone, except for probes (this process)",
        circuits.clone(),
    );
    let certificates = running.map(Running::certificates).unwrap_or_default();
    if !certificates.is_empty() {
        let expiry = Family::<CertificateLabel, Gauge>::default();
        registry.register_with_unit(
            "certificate_expiry",
            "When a certificate ends, in seconds since 1970 (this process)",
            Unit::Seconds,
            expiry.clone(),
        );
        for CertificateEnd { path, at } in certificates {
            let certificate = path.display().to_string().into();
            expiry.get_or_create(&CertificateLabel { certificate }).set(at.unix_milliseconds().div_euclid(1000));
        }
    }
    let is_read = stats.is_some();
    let stats = stats.unwrap_or_default();
    let (events, parked, refused, bytes) = (stats.events, stats.parked, stats.refused, stats.ledger_bytes);
    let destinations = destinations(stats, running);
    for Destination { stats, circuit, .. } in &destinations {
        if let Some(circuit) = circuit {
            let destination = stats.destination.as_str().into();
            circuits.get_or_create(&DestinationLabel { destination }).set(i64::from(*circuit != CircuitStatus::Closed));
        }
    }
    if !is_read {
        return registry;
    }
    registry.register("events", "Events kept (ledger)", number(events));
    registry.register("parked", "Events kept that were accepted and cannot be delivered (ledger)", number(parked));
    registry.register("refused_kept", "Refused requests kept for the operator to see (ledger)", number(refused));
    registry.register_with_unit(
        "ledger",
        "Size of the ledger with everything that belongs to it (ledger)",
        Unit::Bytes,
        number(bytes),
    );
    let queue = Family::<QueueLabels, Gauge>::default();
    registry.register("queue", "Unfinished and dead deliveries, by their state (ledger)", queue.clone());
    let oldest = Family::<DestinationLabel, Gauge<f64, AtomicU64>>::default();
    registry.register_with_unit(
        "oldest_due_age",
        "For how long the longest due delivery has been due (ledger)",
        Unit::Seconds,
        oldest.clone(),
    );
    for Destination { stats: left, .. } in destinations {
        let destination: Arc<str> = left.destination.into();
        for (state, count) in [
            (DeliveryState::Waiting, left.waiting),
            (DeliveryState::Held, left.held),
            (DeliveryState::Delivering, left.delivering),
            (DeliveryState::Dead, left.dead),
        ] {
            let labels = QueueLabels { destination: destination.clone(), state: state.name() };
            queue.get_or_create(&labels).set(signed(count));
        }
        let age = left.oldest_due_at.map_or(Duration::ZERO, |due_at| now.since(due_at));
        oldest.get_or_create(&DestinationLabel { destination }).set(age.as_secs_f64());
    }
    registry
}

/// What waits in this process's own spool; zero everywhere if it has none, as alerts expect.
fn of_spool(spool: Option<&SpoolStatus>, registry: &mut Registry) {
    let of = |value: fn(&SpoolStatus) -> u64| number(spool.map_or(0, value));
    let spooling = of(|spool| u64::from(spool.since.is_some()));
    registry.register(
        "spooling",
        "Whether new events go to the spool because the ledger is away (this process)",
        spooling,
    );
    let events = of(|spool| spool.events);
    registry.register("spooled_events", "Events in the spool that wait to be handed over (this process)", events);
    let refused = of(|spool| spool.refused);
    registry.register("spooled_refused", "Events in the spool that the ledger refused (this process)", refused);
    let bytes = of(|spool| spool.bytes);
    registry.register_with_unit("spooled", "Size of all events in the spool (this process)", Unit::Bytes, bytes);
    let size = of(|spool| spool.size);
    registry.register_with_unit("spool_size", "Most that events in the spool take (this process)", Unit::Bytes, size);
    let handed_over = ConstCounter::new(spool.map_or(0, |spool| spool.handed_over));
    registry.register("handed_over", "Events handed over from the spool to the ledger (this process)", handed_over);
}

fn number(value: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(signed(value));
    gauge
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
