//! The part of a body that nothing typed uses.

use super::mend::mend;
use super::scan::Span;
use super::scope::{Scope, members, that_count};
use std::borrow::Cow;

/// The rest of a value as JSON text, without the claimed parts: the whole value, an object of its unclaimed members, or
/// nothing. The claims are in the order of the text.
pub(crate) fn unclaimed<'s>(scope: &'s Scope, value: &Span, claims: &[Span]) -> Option<Cow<'s, str>> {
    let starts_before = |place: usize| move |claim: &Span| claim.start < place;
    let claims = &claims[claims.partition_point(starts_before(value.start))..];
    let claims = &claims[..claims.partition_point(starts_before(value.end))];
    if claims.is_empty() {
        return Some(mend(scope.raw(value)).0);
    }
    if claims.iter().take_while(|claim| claim.start == value.start).any(|claim| claim == value) {
        return None;
    }
    let parts: Vec<String> = that_count(&members(&scope.text, value.clone()), &scope.text)
        .into_iter()
        .filter_map(|member| {
            let left = unclaimed(scope, &member.value, claims)?;
            Some(format!("{}:{left}", mend(member.raw_key(&scope.text)).0))
        })
        .collect();
    (!parts.is_empty()).then(|| Cow::Owned(format!("{{{}}}", parts.join(","))))
}
