//! What this process has seen since its start: who was let in, who was refused, and how attempts ended. In memory only.

mod destination;
mod endpoint;
mod minutes;
mod recorder;

pub use destination::{AttemptOutcome, DestinationSeen};
pub use endpoint::{EndpointSeen, LastAccepted, LastRefused};
pub use minutes::MinuteCount;
pub use recorder::Recorder;
