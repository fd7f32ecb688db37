//! A request's headers as the ledger keeps them, and which headers travel no further.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;

/// The usual length of a request's headers, in bytes.
const USUAL_LENGTH: usize = 1024;
/// A map has room for this many lines at most from the start.
const MOST_LINES: usize = 100;
/// Room in a map for further headers: a delivery has its own.
const ROOM: usize = 8;

/// Headers as `name: value` lines, each ended by a line feed: names in lower case, values byte for byte.
///
/// HTTP allows no line feed in a value.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
/// use pylon_receiver::Headers;
///
/// let map = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
/// let headers = Headers::from(&map);
/// assert_eq!(headers.iter().collect::<Vec<_>>(), [("content-type", b"application/json".as_slice())]);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Bytes);

impl Headers {
    /// All headers except those that the function names.
    pub fn without(map: &HeaderMap, is_left_out: impl Fn(&HeaderName) -> bool) -> Self {
        let mut lines = Vec::with_capacity(USUAL_LENGTH);
        for (name, value) in map.iter().filter(|(name, _)| !is_left_out(name)) {
            push_line(&mut lines, name, value.as_bytes());
        }
        Self(lines.into())
    }

    /// All names, with the values of the headers that the function names; the other values become [`NOT_KEPT`](Self::NOT_KEPT).
    pub fn with_values_of(map: &HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) -> Self {
        let mut lines = Vec::with_capacity(USUAL_LENGTH);
        for (name, value) in map {
            push_line(&mut lines, name, if is_kept(name) { value.as_bytes() } else { Self::NOT_KEPT.as_bytes() });
        }
        Self(lines.into())
    }

    /// The same headers and one more.
    #[must_use]
    pub(crate) fn with(self, name: &HeaderName, value: &HeaderValue) -> Self {
        let mut lines = Vec::from(self.0);
        push_line(&mut lines, name, value.as_bytes());
        Self(lines.into())
    }

    /// Replaces a value that is not kept.
    pub const NOT_KEPT: &str = "[not kept]";

    /// The lines as they were stored.
    pub fn from_stored(lines: impl Into<Bytes>) -> Self {
        Self(lines.into())
    }

    /// The lines, to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Names and values in the order of arrival, without lines that are damaged.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((name, line[colon + 1..].strip_prefix(b" ").unwrap_or_default()))
        })
    }

    /// The headers as a map of the `http` crate. The values share the memory of the lines.
    pub fn to_map(&self) -> HeaderMap {
        let lines = self.0.iter().filter(|&&byte| byte == b'\n').count().min(MOST_LINES);
        let mut map = HeaderMap::with_capacity(lines + ROOM);
        for (name, value) in self.iter() {
            let value = HeaderValue::from_maybe_shared(self.0.slice_ref(value));
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
                map.append(name, value);
            }
        }
        map
    }
}

fn push_line(lines: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    lines.extend_from_slice(name.as_str().as_bytes());
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(value);
    lines.push(b'\n');
}

impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Self {
        Self::without(map, |_| false)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be credentials.
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// The prefix of the headers that the receiver itself sends.
pub(crate) const OWN_PREFIX: &str = "x-receiver-";
/// The header with the event's id at the receiver that sends it.
pub(crate) const EVENT_ID: HeaderName = HeaderName::from_static("x-receiver-event-id");
/// The header with the ids that the event had at the receivers before.
pub(crate) const PASSED: HeaderName = HeaderName::from_static("x-receiver-passed");
/// The prefix of Pylon's headers.
pub(crate) const PYLON_PREFIX: &str = "x-pylon-";

/// Whether a header is for one connection only (RFC 9110, section 7.6.1), so that nobody passes it on.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    [CONNECTION, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || name == "keep-alive"
        || name.as_str().starts_with("proxy-")
}

/// Whether the request's `Connection` header names this header, which makes it hop-by-hop too.
///
/// A sender cannot take away the headers that the app needs to read and verify the event.
pub(crate) fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    if name == CONTENT_TYPE || name.as_str().starts_with(PYLON_PREFIX) {
        return false;
    }
    let values = headers.get_all(CONNECTION).into_iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// Whether the name of a header (in lower case) says that its value is a credential: nobody writes it to a file or shows it.
pub(crate) fn is_credential(name: &str) -> bool {
    ["authorization", "cookie", "signature", "token", "secret", "password", "api-key", "apikey"]
        .iter()
        .any(|part| name.contains(part))
}
