//! Which headers of a request are stored.

use crate::headers::{Headers, OWN_PREFIX, PYLON_PREFIX, is_hop_by_hop, is_named_by_connection};
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

/// The headers of an accepted event that are kept, and that its destinations get.
///
/// These are left out:
/// - hop-by-hop headers (RFC 9110, section 7.6.1);
/// - the receiver's own headers, `x-receiver-*`;
/// - headers that any endpoint requires: the value is a long-lived secret, and it has done its work;
/// - names with `_` that some servers take for `x-receiver-*` or `x-pylon-*`: anyone who knows one signed body can send it again with
///   other headers.
///
/// The signature is kept, so that the app can verify it again. `Authorization` and `Cookie` are kept unless an endpoint requires
/// them: they are for the app.
pub(super) fn of_event(headers: &HeaderMap, is_required: impl Fn(&HeaderName) -> bool) -> Headers {
    // Most requests have no `Connection` header: look it up once.
    let has_connection = headers.contains_key(CONNECTION);
    Headers::without(headers, |name| {
        is_hop_by_hop(name)
            || has_connection && is_named_by_connection(headers, name)
            || name.as_str().starts_with(OWN_PREFIX)
            || is_twin(name)
            || is_required(name)
    })
}

/// The headers of a refused request, for the operator, within limits: the names, and the values of those that are never credentials. Any other
/// header may be a credential that is valid once the configuration is repaired.
pub(super) fn of_refused(headers: &HeaderMap, is_required: impl Fn(&HeaderName) -> bool) -> Headers {
    Headers::with_values_of(headers, |name| SHOWN.contains(&name.as_str()) && !is_required(name))
}

/// Whether some servers take the name for one of ours or Pylon's: they read `_` as `-`.
fn is_twin(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && {
        let name = name.replace('_', "-");
        name.starts_with(OWN_PREFIX) || name.starts_with(PYLON_PREFIX)
    }
}
