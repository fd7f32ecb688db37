//! What waits in a spool, for operators.

use super::error::LedgerError;
use crate::time::Moment;
use std::path::Path;
use std::sync::Arc;

/// What waits in a spool in front of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolStatus {
    /// The spool's file.
    pub path: Arc<Path>,
    /// Since when new events go to the spool; none: they go to the ledger.
    pub since: Option<Moment>,
    /// Events that wait to be handed over.
    pub events: u64,
    /// Events that the ledger refused when they were handed over. They stay in the spool.
    pub refused: u64,
    /// What all events in the spool take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub size: u64,
    /// Whether an event had no room, and nothing was handed over since.
    pub is_full: bool,
    /// Events that were handed over since the process began.
    pub handed_over: u64,
    /// Why new events go to the spool, or why the last try to hand events over failed.
    pub last_error: Option<LedgerError>,
}

impl SpoolStatus {
    /// What an operator should know, a sentence each; empty: nothing is in the spool, and nothing goes there.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let Self { since, events, refused, bytes, size, is_full, last_error, .. } = self;
        if let Some(since) = since {
            let (bytes, size) = (shown(*bytes), shown(*size));
            let room = match is_full {
                true => format!(", and the spool is full ({size}): what has no room gets 503"),
                false => String::new(),
            };
            let why = last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            sentences.push(format!(
                "spooling since {since}: {events} events ({bytes}) wait for the ledger{room}; a 200 means one disk meanwhile{why}"
            ));
        }
        if *refused > 0 {
            sentences.push(format!(
                "the ledger refused {refused} events of the spool {}: the log has the reasons; mend the cause, and they are handed over",
                self.path.display()
            ));
        }
        sentences
    }
}

/// A number of bytes, as exactly as anybody needs to know.
fn shown(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|&(_, shift)| bytes >= 1 << shift);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(unit, shift)| format!("{:.1} {unit}", bytes as f64 / (1u64 << shift) as f64),
    )
}
