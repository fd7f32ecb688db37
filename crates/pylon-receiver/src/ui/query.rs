//! The query of a page: what a form left empty is left out, and `since=2h` is a moment.

use crate::admin::{Fields, Refusal};
use crate::ledger::Page;
use crate::text::parse_duration;
use crate::time::Moment;
use crate::wire::PageQuery;
use http::Uri;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// The fields of a query or a form, without the empty ones.
pub(super) fn fields_of(query: Option<&str>, now: Moment) -> Result<Fields, Refusal> {
    let moved = |pair: &str| match pair.split_once('=') {
        Some((name @ ("since" | "until"), ago)) => {
            // What is no duration is read as a moment, and refused if it is none.
            let moment = parse_duration(ago).map(|ago| now.before(ago).to_string().replace(':', "%3A"));
            format!("{name}={}", moment.as_deref().unwrap_or(ago))
        }
        _ => pair.to_owned(),
    };
    let kept = query.unwrap_or_default().split('&').filter(|pair| !pair.ends_with('=') && !pair.is_empty());
    Fields::of_query(Some(&kept.map(moved).collect::<Vec<_>>().join("&")))
}

/// How many entries stand on a page of a list.
pub(super) const ROWS: u32 = 50;

/// What is asked of a list by its address: a filter, and a page.
pub(super) fn asked<F: DeserializeOwned, K: DeserializeOwned>(uri: &Uri, now: Moment) -> Result<(F, Page<K>), Refusal> {
    let mut fields = fields_of(uri.query(), now)?;
    let filter = fields.read()?;
    let PageQuery { after, order, .. } = fields.read()?;
    fields.finish()?;
    Ok((filter, Page { after, limit: ROWS, order: order.unwrap_or_default() }))
}

/// A filter as names and values.
pub(super) fn pairs(filter: &impl Serialize) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(filter) else { return Vec::new() };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    fields.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// A filter as a query behind others; empty where the filter is.
pub(super) fn more(filter: &impl Serialize) -> String {
    let encoded =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let pair = |(name, value): (String, String)| format!("&{name}={}", encoded(&value));
    pairs(filter).into_iter().map(pair).collect()
}

/// The query of the next page of a list; none: this is the last one.
pub(super) fn next(uri: &Uri, next: Option<impl fmt::Display>) -> Option<String> {
    next.map(|next| with(uri, "after", &next.to_string()))
}

fn with(uri: &Uri, name: &str, value: &str) -> String {
    let start = format!("{name}=");
    let kept = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(&start));
    let pair = format!("{start}{}", percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC));
    format!("?{}", kept.map(str::to_owned).chain([pair]).collect::<Vec<_>>().join("&"))
}
