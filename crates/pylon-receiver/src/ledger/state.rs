//! The states of a delivery.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be attempted when it is due.
    Waiting,
    /// Behind another delivery with the same order key.
    Held,
    /// Leased: being attempted, or about to be.
    Delivering,
    /// It arrived.
    Delivered,
    /// Given up after too many attempts or too long a time. An operator can redeliver or drop it.
    Dead,
    /// An operator dropped it: it was dead, or its destination is gone.
    Dropped,
    /// It was dead, and an operator redelivered it: a later delivery takes its place.
    Redelivered,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: &'static [Self] =
        &[Self::Waiting, Self::Held, Self::Delivering, Self::Delivered, Self::Dead, Self::Dropped, Self::Redelivered];

    /// The state's name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Delivering => "delivering",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
            Self::Redelivered => "redelivered",
        }
    }

    /// Whether something is left to do.
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::Waiting | Self::Held | Self::Delivering)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
