//! Lets callers of the API in, or refuses them in JSON.

use super::answer::Refusal;
use crate::access::{Gate, Surface};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};

/// Tells handlers the [`Caller`](crate::access::Caller). No cache may keep an answer, and no browser may guess its type.
pub(super) async fn let_in(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let mut response = match gate.admit(Surface::Api, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(denied) => Refusal::from(denied).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
