//! What a receiver does of its two jobs.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// What a receiver does of its two jobs. It answers operators and prunes in every role.
///
/// Receivers that share a ledger can divide the work: what some of them store, the others deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Accepts webhooks and delivers them.
    #[default]
    AcceptAndDeliver,
    /// Accepts webhooks and stores them with their deliveries. It makes none of these, and needs no secret of a destination.
    Accept,
    /// Makes deliveries. It listens for no webhooks, and needs no endpoint and no secret of one.
    Deliver,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] = &[Self::AcceptAndDeliver, Self::Accept, Self::Deliver];

    /// The role of a receiver that does these of the two jobs; none: it does neither.
    pub const fn of(accepts: bool, delivers: bool) -> Option<Self> {
        match (accepts, delivers) {
            (true, true) => Some(Self::AcceptAndDeliver),
            (true, false) => Some(Self::Accept),
            (false, true) => Some(Self::Deliver),
            (false, false) => None,
        }
    }

    /// The role's name, as in JSON and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcceptAndDeliver => "accept_and_deliver",
            Self::Accept => "accept",
            Self::Deliver => "deliver",
        }
    }

    /// Whether it accepts webhooks.
    pub const fn accepts(self) -> bool {
        matches!(self, Self::AcceptAndDeliver | Self::Accept)
    }

    /// Whether it makes deliveries.
    pub const fn delivers(self) -> bool {
        matches!(self, Self::AcceptAndDeliver | Self::Deliver)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
