//! The text of a JSON string.

use super::mend::mend;
use std::borrow::Cow;

/// The text of a JSON string, borrowed where it has no escapes; none for other values.
pub(crate) fn decode_string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).or_else(|_| serde_json::from_str(&mend(raw).0)).ok().map(Cow::Owned)
}
