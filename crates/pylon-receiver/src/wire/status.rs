//! Health, counts and configuration of a receiver.

use crate::ledger::DestinationStats;
use crate::role::Role;
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Liveness {
    /// Always `live`.
    pub status: LiveStatus,
}

/// The status of a process that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LiveStatus {
    /// Alive.
    Live,
}

/// Whether the receiver keeps its promises at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether it is ready.
    pub status: ReadyStatus,
    /// What the receiver does. Left out for callers without a required token, and where no receiver runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// What an answer of 200 means at present: on how many disks the event is. Left out where nothing is known of it, and for callers
    /// without a required token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<String>,
    /// Why it is not, a sentence for each reason. Left out if it is ready, and for callers without a required token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<Vec<String>>,
    /// What needs care before long, a sentence for each: it does not affect whether the receiver is ready. Left out if there is nothing,
    /// and for callers without a required token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<String>>,
}

/// Whether a receiver is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadyStatus {
    /// Ready.
    Ready,
    /// Not ready.
    NotReady,
}

/// Counts of everything in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Events.
    pub events: u64,
    /// Events that were parked on arrival, redelivered or not.
    pub parked: u64,
    /// Refused requests.
    pub refused: u64,
    /// The size of the ledger, in bytes.
    pub ledger_bytes: u64,
    /// The receiver's destinations and those with unfinished or dead deliveries, by name.
    pub destinations: Vec<Destination>,
    /// The receiver's own spool; left out if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<Spool>,
}

/// What waits in a receiver's spool, for a ledger that is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Spool {
    /// Since when new events go to the spool; left out if they go to the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Events that wait to be handed over.
    pub events: u64,
    /// What all events in the spool take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub size: u64,
    /// Events that the ledger refused. They stay in the spool.
    pub refused: u64,
    /// Why events go to the spool, or could not be handed over. Left out if nothing is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A destination: its unfinished and dead deliveries, and its state in the running receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Destination {
    /// Its deliveries.
    #[serde(flatten)]
    pub stats: DestinationStats,
    /// The circuit; none if it is not configured, the receiver makes no deliveries, or no receiver runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<CircuitStatus>,
    /// How long an open circuit stays open, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_for_seconds: Option<f64>,
    /// Whether it is not configured, so that nobody makes its deliveries; none if no receiver runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphaned: Option<bool>,
    /// Whether it is failing in this receiver: its circuit is not closed, or the latest three attempts failed, or all since the start if
    /// there were fewer. None if it is not configured, the receiver makes no deliveries, or no receiver runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<bool>,
}

/// The status of a destination's circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CircuitStatus {
    /// Deliveries go out.
    Closed,
    /// The destination is taken to be down: no deliveries go out.
    Open,
    /// One delivery finds out whether the destination is up again.
    Probing,
}

impl CircuitStatus {
    /// The name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// The configuration that a receiver runs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningConfig {
    /// The configuration as TOML, with defaults and without secrets.
    pub config: String,
}
