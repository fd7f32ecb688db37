//! JSON pointers (RFC 6901).

use crate::text::quoted;

/// Why this text leads to no value of a body.
pub(super) fn pointer_fault(pointer: &str) -> Option<String> {
    if !pointer.starts_with('/') {
        return Some(format!("expected a JSON pointer such as `/data/id`, found {}", quoted(pointer)));
    }
    let is_escaped = |rest: &str| rest.starts_with(['0', '1']);
    let is_whole = pointer.split('~').skip(1).all(is_escaped);
    let text = "expected `~0` for `~` and `~1` for `/` in a key of a JSON pointer, found";
    (!is_whole).then(|| format!("{text} {}", quoted(pointer)))
}
