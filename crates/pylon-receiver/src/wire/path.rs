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
/// The list of orders.
pub const ORDERS: &str = "/api/orders";
/// The list of refused requests.
pub const REFUSED: &str = "/api/refused";
/// Counts of events, deliveries and refused requests.
pub const STATS: &str = "/api/stats";
/// The configuration that the receiver runs with.
pub const CONFIG: &str = "/api/config";

/// A copy of the ledger.
pub const BACKUP: &str = "/api/backup";

/// The path of one event.
pub fn event(id: EventId) -> String {
    format!("{EVENTS}/{id}")
}

/// The path of one event's body.
pub fn event_body(id: EventId) -> String {
    format!("{EVENTS}/{id}/body")
}

/// The path of one order.
pub fn order(number: u64) -> String {
    format!("{ORDERS}/{number}")
}

/// The path that cancels an order.
pub fn order_cancel(number: u64) -> String {
    format!("{ORDERS}/{number}/cancel")
}
