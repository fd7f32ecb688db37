//! Detects replayed deliveries. A signature without a timestamp never expires, so a captured delivery can be replayed
//! for ever; a guard remembers the deliveries that it has seen.

mod guard;
mod key;
mod memory;
mod store;

pub use guard::ReplayGuard;
pub(crate) use guard::{Claim, Taken};
pub use key::{ReplayKey, ReplayRule};
pub use memory::MemoryReplayStore;
pub use store::{ReplayStore, StoreFuture};
