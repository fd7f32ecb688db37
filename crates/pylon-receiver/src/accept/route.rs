//! The destinations of an event, and its order there.

use crate::config::{Condition, Config, DestinationConfig};
use crate::ledger::NewDelivery;
use pylon_webhooks::WebhookEvent;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// The longest text that is an order key itself, in bytes. The key of a longer text is its SHA-256, so that no sender can make the
/// index of keys large.
const LONGEST_KEY: usize = 200;

/// The way from one endpoint to one destination.
#[derive(Debug)]
pub(super) struct Route {
    destination: Arc<str>,
    /// Only events of these kinds; empty: every kind.
    kinds: Box<[String]>,
    /// Only events that meet all of these.
    conditions: Box<[Condition]>,
    order_by: Option<OrderBy>,
}

#[derive(Debug)]
enum OrderBy {
    Pointer(Box<str>),
    Name(Box<str>),
}

impl Route {
    /// The way to the destination, if events of the endpoint go there.
    pub(super) fn new(endpoint: &str, destination: &DestinationConfig) -> Option<Self> {
        let is_wanted = destination.endpoints.is_empty() || destination.endpoints.iter().any(|name| name == endpoint);
        let order_by = destination.order_by.as_deref().map(|order_by| match order_by.starts_with('/') {
            true => OrderBy::Pointer(order_by.into()),
            false => OrderBy::Name(order_by.into()),
        });
        is_wanted.then(|| Self {
            destination: destination.name.clone(),
            kinds: destination.kinds.clone().into(),
            conditions: destination.conditions.clone().into(),
            order_by,
        })
    }

    /// The delivery of an event, if it goes this way.
    pub(super) fn delivery(&self, event: &WebhookEvent) -> Option<NewDelivery> {
        let is_of_kind = self.kinds.is_empty() || self.kinds.iter().any(|kind| event.is_named(kind));
        (is_of_kind && self.conditions.iter().all(|condition| is_met(condition, event))).then(|| NewDelivery {
            destination: self.destination.clone(),
            order_key: self.order_by.as_ref().and_then(|order_by| order_by.key(event)),
        })
    }
}

/// The deliveries of an event that came in at an endpoint, by a configuration.
pub(crate) fn deliveries_of(config: &Config, endpoint: &str, event: &WebhookEvent) -> Vec<NewDelivery> {
    let routes = config.destinations.iter().filter_map(|destination| Route::new(endpoint, destination));
    routes.filter_map(|route| route.delivery(event)).collect()
}

impl OrderBy {
    /// The event's order key. An event without one waits for no other event.
    fn key(&self, event: &WebhookEvent) -> Option<Box<str>> {
        let text = match self {
            Self::Name(name) => event.text(name),
            Self::Pointer(pointer) => text_at(event, pointer)?,
        };
        match text.len() {
            _ if text.trim().is_empty() => None,
            length if length > LONGEST_KEY => Some(digest(&text).into()),
            _ => Some(text.into()),
        }
    }
}

fn is_met(condition: &Condition, event: &WebhookEvent) -> bool {
    text_at(event, &condition.pointer).is_some_and(|text| condition.values.iter().any(|value| *value == text))
}

/// The text, number or boolean at a JSON pointer, as text.
fn text_at<'e>(event: &'e WebhookEvent, pointer: &str) -> Option<Cow<'e, str>> {
    Some(match event.payload().pointer(pointer)? {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        Value::Number(number) => number.to_string().into(),
        Value::Bool(truth) => truth.to_string().into(),
        _ => return None,
    })
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut digits, byte| {
        // Writing to a `String` never fails.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
