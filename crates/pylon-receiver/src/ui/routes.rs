//! The routes of the page.

use super::frame::{Identity, Ui};
use super::let_in::{let_in, protect};
use super::page::Problem;
use super::{assets, dead, destination, event, events, health, help, overview, refused, send_again, setup, sign_in};
use crate::access::Gate;
use crate::admin::{AdminParts, Health};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{get, post};
use http::StatusCode;

/// The longest form, in bytes.
const FORM_LIMIT: usize = 64 * 1024;

/// The operator's page, under `/ui/`.
pub(crate) fn pages(parts: AdminParts, gate: Gate, identity: Identity) -> Router {
    let has_sessions = gate.has_sessions();
    let ui = Ui { health: Health::new(parts.clone()), parts, identity, has_sessions };
    let guarded = Router::new()
        .route("/ui/", get(overview::show))
        .route("/ui/events", get(events::show))
        .route("/ui/events/{id}", get(event::show))
        .route("/ui/events/{id}/body", get(event::body))
        .route("/ui/events/{id}/send-again", post(send_again::event))
        .route("/ui/dead", get(dead::show))
        .route("/ui/refused", get(refused::show))
        .route("/ui/destinations/{name}", get(destination::show))
        .route("/ui/setup", get(setup::show))
        .route("/ui/health", get(health::show))
        .route("/ui/{*unknown}", get(unknown))
        .route_layer(from_fn_with_state(gate.clone(), let_in))
        .with_state(ui.clone());
    // What is asked for before anybody is known.
    let open = Router::new()
        .route("/ui/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/ui/sign-out", post(sign_in::sign_out))
        .with_state((ui, gate))
        .route("/ui/help", get(help::show))
        .route("/ui/assets/{name}", get(assets::show))
        // Relative, so that a prefix of a proxy stays.
        .route("/", get(|| async { Redirect::to("ui/") }))
        .route("/ui", get(|| async { Redirect::to("ui/") }));
    guarded.merge(open).layer(DefaultBodyLimit::max(FORM_LIMIT)).layer(from_fn(protect))
}

async fn unknown(uri: http::Uri) -> Problem {
    let message = "there is no such page: expected one that a link of this page leads to";
    Problem::new(StatusCode::NOT_FOUND, message, super::let_in::root_of(&uri))
}
