//! The spans of the receiver's own work: `webhook` for a request, `deliver` for an attempt.
//!
//! They are for whoever collects traces, not for the log: at the level TRACE, with a target of their own, so that they cost
//! next to nothing where nobody asks for them. They never hold a body, a secret, or the value of a header.

use crate::deliver::Attempt;
use tracing::Span;
use tracing::field::Empty;

/// The target of every span.
pub const TARGET: &str = "pylon_receiver::traces";

/// The span of a webhook request; `outcome` is `accepted`, `duplicate` or `refused`, the latter with the refusal's `code`.
///
/// A request whose sender has hung up before that has no outcome.
pub(crate) fn webhook() -> Span {
    tracing::trace_span!(target: TARGET, parent: None, "webhook", endpoint = Empty, outcome = Empty, code = Empty, event_id = Empty)
}

/// The span of an attempt to deliver; `outcome` is what the metrics call it, `status` the HTTP status or the exit code.
///
/// An attempt that is broken off has no outcome.
pub(crate) fn deliver(attempt: &Attempt, destination: &str) -> Span {
    tracing::trace_span!(target: TARGET, parent: None, "deliver",
        event_id = %attempt.event(), destination, attempt = attempt.number, outcome = Empty, status = Empty)
}
