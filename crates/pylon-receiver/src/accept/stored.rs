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

/// The headers of an accepted event, as its destinations get them.
///
/// These headers are left out:
/// - hop-by-hop headers,
/// - those that the receiver itself sends,
/// - those that endpoints require: the check is done, and the value is a long-lived secret that must not be on disk,
/// - names with underscores that some servers take for one of these or for Pylon's: an attacker who knows one signed body could
///   send it again with such headers.
///
/// The signature stays, so that the app can verify it again. So do `Authorization` and `Cookie` unless the endpoint requires them:
/// then they are for the app.
pub(super) fn of_event(headers: &HeaderMap, is_required: impl Fn(&HeaderName) -> bool) -> Headers {
    // Most requests have none, and need not be asked for it with each name.
    let has_connection = headers.contains_key(CONNECTION);
    Headers::without(headers, |name| {
        is_hop_by_hop(name)
            || has_connection && is_named_by_connection(headers, name)
            || name.as_str().starts_with(OWN_PREFIX)
            || is_twin(name)
            || is_required(name)
    })
}

/// The headers of a refused request, for the operator: every name, and the values of headers that never hold a credential. Any other
/// header may be the one that proves the sender once the configuration is corrected.
pub(super) fn of_refused(headers: &HeaderMap, is_required: impl Fn(&HeaderName) -> bool) -> Headers {
    Headers::with_values_of(headers, |name| SHOWN.contains(&name.as_str()) && !is_required(name))
}

/// Whether some servers take the name for a header of the receiver or of Pylon: to them, `_` is `-`.
fn is_twin(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && {
        let name = name.replace('_', "-");
        name.starts_with(OWN_PREFIX) || name.starts_with(PYLON_PREFIX)
    }
}
