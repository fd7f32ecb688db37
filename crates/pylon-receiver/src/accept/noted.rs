//! What the log says about an event that was kept.

use crate::id::EventId;
use crate::ledger::NewEvent;

/// Maximum length of a sender's own words in the log, and of a refused request's path, in characters.
const SHOWN: usize = 200;

/// What the log says about an event. It is noted before the ledger takes the event.
pub(super) struct Noted {
    name: Box<str>,
    kind: Option<Box<str>>,
    parked: Option<Box<str>>,
    deliveries: usize,
}

impl Noted {
    pub(super) fn of(event: &NewEvent) -> Self {
        Self {
            name: shown(&event.name).into(),
            kind: event.kind.clone(),
            parked: event.parked.clone(),
            deliveries: event.deliveries.len(),
        }
    }

    // `?name` escapes the name: it is the sender's text.
    pub(super) fn accepted(&self, event_id: EventId, endpoint: &str) {
        let Self { name, kind, deliveries, parked } = self;
        let kind = kind.as_deref();
        match parked {
            None => tracing::info!(%event_id, endpoint, ?name, kind, deliveries, "a webhook was accepted"),
            Some(reason) => {
                tracing::warn!(%event_id, endpoint, %reason, "a webhook was accepted and parked: it is not JSON");
            }
        }
    }

    pub(super) fn duplicate(&self, event_id: EventId, endpoint: &str) {
        let (name, kind) = (&self.name, self.kind.as_deref());
        tracing::info!(%event_id, endpoint, ?name, kind, "a duplicate of an accepted webhook was answered and not kept");
    }
}

/// The beginning of a sender's own words.
pub(super) fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN).map_or(text, |(end, _)| &text[..end])
}
