//! Headers that count only if they occur once.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The value of a header that occurs once.
pub(super) fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The same as text; none if it is not ASCII.
pub(super) fn only_text<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r str> {
    only(headers, name)?.to_str().ok()
}
