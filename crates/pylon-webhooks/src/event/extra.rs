//! What nothing typed has claimed.

use super::mend::mend;
use super::scan::Span;
use super::scope::{Scope, members};
use std::borrow::Cow;

/// What is left of a value, as JSON text, once the claimed parts of it are taken away: all of it, an object of the members
/// that nobody claimed, or nothing.
pub(crate) fn unclaimed<'s>(scope: &'s Scope, value: &Span, claims: &[Span]) -> Option<Cow<'s, str>> {
    let is_within = |claim: &&Span| value.start <= claim.start && claim.end <= value.end;
    let within: Vec<Span> = claims.iter().filter(is_within).cloned().collect();
    if within.is_empty() {
        return Some(mend(scope.raw(value)).0);
    }
    if within.contains(value) {
        return None;
    }
    let parts: Vec<String> = members(&scope.text, value.clone())
        .iter()
        .filter_map(|member| {
            let left = unclaimed(scope, &member.value, &within)?;
            Some(format!("{}:{left}", mend(member.raw_key(&scope.text)).0))
        })
        .collect();
    (!parts.is_empty()).then(|| Cow::Owned(format!("{{{}}}", parts.join(","))))
}
