//! What to answer a request: status, small JSON body, headers.

use crate::arrival::RequestFault;
use crate::error::Error;
use std::fmt;

/// The result of a request, as the sender sees it. It shows the class of a refusal, never the reason.
///
/// ```
/// use pylon_webhooks::Outcome;
///
/// assert_eq!(Outcome::Unauthorized.status(), 401);
/// assert_eq!(Outcome::Unauthorized.body(), r#"{"error":"unauthorized"}"#);
/// assert_eq!(Outcome::MethodNotAllowed.headers(), [("content-type", "application/json"), ("allow", "POST, PUT, PATCH")]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use]
pub enum Outcome {
    /// All handlers ran.
    Handled,
    /// The handlers will run in the background.
    Accepted,
    /// The replay guard has seen the delivery before. No handler ran.
    Duplicate,
    /// An authentic event of a type that the function does not take. The function did not run.
    Ignored,
    /// The body is not JSON or is incomplete.
    Unreadable,
    /// The signature or the timestamp was refused.
    Unauthorized,
    /// The method is not POST, PUT or PATCH.
    MethodNotAllowed,
    /// The request has no length, and the server gives the app no body without one.
    LengthRequired,
    /// The body is larger than the limit.
    TooLarge,
    /// A handler, the replay store or the clock failed. The sender can retry.
    Failed,
    /// The app is shutting down, has no room for more events, or is handling a copy. The sender can retry.
    Unavailable,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: &'static [Self] = &[
        Self::Handled,
        Self::Accepted,
        Self::Duplicate,
        Self::Ignored,
        Self::Unreadable,
        Self::Unauthorized,
        Self::MethodNotAllowed,
        Self::LengthRequired,
        Self::TooLarge,
        Self::Failed,
        Self::Unavailable,
    ];

    /// A stable name, for logs and metrics: `handled`, `unauthorized`...
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Unreadable => "unreadable",
            Self::Unauthorized => "unauthorized",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::LengthRequired => "length_required",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
        }
    }

    /// The status code to answer with.
    pub const fn status(self) -> u16 {
        match self {
            Self::Handled | Self::Accepted | Self::Duplicate | Self::Ignored => 200,
            Self::Unreadable => 400,
            Self::Unauthorized => 401,
            Self::MethodNotAllowed => 405,
            Self::LengthRequired => 411,
            Self::TooLarge => 413,
            Self::Failed => 500,
            Self::Unavailable => 503,
        }
    }

    /// The JSON body to answer with. A HEAD request is answered without a body.
    pub const fn body(self) -> &'static str {
        match self {
            Self::Handled => r#"{"status":"handled"}"#,
            Self::Accepted => r#"{"status":"accepted"}"#,
            Self::Duplicate => r#"{"status":"duplicate"}"#,
            Self::Ignored => r#"{"status":"ignored"}"#,
            Self::Unreadable => r#"{"error":"unreadable"}"#,
            Self::Unauthorized => r#"{"error":"unauthorized"}"#,
            Self::MethodNotAllowed => r#"{"error":"method_not_allowed"}"#,
            Self::LengthRequired => r#"{"error":"length_required"}"#,
            Self::TooLarge => r#"{"error":"too_large"}"#,
            Self::Failed => r#"{"error":"failed"}"#,
            Self::Unavailable => r#"{"error":"unavailable"}"#,
        }
    }

    /// The headers to answer with, except the body's length. Names are in lower case.
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        const JSON: (&str, &str) = ("content-type", "application/json");
        match self {
            Self::MethodNotAllowed => &[JSON, ("allow", "POST, PUT, PATCH")],
            _ => &[JSON],
        }
    }

    /// What to answer a delivery that failed with an error of this code.
    pub(crate) fn of_code(code: &str) -> Self {
        match code {
            "signature_missing" | "signature_malformed" | "signature_mismatch" => Self::Unauthorized,
            "timestamp_missing" | "timestamp_malformed" | "timestamp_stale" | "timestamp_future" => Self::Unauthorized,
            "payload" => Self::Unreadable,
            // An unknown code is not a forgery.
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What to answer a request that was refused before its signature was checked.
///
/// ```
/// use pylon_webhooks::{Outcome, RequestFault};
///
/// assert_eq!(Outcome::from(RequestFault::Method), Outcome::MethodNotAllowed);
/// ```
impl From<RequestFault> for Outcome {
    fn from(fault: RequestFault) -> Self {
        match fault {
            RequestFault::Method => Self::MethodNotAllowed,
            RequestFault::TooLarge { .. } => Self::TooLarge,
            RequestFault::Incomplete { .. } | RequestFault::Broken | RequestFault::BrokenEncoded { .. } => {
                Self::Unreadable
            }
            RequestFault::LengthRequired => Self::LengthRequired,
            // The app's own fault. The sender can retry once it is fixed.
            RequestFault::Consumed => Self::Failed,
        }
    }
}

impl From<&Error> for Outcome {
    fn from(error: &Error) -> Self {
        Self::of_code(error.code())
    }
}
