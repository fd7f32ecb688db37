//! What the log says about an event that was kept.

use crate::id::EventId;
use crate::ledger::NewEvent;

/// Maximum length of a sender's own words in the log, and of a refused request's path, in characters.
const SHOWN: usize = 200;

/// What the log says about an event. It is noted before the ledger takes the event.
pub(super) struct Noted {
    kind: Box<str>,
    parked: Option<Box<str>>,
    deliveries: usize,
}

impl Noted {
    pub(super) fn of(event: &NewEvent) -> Self {
        Self { kind: shown(&event.kind).into(), parked: event.parked.clone(), deliveries: event.deliveries.len() }
    }

    // `?kind` escapes the kind: it is the sender's text.
    pub(super) fn accepted(&self, event_id: EventId, endpoint: &str) {
        let Self { kind, deliveries, parked } = self;
        match parked {
            None => tracing::info!(%event_id, endpoint, ?kind, deliveries, "a webhook was accepted"),
            Some(reason) => {
                tracing::warn!(%event_id, endpoint, %reason, "a webhook was accepted and parked: it is not JSON");
            }
        }
    }

    pub(super) fn duplicate(&self, event_id: EventId, endpoint: &str) {
        let kind = &self.kind;
        tracing::info!(%event_id, endpoint, ?kind, "a duplicate of an accepted webhook was answered and not kept");
    }
}

/// The beginning of a sender's own words.
pub(super) fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN).map_or(text, |(end, _)| &text[..end])
}
