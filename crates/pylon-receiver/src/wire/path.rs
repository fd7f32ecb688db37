//! The paths of the admin API.

use crate::id::EventId;

/// Whether the process is alive.
pub const LIVENESS: &str = "/livez";
/// Whether the receiver is ready.
pub const READINESS: &str = "/readyz";
/// The metrics, for Prometheus.
pub const METRICS: &str = "/metrics";
/// The list of events.
pub const EVENTS: &str = "/api/events";
/// One event; [`event`] makes its path.
pub const EVENT: &str = "/api/events/{id}";
/// One event's body; [`event_body`] makes its path.
pub const EVENT_BODY: &str = "/api/events/{id}/body";
/// The order to redeliver events.
pub const EVENTS_REDELIVER: &str = "/api/events/redeliver";
/// The list of deliveries.
pub const DELIVERIES: &str = "/api/deliveries";
/// The order to give the deliveries of a destination to another one.
pub const DELIVERIES_MOVE: &str = "/api/deliveries/move";
/// The order to drop the deliveries of a destination.
pub const DELIVERIES_DROP: &str = "/api/deliveries/drop";
/// The order to redeliver dead deliveries.
pub const DEAD_REDELIVER: &str = "/api/dead/redeliver";
/// The order to drop dead deliveries.
pub const DEAD_DROP: &str = "/api/dead/drop";
/// The list of refused requests.
pub const REFUSED: &str = "/api/refused";
/// Counts of events, deliveries and refused requests.
pub const STATS: &str = "/api/stats";
/// What the running receiver has seen since its start.
pub const ACTIVITY: &str = "/api/activity";
/// The configuration that the receiver runs with.
pub const CONFIG: &str = "/api/config";

/// A copy of the ledger.
pub const BACKUP: &str = "/api/backup";
/// The description of the API, in OpenAPI 3.1.
pub const OPENAPI: &str = "/api/openapi.json";

/// The path of one event.
pub fn event(id: EventId) -> String {
    format!("{EVENTS}/{id}")
}

/// The path of one event's body.
pub fn event_body(id: EventId) -> String {
    format!("{EVENTS}/{id}/body")
}
