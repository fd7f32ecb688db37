//! The routes of the API.

use super::access::{self, Access};
use super::answer::{Answer, Refusal, json, unknown_path, wrong_method};
use super::health::Health;
use super::orders::ORDER_LIMIT;
use super::parts::AdminParts;
use super::turns::{self, Turns};
use super::{backup, event, gauges, health, lists, orders, reassign, stats};
use crate::wire::{RunningConfig, path};
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Router};

/// The API, as a service for a listener.
///
/// It needs a tokio runtime: an order is carried out even if its caller hangs up. A listener may add the peer's
/// [`SocketAddr`](std::net::SocketAddr) to a request's extensions: the log names it when a token is refused.
pub fn router(parts: AdminParts, access: Access) -> Router {
    let metrics = parts.metrics.clone();
    let large = Router::new()
        .route(path::EVENTS, get(lists::events))
        .route(&format!("{}/{{id}}", path::EVENTS), get(event::show))
        .route(&format!("{}/{{id}}/body", path::EVENTS), get(event::body))
        .route(path::DELIVERIES, get(lists::deliveries))
        .route(path::REFUSED, get(lists::refused))
        .route_layer(from_fn_with_state(Turns::default(), turns::take));
    let api = large
        .route(path::LIVENESS, get(health::live))
        .route(path::READINESS, get(health::ready))
        .route(path::METRICS, get(gauges::metrics))
        .route(path::EVENTS_REDELIVER, post(orders::redeliver_events))
        .route(path::DELIVERIES_MOVE, post(reassign::move_deliveries))
        .route(path::DELIVERIES_DROP, post(reassign::drop_deliveries))
        .route(path::DEAD_REDELIVER, post(orders::redeliver_dead))
        .route(path::DEAD_DROP, post(orders::drop_dead))
        .route(path::STATS, get(stats::show))
        .route(path::CONFIG, get(config))
        .route(path::BACKUP, get(backup::get).layer(Extension(backup::Turn::default())))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(Health::new(parts.clone())))
        .layer(DefaultBodyLimit::max(ORDER_LIMIT))
        .with_state(parts);
    access::guard(api, access, metrics)
}

async fn config(State(parts): State<AdminParts>) -> Answer {
    let running = parts.running.as_ref().ok_or_else(Refusal::not_running)?;
    json(&RunningConfig { config: running.config() })
}
