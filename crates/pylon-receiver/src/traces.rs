//! The spans of the receiver's own work: `webhook` for a request, `deliver` for an attempt.
//!
//! The spans are for a collector of traces, not for the log. They have the level TRACE and a target of their own, so they cost
//! next to nothing without a subscriber. They never hold a body, a secret, or the value of a header.

use crate::id::EventId;
use tracing::Span;
use tracing::field::Empty;

/// The target of every span.
pub const TARGET: &str = "pylon_receiver::traces";

/// The span of a webhook request; `outcome` is `accepted`, `duplicate` or `refused`, the latter with the refusal's `code`.
///
/// A request whose sender hangs up earlier has no outcome.
pub(crate) fn webhook() -> Span {
    tracing::trace_span!(target: TARGET, parent: None, "webhook", endpoint = Empty, outcome = Empty, code = Empty, event_id = Empty)
}

/// The span of an attempt to deliver; `outcome` is the label of the metrics, `status` the HTTP status or the exit code.
///
/// An attempt that is aborted has no outcome.
pub(crate) fn deliver(event: EventId, destination: &str, attempt: u32) -> Span {
    tracing::trace_span!(target: TARGET, parent: None, "deliver",
        event_id = %event, destination, attempt, outcome = Empty, status = Empty)
}
