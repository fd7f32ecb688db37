//! What one process counts, for Prometheus.

use crate::ledger::CommitObserver;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The beginning of every metric's name.
pub(crate) const PREFIX: &str = "pylon_receiver";

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// The text format of Prometheus, version 0.0.4.
    Text,
    /// The text format of OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Exposition {
    /// The content type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The counters of one process. They begin at zero with it; the ledger's own numbers are [`Stats`](crate::ledger::Stats).
///
/// ```
/// use pylon_receiver::internals::Metrics;
///
/// let metrics = Metrics::new();
/// metrics.accepted(&"support".into());
/// assert!(metrics.encode()?.contains("pylon_receiver_accepted_total{endpoint=\"support\"} 1\n"));
/// # Ok::<(), std::fmt::Error>(())
/// ```
pub struct Metrics {
    registry: Registry,
    accepted: Family<EndpointLabel, Counter>,
    duplicates: Family<EndpointLabel, Counter>,
    refused: Family<RefusedLabels, Counter>,
    connections_refused: Family<ConnectionLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    attempt_seconds: Family<DestinationLabel, Histogram, fn() -> Histogram>,
    commit_jobs: Histogram,
    commit_seconds: Histogram,
    commit_failures: Counter,
    pruned: Counter,
    admin_requests: Family<AccessLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccessLabel {
    access: &'static str,
}

/// How the access of a request to the admin API was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdminAccess {
    /// May read and order.
    Granted,
    /// May know whether the receiver lives and is ready, and shows no token.
    Probe,
    /// Needs a token, and shows none.
    NoToken,
    /// Shows another token.
    WrongToken,
    /// Comes from a web page, through a proxy or under another name.
    Forbidden,
}

impl AdminAccess {
    const ALL: [Self; 5] = [Self::Granted, Self::Probe, Self::NoToken, Self::WrongToken, Self::Forbidden];

    const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Probe => "probe",
            Self::NoToken => "no_token",
            Self::WrongToken => "wrong_token",
            Self::Forbidden => "forbidden",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabel {
    endpoint: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    endpoint: Arc<str>,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    listener: &'static str,
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DestinationLabel {
    pub(crate) destination: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    destination: Arc<str>,
    outcome: &'static str,
}

/// The outcomes of an attempt.
const OUTCOMES: [&str; 5] = ["delivered", "retry", "dead", "released", "fenced"];

/// From a tenth of a millisecond to about half a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 19))
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let metrics = Self {
            accepted: Family::default(),
            duplicates: Family::default(),
            refused: Family::default(),
            connections_refused: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(seconds),
            commit_jobs: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_seconds: seconds(),
            commit_failures: Counter::default(),
            pruned: Counter::default(),
            admin_requests: Family::default(),
            registry: Registry::default(),
        };
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The receiver's version (this process)", build);
        registry.register("accepted", "Events kept and answered 200 (this process)", metrics.accepted.clone());
        registry.register(
            "duplicates",
            "Requests answered 200 as duplicates of a kept event (this process)",
            metrics.duplicates.clone(),
        );
        registry.register("refused", "Requests refused, by the reason (this process)", metrics.refused.clone());
        registry.register(
            "connections_refused",
            "Connections refused or kept waiting, and what came over them that is no request, by the cause (this process)",
            metrics.connections_refused.clone(),
        );
        registry.register("attempts", "Attempts to deliver, by their outcome (this process)", metrics.attempts.clone());
        registry.register_with_unit(
            "attempt_time",
            "Time of an attempt (this process)",
            Unit::Seconds,
            metrics.attempt_seconds.clone(),
        );
        registry.register("commit_batch", "Jobs in one commit (this process)", metrics.commit_jobs.clone());
        registry.register_with_unit(
            "commit_time",
            "Time of one commit (this process)",
            Unit::Seconds,
            metrics.commit_seconds.clone(),
        );
        registry.register("commit_failures", "Commits that failed (this process)", metrics.commit_failures.clone());
        registry.register("pruned", "Events forgotten after their retention (this process)", metrics.pruned.clone());
        registry.register(
            "admin_requests",
            "Requests to the admin API, by how their access was decided (this process)",
            metrics.admin_requests.clone(),
        );
        for access in AdminAccess::ALL {
            drop(metrics.admin_requests.get_or_create(&AccessLabel { access: access.name() }));
        }
        Self { registry, ..metrics }
    }

    /// Shows the counters of an endpoint from the beginning, at zero, so that its first event is seen as a rise.
    pub fn expect_endpoint(&self, endpoint: &Arc<str>) {
        let label = EndpointLabel { endpoint: endpoint.clone() };
        drop(self.accepted.get_or_create(&label));
        drop(self.duplicates.get_or_create(&label));
    }

    /// Shows the counter of a refusal from the beginning, at zero.
    pub fn expect_refusal(&self, endpoint: &Arc<str>, reason: &'static str) {
        drop(self.refused.get_or_create(&RefusedLabels { endpoint: endpoint.clone(), reason }));
    }

    /// Shows the counters of a destination from the beginning, at zero.
    pub fn expect_destination(&self, destination: &Arc<str>) {
        for outcome in OUTCOMES {
            let destination = destination.clone();
            drop(self.attempts.get_or_create(&AttemptLabels { destination, outcome }));
        }
        drop(self.attempt_seconds.get_or_create(&DestinationLabel { destination: destination.clone() }));
    }

    /// An event was kept.
    pub fn accepted(&self, endpoint: &Arc<str>) {
        self.accepted.get_or_create(&EndpointLabel { endpoint: endpoint.clone() }).inc();
    }

    /// A request was a duplicate.
    pub fn duplicate(&self, endpoint: &Arc<str>) {
        self.duplicates.get_or_create(&EndpointLabel { endpoint: endpoint.clone() }).inc();
    }

    /// A request was refused; at no known path the endpoint is empty.
    pub fn refused(&self, endpoint: &Arc<str>, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabels { endpoint: endpoint.clone(), reason }).inc();
    }

    /// Shows a counter of refused connections from the beginning, at zero.
    pub fn expect_connection_refused(&self, listener: &'static str, cause: &'static str) {
        drop(self.connections_refused.get_or_create(&ConnectionLabels { listener, cause }));
    }

    /// A connection was refused or kept waiting, or what came over it was no request.
    pub fn connection_refused(&self, listener: &'static str, cause: &'static str) {
        self.connections_refused.get_or_create(&ConnectionLabels { listener, cause }).inc();
    }

    /// An attempt ended: `delivered`, `retry`, `dead`, `released` or `fenced`.
    pub fn attempted(&self, destination: &Arc<str>, outcome: &'static str, took: Duration) {
        let destination = destination.clone();
        self.attempts.get_or_create(&AttemptLabels { destination: destination.clone(), outcome }).inc();
        self.attempt_seconds.get_or_create(&DestinationLabel { destination }).observe(took.as_secs_f64());
    }

    /// The access of a request to the admin API was decided.
    pub(crate) fn admin_request(&self, access: AdminAccess) {
        self.admin_requests.get_or_create(&AccessLabel { access: access.name() }).inc();
    }

    /// Events were pruned.
    pub fn pruned(&self, events: u64) {
        self.pruned.inc_by(events);
    }

    /// Everything counted, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// None in practice: writing to a text does not fail.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        self.encode_with(&Registry::default(), Exposition::OpenMetrics)
    }

    /// The same and what is in the other registry, in this format.
    pub(crate) fn encode_with(&self, others: &Registry, exposition: Exposition) -> Result<String, fmt::Error> {
        let mut text = String::new();
        for registry in [&self.registry, others] {
            match exposition {
                Exposition::Text => prometheus_text::encode(&mut text, registry)?,
                Exposition::OpenMetrics => encode_registry(&mut text, registry)?,
            }
        }
        if exposition == Exposition::OpenMetrics {
            encode_eof(&mut text)?;
        }
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl CommitObserver for Metrics {
    fn committed(&self, jobs: usize, took: Duration) {
        self.commit_jobs.observe(jobs as f64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    fn failed(&self) {
        self.commit_failures.inc();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
