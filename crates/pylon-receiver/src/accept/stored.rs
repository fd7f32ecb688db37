//! Which headers of a request are stored.

use crate::headers::{Headers, OWN_PREFIX, PYLON_PREFIX, is_hop_by_hop, is_named_by_connection};
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};

/// The headers whose values are kept of a refused request.
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
/// All but those that speak of the connection alone (RFC 9110, section 7.6.1), those that the receiver itself sends, and the
/// headers that endpoints require: what one proves is proven, and its value is a standing secret that is not to lie on the disk.
/// So are names with underscores that some servers take for one of these or for Pylon's, since whoever knows one signed body can
/// send it again with other headers. The signature stays, for the app may verify it again; so do `Authorization` and `Cookie`
/// where the endpoint does not require
/// them, for then they are meant for the app.
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

/// The headers of a refused request, for the operator to see: every name, and the values of those that are no credential
/// anywhere. A header of any other name may be one, with which the same sender is believed once the configuration is mended.
pub(super) fn of_refused(headers: &HeaderMap, is_required: impl Fn(&HeaderName) -> bool) -> Headers {
    Headers::with_values_of(headers, |name| SHOWN.contains(&name.as_str()) && !is_required(name))
}

/// Whether some servers take the name for one of ours or of Pylon's: to them, `_` is `-`.
fn is_twin(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && {
        let name = name.replace('_', "-");
        name.starts_with(OWN_PREFIX) || name.starts_with(PYLON_PREFIX)
    }
}
