//! Whether a delivery has been here before. Body-only signatures never expire, so that a captured delivery can be sent again
//! for ever; a guard remembers those it has seen.

mod guard;
mod key;
mod memory;
mod store;

pub use guard::ReplayGuard;
pub(crate) use guard::{Claim, Taken};
pub use key::{ReplayKey, ReplayRule};
pub use memory::MemoryReplayStore;
pub use store::{ReplayStore, StoreFuture};
