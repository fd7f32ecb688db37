//! Strategies for proptest: bodies of every kind, with the odd values that templates produce.

use super::sample::Sample;
use crate::event::EventKind;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Any kind that has a type of its own.
pub fn kinds() -> impl Strategy<Value = EventKind> {
    select(EventKind::ALL)
}

/// A value as templates and admins give it: text, no value in one of its many forms, or of another type than expected.
pub fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        proptest::collection::vec(".{0,8}", 0..4).prop_map(Value::from),
        select(vec![
            Value::Null,
            json!(""),
            json!(" "),
            json!("null"),
            json!("{{issue.team.name}}"),
            json!("<b>bold</b> & \"quoted\""),
            json!("0001-01-01T00:00:00Z"),
            json!({"id": "usr_1", "name": "Sam Doe", "email": "sam@example.com"}),
        ]),
    ]
}

/// The sample of any kind with up to five of its values replaced by [odd ones](values()), and up to two further keys.
///
/// ```
/// use proptest::prelude::*;
/// use pylon_webhooks::{WebhookHandler, testing::strategies};
///
/// proptest!(|(sample in strategies::samples())| {
///     let handler = WebhookHandler::new("your-webhook-secret").unwrap();
///     prop_assert!(handler.dispatch(sample.event()).is_ok());
/// });
/// ```
pub fn samples() -> impl Strategy<Value = Sample> {
    let oddities = |kind: EventKind| {
        let names: Vec<&str> = kind.fields().map(|field| field.name).collect();
        let replaced = proptest::collection::vec((select(names), values()), 0..=5);
        let added = proptest::collection::vec(("[a-z_]{1,12}", values()), 0..=2);
        (Just(kind), replaced, added)
    };
    kinds().prop_flat_map(oddities).prop_map(|(kind, replaced, added)| {
        let sample = replaced.into_iter().fold(Sample::of(kind), |sample, (name, value)| sample.with(name, value));
        // One more `event_type` would make it another kind.
        let added = added.into_iter().filter(|(key, _)| key != "event_type");
        added.fold(sample, |sample, (key, value)| sample.with(&key, value))
    })
}
