//! Refused requests: what the sender sees, and what the operator sees.

use super::body::BodyFault;
use crate::config::SecretFault;
use crate::id::EventId;
use crate::ledger::LedgerError;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Response, StatusCode};
use http_body_util::Full;
use pylon_webhooks::{Error, Outcome, RequestFault};
use std::borrow::Cow;
use std::time::Duration;

/// `Retry-After` when the ledger or an operator has to act first, in seconds.
const COME_AGAIN: u64 = 5;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The code of a request that names no endpoint.
pub(super) const UNKNOWN_PATH: &str = "unknown_path";
/// The codes that any endpoint can have.
pub(super) const ALWAYS: &[&str] = &[
    "method_not_allowed",
    "too_large",
    "incomplete_body",
    "body_timeout",
    "memory_full",
    "no_secret",
    "loop_detected",
    "ledger_busy",
    "ledger_closed",
    "ledger_full",
    "ledger_read_only",
    "ledger_unreachable",
    "ledger_unconfirmed",
    "ledger_damaged",
    "ledger_displaced",
    "ledger_in_use",
    "ledger_unknown",
    "ledger_moved",
    "ledger_failed",
];
/// The codes of an endpoint that takes requests from some addresses only.
pub(super) const OF_SOURCES: &[&str] = &["forbidden_source"];
/// The codes of an endpoint that requires a header.
pub(super) const OF_HEADER: &[&str] = &["header_missing", "header_mismatch"];
/// The codes of an endpoint that requires a signature.
pub(super) const OF_SIGNATURE: &[&str] = &[
    "signature_missing",
    "signature_malformed",
    "signature_mismatch",
    "timestamp_missing",
    "timestamp_malformed",
    "timestamp_stale",
    "timestamp_future",
];
/// The code of an endpoint with a rate.
pub(super) const OF_RATE: &[&str] = &["rate_limited"];

/// Why a webhook request is refused.
#[derive(Debug)]
pub(super) struct WebhookRefusal {
    answer: Answer,
    /// A stable code, for the log, metrics and the ring of refused requests.
    pub(super) code: &'static str,
    /// A sentence for the operator; never a header's value or a body.
    pub(super) reason: Cow<'static, str>,
    /// In seconds.
    retry_after: Option<u64>,
}

/// What the sender sees: the class of the refusal, never the reason.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Outcome(Outcome),
    NotFound,
    Forbidden,
    Looped,
    TooMany,
    Timeout,
}

impl Answer {
    fn status(self) -> StatusCode {
        match self {
            Self::Outcome(outcome) => {
                StatusCode::from_u16(outcome.status()).expect("an outcome's status is valid HTTP, as its tests show")
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Looped => StatusCode::LOOP_DETECTED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    const fn body(self) -> &'static str {
        match self {
            Self::Outcome(outcome) => outcome.body(),
            Self::NotFound => r#"{"error":"not_found"}"#,
            Self::Forbidden => r#"{"error":"forbidden"}"#,
            Self::Looped => r#"{"error":"loop_detected"}"#,
            Self::TooMany => r#"{"error":"rate_limited"}"#,
            Self::Timeout => r#"{"error":"timeout"}"#,
        }
    }
}

impl WebhookRefusal {
    fn new(answer: Answer, code: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut known = [&[UNKNOWN_PATH], ALWAYS, OF_SOURCES, OF_HEADER, OF_SIGNATURE, OF_RATE].into_iter().flatten();
        debug_assert!(known.any(|known| *known == code), "{code} is none of the codes that are counted from the start");
        Self { answer, code, reason: reason.into(), retry_after: None }
    }

    fn unauthorized(code: &'static str, reason: String) -> Self {
        Self::new(Answer::Outcome(Outcome::Unauthorized), code, reason)
    }

    fn unavailable(code: &'static str, reason: String) -> Self {
        Self { retry_after: Some(COME_AGAIN), ..Self::new(Answer::Outcome(Outcome::Unavailable), code, reason) }
    }

    /// No endpoint has this path.
    pub(super) fn unknown_path() -> Self {
        Self::new(Answer::NotFound, UNKNOWN_PATH, "unknown path: expected the path of an endpoint, found another")
    }

    /// The endpoint does not take requests from the client's address.
    pub(super) fn forbidden_source(is_behind_unknown_proxy: bool) -> Self {
        let hint = match is_behind_unknown_proxy {
            true => "the request has X-Forwarded-For: if a proxy of yours set it, name the proxy in `trusted_proxies`",
            false => "a test webhook may come from another address than live ones",
        };
        let reason =
            format!("forbidden source: expected an address of the endpoint's `sources`, found another; {hint}");
        Self::new(Answer::Forbidden, "forbidden_source", reason)
    }

    /// The event comes from this ledger itself.
    pub(super) fn looped(id: EventId) -> Self {
        let advice = "check the `url` of the destinations, here and at the receivers in between";
        let reason =
            format!("loop: expected a new event, found one that this receiver itself has sent, as {id}; {advice}");
        Self::new(Answer::Looped, "loop_detected", reason)
    }

    /// The event has gone through more receivers than anybody needs.
    pub(super) fn too_many_receivers(most: usize) -> Self {
        let reason = format!(
            "loop: expected an event that has passed {most} receivers at most, found more; check where they deliver to"
        );
        Self::new(Answer::Looped, "loop_detected", reason)
    }

    /// The endpoint's rate is used up.
    pub(super) fn rate_limited(per_second: f64, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let reason = format!("too many requests: expected at most {per_second} a second, found more");
        Self { retry_after: u64::try_from(seconds).ok(), ..Self::new(Answer::TooMany, "rate_limited", reason) }
    }

    /// A required header is missing.
    pub(super) fn header_missing(name: &HeaderName) -> Self {
        Self::unauthorized(
            "header_missing",
            format!("missing header: expected {name} with its configured value, found no such header"),
        )
    }

    /// A required header has another value.
    pub(super) fn header_mismatch(name: &HeaderName) -> Self {
        Self::unauthorized(
            "header_mismatch",
            format!(
                "header mismatch: expected {name} with its configured value, found another value; check what the sender sends"
            ),
        )
    }

    /// A required header comes more than once: no value is preferred.
    pub(super) fn header_repeated(name: &HeaderName) -> Self {
        Self::unauthorized("header_mismatch", format!("header mismatch: expected {name} once, found it more than once"))
    }

    /// The secret to compare with is missing.
    pub(super) fn no_secret(fault: &SecretFault) -> Self {
        Self::unavailable("no_secret", fault.to_string())
    }

    /// The ledger did not keep the event.
    pub(super) fn not_kept(error: &LedgerError) -> Self {
        let code = match error {
            LedgerError::Busy => "ledger_busy",
            LedgerError::Closed => "ledger_closed",
            LedgerError::Full => "ledger_full",
            LedgerError::ReadOnly => "ledger_read_only",
            LedgerError::Unreachable(_) => "ledger_unreachable",
            LedgerError::Unconfirmed(_) => "ledger_unconfirmed",
            LedgerError::Damaged(_) => "ledger_damaged",
            LedgerError::Displaced(_) => "ledger_displaced",
            LedgerError::InUse(_) => "ledger_in_use",
            LedgerError::Unknown(_) => "ledger_unknown",
            LedgerError::Moved(_) => "ledger_moved",
            LedgerError::Slow => "ledger_slow",
            LedgerError::Failed(_) => "ledger_failed",
        };
        Self::unavailable(code, error.to_string())
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    /// The answer.
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = json(self.answer.status(), Bytes::from_static(self.answer.body().as_bytes()));
        if let Answer::Outcome(outcome) = self.answer {
            for (name, value) in outcome.headers() {
                response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<RequestFault> for WebhookRefusal {
    fn from(fault: RequestFault) -> Self {
        let code = match fault {
            RequestFault::Method => "method_not_allowed",
            RequestFault::TooLarge { .. } => "too_large",
            _ => "incomplete_body",
        };
        Self::new(Answer::Outcome(fault.into()), code, fault.to_string())
    }
}

impl From<BodyFault> for WebhookRefusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Request(fault) => fault.into(),
            BodyFault::Timeout => Self::new(
                Answer::Timeout,
                "body_timeout",
                "slow body: expected the end of the body within the time-out, found it incomplete",
            ),
            BodyFault::NoMemory => Self::unavailable(
                "memory_full",
                "too much at a time: expected room for the body within `limits.body_memory`, found it in use, or half of it by one address; raise the limit"
                    .to_owned(),
            ),
        }
    }
}

impl From<&Error> for WebhookRefusal {
    fn from(error: &Error) -> Self {
        Self::new(Answer::Outcome(Outcome::from(error)), error.code(), error.to_string())
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
