//! Which headers of a request are stored.

use crate::headers::{
    Headers, OWN_PREFIX, PYLON_PREFIX, folded, is_hop_by_hop, is_named_by_connection, is_of_encoding,
    is_of_one_exchange,
};
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};

/// The headers of a refused request whose values are kept.
const SHOWN: [&str; 14] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-pylon-timestamp",
];

/// What an accepted event's body is, as far as its headers must say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadAs {
    /// JSON, hence text without an encoding.
    Json,
    /// Bytes that are kept as they came.
    Bytes,
}

/// The headers of an accepted event that are kept, and that its destinations get; and how many more were dropped because they were
/// too many or too long.
///
/// These are left out:
/// - hop-by-hop headers (RFC 9110, section 7.6.1);
/// - the receiver's own headers, `x-receiver-*`;
/// - headers that any endpoint requires: the value is a long-lived secret, and it has done its work;
/// - an encoding, if the body was read as JSON;
/// - names that some servers take for another one of these, for `x-pylon-*`, or for another header of the request.
///
/// Anyone who knows one signed body can send it again with other headers.
///
/// The signature is kept, so that the app can verify it again. `Authorization` and `Cookie` are kept unless an endpoint requires
/// them: they are for the app.
pub(super) fn of_event(
    headers: &HeaderMap,
    body: ReadAs,
    is_required: impl Fn(&HeaderName) -> bool,
) -> (Headers, usize) {
    // Most requests have no `Connection` header: look it up once.
    let has_connection = headers.contains_key(CONNECTION);
    Headers::bounded(headers, |header| {
        let name = header.as_str();
        is_hop_by_hop(name)
            || has_connection && is_named_by_connection(headers, header)
            || name.starts_with(OWN_PREFIX)
            || body == ReadAs::Json && is_of_encoding(name)
            || is_twin(headers, name)
            || is_required(header)
    })
}

/// The headers of a refused request, for the operator, within limits: the names, and the values of those that are never credentials. Any other
/// header may be a credential that is valid once the configuration is repaired.
pub(super) fn of_refused(headers: &HeaderMap, is_required: impl Fn(&HeaderName) -> bool) -> Headers {
    Headers::with_values_of(headers, |name| SHOWN.contains(&name.as_str()) && !is_required(name))
}

/// Whether some servers take the name for one of ours, for Pylon's, or for another header of the request: they read `_` as `-`.
fn is_twin(headers: &HeaderMap, name: &str) -> bool {
    folded(name).is_some_and(|name| {
        name.starts_with(OWN_PREFIX)
            || name.starts_with(PYLON_PREFIX)
            || name.starts_with("content-")
            || name == "host"
            || is_hop_by_hop(&name)
            || is_of_one_exchange(&name)
            || headers.contains_key(name)
    })
}
