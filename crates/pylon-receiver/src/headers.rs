//! A request's headers as they are kept: the lines that arrived, byte for byte.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;

/// Headers as `name: value` lines, each ended by a line feed; names in lower case, values byte for byte.
///
/// No value holds a line feed, for HTTP has none there.
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
    /// The headers but those that the function names.
    pub fn without(map: &HeaderMap, is_left_out: impl Fn(&HeaderName) -> bool) -> Self {
        let kept = || map.iter().filter(|(name, _)| !is_left_out(name));
        let length = kept().map(|(name, value)| name.as_str().len() + value.len() + 3).sum();
        let mut lines = Vec::with_capacity(length);
        for (name, value) in kept() {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.push(b'\n');
        }
        Self(lines.into())
    }

    /// All names, and the values of those headers that the function names; in the place of the others stands [`NOT_KEPT`](Self::NOT_KEPT).
    pub fn with_values_of(map: &HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) -> Self {
        let mut lines = Vec::new();
        for (name, value) in map {
            let value = if is_kept(name) { value.as_bytes() } else { Self::NOT_KEPT.as_bytes() };
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value);
            lines.push(b'\n');
        }
        Self(lines.into())
    }

    /// What stands in the place of a value that is not kept.
    pub const NOT_KEPT: &str = "[not kept]";

    /// The lines as they were stored.
    pub fn from_stored(lines: impl Into<Bytes>) -> Self {
        Self(lines.into())
    }

    /// The lines, to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Names and values, in the order in which they came; what is damaged on the disk is left out.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((name, line[colon + 1..].strip_prefix(b" ").unwrap_or_default()))
        })
    }

    /// The headers as the `http` crate has them.
    pub fn to_map(&self) -> HeaderMap {
        let pairs = self.iter().filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        map
    }
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

/// Whether the value of a header may let its reader pass for the sender. The name is in lower case.
pub(crate) fn is_credential(name: &str) -> bool {
    ["authorization", "cookie", "signature", "token", "secret", "password", "api-key", "apikey"]
        .iter()
        .any(|part| name.contains(part))
}

/// Whether a header belongs to one connection or one message, so that it must not travel on. What the header `Connection` names
/// belongs to the connection too.
pub(crate) fn is_of_one_connection(name: &HeaderName) -> bool {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    let of_one_connection =
        [CONNECTION, KEEP_ALIVE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, HOST, CONTENT_LENGTH, EXPECT];
    of_one_connection.contains(name) || name.as_str().starts_with("proxy-")
}
