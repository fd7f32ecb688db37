//! Work that one of several receivers does for all of them.

use super::lease::Owner;
use std::time::Duration;

/// An order to forget events and deduplication keys whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// Who asks. As long as this owner keeps asking, the ledger answers [`Pruned::Elsewhere`] to all others.
    pub owner: Owner,
    /// How long a completed event is kept after its arrival; none: for ever.
    pub kept_for: Option<Duration>,
}

/// The answer to [`Prune`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    /// The ledger forgot this many events.
    Here {
        /// The number of forgotten events.
        events: u64,
        /// Whether another call may forget more.
        more: bool,
    },
    /// Another owner prunes at present; nothing was done.
    Elsewhere,
}
