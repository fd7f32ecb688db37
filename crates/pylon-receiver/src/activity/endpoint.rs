//! When an endpoint last accepted an event, and when it last refused a request.

use crate::id::EventId;
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an endpoint did last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndpointSeen {
    /// The last event that was accepted. Left out if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<LastAccepted>,
    /// The last request that was refused. Left out if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<LastRefused>,
}

/// The last event that an endpoint accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastAccepted {
    /// When.
    pub at: Moment,
    /// The event; of a duplicate, the one that was kept before.
    pub event: EventId,
    /// The event's kind. Left out if it is of no known kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether it was a duplicate.
    pub duplicate: bool,
}

/// The last request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastRefused {
    /// When.
    pub at: Moment,
    /// The stable code of the reason.
    pub code: String,
    /// The reason, a sentence.
    pub reason: String,
}

impl EndpointSeen {
    /// The last refusal, if nothing was accepted after it.
    pub fn unresolved(&self) -> Option<&LastRefused> {
        self.refused.as_ref().filter(|refused| self.accepted.as_ref().is_none_or(|accepted| accepted.at < refused.at))
    }
}
