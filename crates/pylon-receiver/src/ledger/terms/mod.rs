//! What events are found by at once, and how that is kept: see `segment`.

mod candidates;
mod levels;
mod segment;
mod term;

pub(in crate::ledger) use candidates::{Candidates, SegmentRange};
pub(in crate::ledger) use levels::{Listed, to_merge};
pub(in crate::ledger) use segment::{Indexed, Segment, SegmentFault, ids_at, places_of};
pub use term::Terms;
pub(in crate::ledger) use term::hash_of;
