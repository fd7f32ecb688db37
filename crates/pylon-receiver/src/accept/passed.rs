//! The receivers that an event has passed on its way here.
//!
//! A receiver sends each event with its own id for the event, and with the ids of the receivers before. So an event that comes back is
//! known, also by way of other receivers.

use super::refusal::WebhookRefusal;
use crate::headers::{EVENT_ID, PASSED};
use crate::id::EventId;
use http::{HeaderMap, HeaderValue};

/// More receivers in a row than anybody needs.
const MOST_RECEIVERS: usize = 8;

/// The ids that the event had at earlier receivers, the last one at the end. What is no id counts for nothing.
pub(super) fn of(headers: &HeaderMap) -> Result<Vec<EventId>, WebhookRefusal> {
    let values = headers.get_all(PASSED).iter().chain(headers.get_all(EVENT_ID));
    let entries = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let ids = entries.filter_map(|entry| std::str::from_utf8(entry.trim_ascii()).ok()?.parse().ok());
    let passed: Vec<EventId> = ids.take(MOST_RECEIVERS + 1).collect();
    if passed.len() > MOST_RECEIVERS { Err(WebhookRefusal::too_many_receivers(MOST_RECEIVERS)) } else { Ok(passed) }
}

/// The value of the header that tells the next receiver; none if there was no receiver before.
pub(super) fn header(passed: &[EventId]) -> Option<HeaderValue> {
    let ids: Vec<_> = passed.iter().map(EventId::to_string).collect();
    (!ids.is_empty()).then(|| HeaderValue::try_from(ids.join(", ")).expect("ids are plain ASCII"))
}
