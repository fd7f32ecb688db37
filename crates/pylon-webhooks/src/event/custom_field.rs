//! Custom fields: keys whose names the workspace's admins chose.

use super::scan::{Member, Span};
use super::scope::{Scope, members};

/// The custom fields that a member holds, by slug, each with its place: one under `issue_custom_field_<slug>`, all under
/// `custom_fields`, either also within `issue`.
pub(crate) fn custom_fields_in(scope: &Scope, member: &Member) -> Vec<(String, Span)> {
    fields_of(scope, member.key(&scope.text), &member.value)
}

fn fields_of(scope: &Scope, key: &str, value: &Span) -> Vec<(String, Span)> {
    let bare = ["issue_", "ticket_"].iter().find_map(|prefix| key.strip_prefix(prefix)).unwrap_or(key);
    if let Some(slug) = bare.strip_prefix("custom_field_") {
        return vec![(slug.to_owned(), value.clone())];
    }
    let inner = || members(&scope.text, value.clone());
    match bare {
        "custom_field" | "custom_fields" => {
            inner().iter().map(|field| (field.key(&scope.text).to_owned(), field.value.clone())).collect()
        }
        "issue" | "ticket" => inner().iter().flat_map(|field| fields_in_issue(scope, field)).collect(),
        _ => Vec::new(),
    }
}

/// Within `issue` only the custom fields' own keys count; nothing is opened further.
fn fields_in_issue(scope: &Scope, member: &Member) -> Vec<(String, Span)> {
    match member.key(&scope.text) {
        "issue" | "ticket" => Vec::new(),
        key => fields_of(scope, key, &member.value),
    }
}
