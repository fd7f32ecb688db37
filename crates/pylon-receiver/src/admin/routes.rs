//! The routes of the API.

use super::answer::{Answer, Refusal, json, unknown_path, wrong_method};
use super::health::Health;
use super::let_in::let_in;
use super::orders::ORDER_LIMIT;
use super::parts::AdminParts;
use super::turns::{self, Turns};
use super::{backup, event, gauges, health, lists, openapi, orders, reassign, stats};
use crate::access::Gate;
use crate::wire::{RunningConfig, path};
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Router};

/// The API behind the gate.
///
/// It needs a tokio runtime: an order is carried out even if its caller hangs up. A listener may add the peer's
/// [`SocketAddr`](std::net::SocketAddr) to a request's extensions: the log names it when a token is refused.
pub(crate) fn router(parts: AdminParts, gate: Gate) -> Router {
    open_router(parts).layer(from_fn_with_state(gate, let_in))
}

/// The API for who has been let in.
pub(super) fn open_router(parts: AdminParts) -> Router {
    let large = Router::new()
        .route(path::EVENTS, get(lists::events))
        .route(path::EVENT, get(event::show))
        .route(path::EVENT_BODY, get(event::body))
        .route(path::DELIVERIES, get(lists::deliveries))
        .route(path::REFUSED, get(lists::refused))
        .route_layer(from_fn_with_state(Turns::default(), turns::take));
    large
        .route(path::LIVENESS, get(health::live))
        .route(path::READINESS, get(health::ready))
        .route(path::METRICS, get(gauges::metrics))
        .route(path::EVENTS_REDELIVER, post(orders::redeliver_events))
        .route(path::DELIVERIES_MOVE, post(reassign::move_deliveries))
        .route(path::DELIVERIES_DROP, post(reassign::drop_deliveries))
        .route(path::DEAD_REDELIVER, post(orders::redeliver_dead))
        .route(path::DEAD_DROP, post(orders::drop_dead))
        .route(path::STATS, get(stats::show))
        .route(path::ACTIVITY, get(activity))
        .route(path::CONFIG, get(config))
        .route(path::OPENAPI, get(openapi::show))
        .route(path::BACKUP, get(backup::get).layer(Extension(backup::Turn::default())))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(Health::new(parts.clone())))
        .layer(DefaultBodyLimit::max(ORDER_LIMIT))
        .with_state(parts)
}

async fn activity(State(parts): State<AdminParts>) -> Answer {
    let running = parts.running.as_ref().ok_or_else(Refusal::not_running)?;
    json(&running.activity())
}

async fn config(State(parts): State<AdminParts>) -> Answer {
    let running = parts.running.as_ref().ok_or_else(Refusal::not_running)?;
    json(&RunningConfig { config: running.config() })
}
