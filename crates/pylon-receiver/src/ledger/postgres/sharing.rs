//! Which events can share a commit.

use crate::id::EventId;
use crate::ledger::NewEvent;
use std::collections::HashSet;
use std::sync::Arc;

/// Events in one commit at most, and the bytes of their bodies.
const MOST_EVENTS: usize = 256;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Lines that one commit locks. The server has room for a few thousand locks in all, and nobody gets one when they are used up.
const MOST_LINES: usize = 1000;

/// Events that share a commit: no two have one id, or one deduplication key at one endpoint.
#[derive(Default)]
pub(super) struct Sharing {
    ids: HashSet<EventId>,
    keys: HashSet<(Arc<str>, Box<str>)>,
    bytes: usize,
    lines: usize,
}

impl Sharing {
    /// Whether no more events go into the commit.
    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES || self.lines >= MOST_LINES
    }

    /// Takes the event in, unless it is the twin of another.
    pub(super) fn takes(&mut self, event: &NewEvent) -> bool {
        let key = event.deduplication.as_ref().map(|key| (event.endpoint.clone(), key.key.clone()));
        let is_twin = self.ids.contains(&event.id) || key.as_ref().is_some_and(|key| self.keys.contains(key));
        if !is_twin {
            self.ids.insert(event.id);
            self.keys.extend(key);
            self.bytes += event.body.as_bytes().len();
            // Those that share a line count as if each had its own.
            self.lines += event.deliveries.iter().filter(|delivery| delivery.order_key.is_some()).count();
        }
        !is_twin
    }
}

/// How many of these, from the first, can share a commit.
pub(super) fn sharing(events: &[NewEvent]) -> usize {
    let mut sharing = Sharing::default();
    events.iter().take_while(|event| !sharing.is_full() && sharing.takes(event)).count()
}
