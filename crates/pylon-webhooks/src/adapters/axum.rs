//! Routes of axum 0.8 that answer webhook requests, and [`Verified`] as an extractor.
//!
//! ```
//! use pylon_webhooks::{IssueNewEvent, WebhookHandler, axum::webhook_router};
//!
//! let mut handler = WebhookHandler::new("your-webhook-secret")?;
//! handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
//! let app: axum::Router = axum::Router::new().merge(webhook_router(handler, "/webhook"));
//! # Ok::<(), pylon_webhooks::ConfigError>(())
//! ```

use super::event_for_function;
use super::tower::{WebhookService, receive};
use crate::endpoint::{Endpoint, Outcome};
use crate::event::EventType;
use crate::verified::Verified;
use axum::Router;
use axum::extract::{FromRef, FromRequest, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any_service};
use bytes::Bytes;
use http_body_util::Full;

/// A router that answers webhook requests at one path, to merge into the app's own.
///
/// Takes a [`WebhookHandler`](crate::WebhookHandler) or an [`Endpoint`], and a path in axum's form, such as `/webhook`.
pub fn webhook_router<R, S>(endpoint: impl Into<Endpoint<R>>, path: &str) -> Router<S>
where
    R: Send + 'static,
    S: Clone + Send + Sync + 'static,
{
    Router::new().route(path, webhook_route(endpoint))
}

/// A method router for [`Router::route`] that answers webhook requests.
///
/// ```
/// use pylon_webhooks::{WebhookHandler, axum::webhook_route};
///
/// let handler = WebhookHandler::new("your-webhook-secret")?;
/// let app: axum::Router = axum::Router::new().route("/webhook", webhook_route(handler));
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
pub fn webhook_route<R, S>(endpoint: impl Into<Endpoint<R>>) -> MethodRouter<S>
where
    R: Send + 'static,
    S: Clone + Send + Sync + 'static,
{
    any_service(WebhookService::new(endpoint))
}

/// Passes the event of an authentic delivery to an axum function. The state must be the [`Endpoint`] or contain it.
///
/// When the event is of a type that the function does not take, the answer is 200 and the function does not run. An
/// endpoint with a replay guard or a background is not supported: the answer is 500, and the log has the reason.
///
/// ```
/// use pylon_webhooks::{Endpoint, IssueNewEvent, Verified, WebhookHandler};
///
/// async fn webhook(event: Verified<IssueNewEvent>) {
///     println!("New issue: {}", event.issue_title());
/// }
///
/// let endpoint = Endpoint::new(WebhookHandler::new("your-webhook-secret")?);
/// let app: axum::Router = axum::Router::new().route("/webhook", axum::routing::post(webhook)).with_state(endpoint);
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
impl<E, S> FromRequest<S> for Verified<E>
where
    E: EventType,
    S: Send + Sync,
    Endpoint: FromRef<S>,
{
    type Rejection = Outcome;

    async fn from_request(request: Request, state: &S) -> Result<Self, Outcome> {
        let endpoint = Endpoint::from_ref(state);
        endpoint.is_for_functions()?;
        event_for_function(&endpoint, endpoint.receive(receive(&endpoint, request).await?).await?)
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        http::Response::<Full<Bytes>>::from(self).into_response()
    }
}
