//! Answers in JSON, and refusals.

use crate::access::Denied;
use crate::ledger::LedgerError;
use crate::wire::ErrorAnswer;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use std::borrow::Cow;

/// The answer to a request.
pub(super) type Answer = Result<Response, Refusal>;

/// 200 with this value.
pub(super) fn json(value: &impl Serialize) -> Answer {
    Ok(Json(value).into_response())
}

/// A request that the API refuses.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: Cow<'static, str>,
    message: String,
}

impl Refusal {
    /// This status with a stable code and a sentence.
    pub(crate) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error: error.into(), message: message.into() }
    }

    /// 400: the request is malformed.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 409: no receiver runs that could do it.
    pub(super) fn not_running() -> Self {
        let message = "no receiver is running: expected one, found a ledger that is only read; start the receiver, and ask its own admin address";
        Self::new(StatusCode::CONFLICT, "not_running", message)
    }

    /// The status and the sentence.
    pub(crate) fn into_parts(self) -> (StatusCode, String) {
        (self.status, self.message)
    }

    /// Adds to the sentence.
    pub(super) fn adding(mut self, more: &str) -> Self {
        self.message.push_str(more);
        self
    }
}

impl From<Denied> for Refusal {
    fn from(Denied { status, code, message }: Denied) -> Self {
        Self::new(status, code, message)
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        let code = format!("ledger_{}", error.code());
        Self { error: code.into(), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "", error.to_string()) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = ErrorAnswer { error: self.error.into_owned(), message: self.message };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"pylon-receiver\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The answer to an unknown path.
pub(super) async fn unknown_path() -> Refusal {
    let message = "unknown path: expected one under /api/, /livez, /readyz or /metrics, found another";
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
}

/// The answer to a method that the path does not support.
pub(super) async fn wrong_method() -> Refusal {
    let message = "wrong method: expected one that the header allow names, found another";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
