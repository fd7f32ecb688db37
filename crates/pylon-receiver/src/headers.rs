//! A request's headers as the ledger keeps them, and which headers travel no further.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::ops::Range;

/// How many headers of a request are kept. Pylon sends about ten, and the proxies on the way add as many.
const MOST: usize = 64;
/// The length of the headers that are kept, in bytes. Many servers answer 431 or 400 to a head of more than 8 or 16 KiB.
const MOST_BYTES: usize = 8 * 1024;
/// The longest header that is kept, in bytes. Part of a value may mean something else, so a longer header is dropped.
const LONGEST: usize = 4 * 1024;
/// The headers that are kept before all others, whatever else a sender fills the room with: what the app needs to verify and read
/// the event, then what the proxies in front of the receiver say.
const FIRST: [&str; 13] = [
    "x-pylon-signature",
    "x-pylon-timestamp",
    "content-type",
    "content-encoding",
    "authorization",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "traceparent",
];

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

    /// The headers except those that the function names, at most 64 of them and 8 KiB. If more were dropped, a line
    /// [`DROPPED`] at the end says how many.
    pub(crate) fn bounded(map: &HeaderMap, is_left_out: impl Fn(&HeaderName) -> bool) -> (Self, usize) {
        let mut lines = Vec::with_capacity(USUAL_LENGTH);
        let (mut count, mut longest) = (0, 0);
        for (name, value) in map.iter().filter(|(name, _)| !is_left_out(name)) {
            let begin = lines.len();
            push_line(&mut lines, name, value.as_bytes());
            count += 1;
            longest = longest.max(lines.len() - begin);
        }
        if count <= MOST && lines.len() <= MOST_BYTES && longest <= LONGEST {
            return (Self(lines.into()), 0);
        }
        let kept = fitting(&lines);
        let dropped = count - kept.len();
        let mut fit = Vec::with_capacity(MOST_BYTES + USUAL_LENGTH);
        kept.into_iter().for_each(|line| fit.extend_from_slice(&lines[line]));
        push_line(&mut fit, &DROPPED, dropped.to_string().as_bytes());
        (Self(fit.into()), dropped)
    }

    /// The names, with the values of the headers that the function names; the other values become [`NOT_KEPT`](Self::NOT_KEPT).
    ///
    /// The headers are a stranger's, so their beginning has to do: a value is cut after 256 bytes, and what is beyond 50 headers or 4 KiB
    /// is left out. A line `x-receiver-dropped-headers` at the end says how many headers that are.
    pub fn with_values_of(map: &HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) -> Self {
        const MOST: usize = 50;
        const LONGEST_VALUE: usize = 256;
        const LONGEST: usize = 4096;
        let mut lines = Vec::with_capacity(USUAL_LENGTH);
        let (mut kept, mut dropped) = (0, 0);
        for (name, value) in map {
            let value = if is_kept(name) { value.as_bytes() } else { Self::NOT_KEPT.as_bytes() };
            let (value, cut) = match value.get(..LONGEST_VALUE) {
                Some(beginning) if beginning.len() < value.len() => (beginning, "..."),
                _ => (value, ""),
            };
            let length = lines.len() + name.as_str().len() + value.len();
            if kept == MOST || length > LONGEST {
                dropped += 1;
                continue;
            }
            kept += 1;
            push_line(&mut lines, name, &[value, cut.as_bytes()].concat());
        }
        if dropped > 0 {
            push_line(&mut lines, &DROPPED, dropped.to_string().as_bytes());
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

/// The lines that fit into the bounds, in their order.
fn fitting(lines: &[u8]) -> Vec<Range<usize>> {
    let mut end = 0;
    let all = lines.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let range = end..end + line.len();
        end = range.end;
        range
    });
    let mut by_rank: Vec<_> = all.filter(|line| line.len() <= LONGEST).collect();
    by_rank.sort_by_key(|line| {
        let name = lines[line.clone()].split(|&byte| byte == b':').next().unwrap_or_default();
        FIRST.iter().position(|first| first.as_bytes() == name).unwrap_or(FIRST.len())
    });
    let (mut kept, mut length) = (Vec::with_capacity(MOST), 0);
    for line in by_rank {
        if kept.len() < MOST && length + line.len() <= MOST_BYTES {
            length += line.len();
            kept.push(line);
        }
    }
    kept.sort_by_key(|line| line.start);
    kept
}

/// The prefix of the headers that the receiver itself sends.
pub(crate) const OWN_PREFIX: &str = "x-receiver-";
/// The header with the event's id at the receiver that sends it.
pub(crate) const EVENT_ID: HeaderName = HeaderName::from_static("x-receiver-event-id");
/// The header with the ids that the event had at the receivers before.
pub(crate) const PASSED: HeaderName = HeaderName::from_static("x-receiver-passed");
/// The prefix of Pylon's headers.
pub(crate) const PYLON_PREFIX: &str = "x-pylon-";
/// How many headers of the request were dropped because they were too many or too long. It stands among the stored headers, and
/// goes out with them.
pub(crate) const DROPPED: HeaderName = HeaderName::from_static("x-receiver-dropped-headers");

/// Whether a header is for one connection only (RFC 9110, section 7.6.1), so that nobody passes it on. Names are in lower case.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "expect" | "http2-settings" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    ) || name.starts_with("proxy-")
}

/// Whether a header says that the body's bytes are encoded. That is not true of a body that was read as JSON.
pub(crate) fn is_of_encoding(name: &str) -> bool {
    matches!(name, "content-encoding" | "content-transfer-encoding")
}

/// Whether a header tells of the exchange in which the request came: it is not true of another request with the same body. A sender
/// that knows one signed body can send the body again with any headers, and many of these make an app refuse it or run something
/// else.
///
/// | Names | What they say |
/// | --- | --- |
/// | `accept`, `accept-*`, `want-*` | which answers the sender takes |
/// | `if`, `if-*`, `range`, `content-range`, `early-data` | under which condition the request counts, or which part of it this is |
/// | `content-md5`, `digest`, `content-digest`, `repr-digest` | a checksum that nobody has checked |
/// | `x-http-method-override` and the like | another method or path than the request's own |
/// | `origin`, `sec-*` | which page a browser sends from |
pub(crate) fn is_of_one_exchange(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "content-digest"
            | "content-md5"
            | "content-range"
            | "digest"
            | "early-data"
            | "if"
            | "origin"
            | "range"
            | "repr-digest"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
            | "x-original-url"
            | "x-rewrite-url"
    ) || ["accept-", "if-", "sec-", "want-"].iter().any(|prefix| name.starts_with(prefix))
}

/// The name as CGI and WSGI servers fold it: anything but letters and digits becomes `-`. None if it is folded already.
pub(crate) fn folded(name: &str) -> Option<String> {
    let is_folded = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let fold = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    (!name.bytes().all(is_folded)).then(|| name.chars().map(fold).collect())
}

/// Whether the names differ, and CGI and WSGI servers take one for the other.
pub(crate) fn are_twins(one: &HeaderName, other: &HeaderName) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    let (left, right) = (one.as_str().as_bytes(), other.as_str().as_bytes());
    left.len() == right.len()
        && left != right
        && left.iter().zip(right).all(|(&left, &right)| fold(left) == fold(right))
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
