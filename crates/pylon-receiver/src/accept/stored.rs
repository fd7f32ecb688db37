//! Which headers of a request are stored.

use crate::headers::Headers;
use http::header::{
    CONNECTION, CONTENT_TYPE, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

/// The headers that are the receiver's own to send.
const OURS: &str = "x-receiver-";
/// Those of Pylon.
const PYLONS: &str = "x-pylon-";
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
        is_of_connection(name)
            || has_connection && is_named_by_connection(headers, name)
            || name.as_str().starts_with(OURS)
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
        name.starts_with(OURS) || name.starts_with(PYLONS)
    }
}

fn is_of_connection(name: &HeaderName) -> bool {
    const KEEP_ALIVE: &str = "keep-alive";
    const PROXY_CONNECTION: &str = "proxy-connection";
    [CONNECTION, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE]
        .contains(name)
        || [KEEP_ALIVE, PROXY_CONNECTION].contains(&name.as_str())
}

/// Whether `Connection` names it: such a header was for the next hop, and that was us.
///
/// Those that the app needs to read and verify the event are not the sender's to take away.
fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    if name == CONTENT_TYPE || name.as_str().starts_with(PYLONS) {
        return false;
    }
    let values = headers.get_all(CONNECTION).into_iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}
