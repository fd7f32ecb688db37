//! Bodies as Pylon sends them with our templates.

use crate::event::{EventKind, WebhookEvent, parse_webhook_event};
use crate::verified::Verified;
use serde_json::Value;

/// The body that Pylon sends with a kind's [template](EventKind::template), with a sample value for each variable.
///
/// ```
/// use pylon_webhooks::{EventKind, IssueNewEvent, testing::Sample};
///
/// let event = Sample::of(EventKind::IssueNew).with("issue_number", "7").without("issue_body").event();
/// let event = IssueNewEvent::of(&event).expect("issue_new");
/// assert_eq!((event.issue_number(), event.issue_title()), (Some(7), "Export fails".into()));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Sample {
    members: Vec<(String, Value)>,
}

impl Sample {
    /// The sample of a kind.
    pub fn of(kind: EventKind) -> Self {
        let name = ("event_type".into(), kind.name().into());
        let rest = kind.variables().map(|(key, variable)| (key.into(), variable.sample.into()));
        Self { members: std::iter::once(name).chain(rest).collect() }
    }

    /// Sets a key to this value. The template need not have the key.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        match self.members.iter_mut().find(|(found, _)| found == key) {
            Some((_, found)) => *found = value.into(),
            None => self.members.push((key.into(), value.into())),
        }
        self
    }

    /// Removes a key.
    pub fn without(mut self, key: &str) -> Self {
        self.members.retain(|(found, _)| found != key);
        self
    }

    /// The body: JSON, the keys in the template's order.
    pub fn body(&self) -> Vec<u8> {
        let members = self.members.iter().map(|(key, value)| format!("{}: {value}", Value::from(key.as_str())));
        format!("{{{}}}", members.collect::<Vec<_>>().join(", ")).into_bytes()
    }

    /// The event, marked as verified, for [`dispatch`](crate::WebhookHandler::dispatch).
    pub fn event(&self) -> Verified<WebhookEvent> {
        Verified::stored(parse_webhook_event(self.body()).expect("what serde_json writes is JSON, and not deep"))
    }
}
