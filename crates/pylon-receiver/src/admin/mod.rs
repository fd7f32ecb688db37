//! What operators ask and order, as an HTTP API: the commands use it, and so will an operator's page.

mod access;
mod answer;
mod content;
mod deliveries;
mod events;
mod fields;
mod filters;
mod gauges;
mod health;
mod orders;
mod refused;
mod selection;
mod stats;

pub use access::Access;

use crate::deliver::CircuitState;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::time::Clock;
use answer::{Answer, Refusal};
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use std::fmt;
use std::sync::Arc;

/// How long an order may be, in bytes.
pub const ORDER_LIMIT: usize = 1024 * 1024;

/// What the API asks and orders.
#[derive(Clone)]
pub struct AdminParts {
    /// What is kept.
    pub ledger: Arc<dyn Ledger>,
    /// The receiver behind it; none: the ledger is only read.
    pub running: Option<Arc<dyn Running>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The present time.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for AdminParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminParts")
    }
}

/// A receiver at work.
pub trait Running: Send + Sync + 'static {
    /// Its destinations, and whether each is taken to be up.
    fn destinations(&self) -> Vec<(Arc<str>, CircuitState)>;

    /// Looks for deliveries that are due now.
    fn wake(&self);

    /// The promises that it cannot keep at present, a sentence each, those of the ledger excepted; empty: it is ready.
    fn unmet(&self) -> Vec<String>;

    /// What holds, as the configuration file would say it; no secrets.
    fn config(&self) -> String;
}

/// The API, to be served by whoever listens.
///
/// It needs a tokio runtime: an order is carried out to its end, also when whoever gave it hangs up. Whoever listens may add the
/// peer's [`SocketAddr`](std::net::SocketAddr) to a request's extensions: it is logged with what was refused for its token.
pub fn router(parts: AdminParts, access: Access) -> Router {
    let api = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready).layer(Extension(health::LastCheck::default())))
        .route("/metrics", get(gauges::metrics))
        .route("/api/events", get(events::list))
        .route("/api/events/redeliver", post(orders::redeliver_events))
        .route("/api/events/{id}", get(events::show))
        .route("/api/events/{id}/body", get(events::body))
        .route("/api/deliveries", get(deliveries::list))
        .route("/api/dead/redeliver", post(orders::redeliver_dead))
        .route("/api/dead/drop", post(orders::drop_dead))
        .route("/api/refused", get(refused::list))
        .route("/api/stats", get(stats::show))
        .route("/api/config", get(config))
        .fallback(answer::unknown_path)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(DefaultBodyLimit::max(ORDER_LIMIT))
        .with_state(parts);
    access::guard(api, access)
}

async fn config(State(parts): State<AdminParts>) -> Answer {
    let running = parts.running.as_ref().ok_or_else(Refusal::not_running)?;
    answer::json(&serde_json::json!({ "config": running.config() }))
}
