//! What is answered: JSON, and refusals as JSON.

use crate::ledger::LedgerError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::json;
use std::borrow::Cow;

/// What a request comes to.
pub(super) type Answer = Result<Response, Refusal>;

/// An answer of 200 with this in it.
pub(super) fn json(value: &impl Serialize) -> Answer {
    Ok(Json(value).into_response())
}

/// A request that is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: Cow<'static, str>,
    message: String,
}

impl Refusal {
    /// This status, under a stable name, with a sentence.
    pub(super) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error: error.into(), message: message.into() }
    }

    /// 400: what was asked is not of the form it has to have.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401: no token, or another one.
    pub(super) fn unauthorized() -> Self {
        let message = "unauthorized: expected the header `authorization: Bearer` with the admin token, found another or none; present the token";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 409: there is no receiver to do it.
    pub(super) fn not_running() -> Self {
        let message = "no receiver is running: expected one, found a ledger that is only read; start the receiver, and ask its own admin address";
        Self::new(StatusCode::CONFLICT, "not_running", message)
    }

    /// The same, with something more to know.
    pub(super) fn adding(mut self, more: &str) -> Self {
        self.message.push_str(more);
        self
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        let name = format!("ledger_{}", error.code());
        Self { error: name.into(), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "", error.to_string()) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.error, "message": self.message }));
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"pylon-receiver\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The answer to a path that there is not.
pub(super) async fn unknown_path() -> Refusal {
    let message = "unknown path: expected one under /api/, /livez, /readyz or /metrics, found another";
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
}

/// The answer to a method that the path does not have.
pub(super) async fn wrong_method() -> Refusal {
    let message = "wrong method: expected one that the header allow names, found another";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
