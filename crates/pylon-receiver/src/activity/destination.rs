//! How attempts to deliver to a destination ended.

use super::minutes::{MinuteCount, Minutes};
use crate::id::DeliveryId;
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use utoipa::ToSchema;

/// How many of the latest outcomes are remembered.
const REMEMBERED: usize = 10;
/// A destination is failing once this many of its latest attempts failed.
const FAILING: usize = 3;

/// How attempts to deliver to a destination ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DestinationSeen {
    /// Whether the latest three attempts failed, or all of them if there were fewer. Without any attempt, it is not failing.
    pub failing: bool,
    /// The end of the last attempt that delivered. Left out if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivered_at: Option<Moment>,
    /// The attempts of the last hour by minute, the oldest first. Minutes without any are left out.
    pub minutes: Vec<MinuteCount>,
    /// The latest attempts, up to ten, the newest first.
    pub latest: Vec<AttemptOutcome>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttemptOutcome {
    /// When it ended.
    pub at: Moment,
    /// The delivery.
    pub delivery: DeliveryId,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// Whether it delivered.
    pub delivered: bool,
    /// The HTTP status, or the command's exit code. Left out if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// What happened, in one sentence.
    pub detail: String,
    /// How long it took, in milliseconds.
    pub took_milliseconds: u64,
}

/// What is remembered of a destination.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    minutes: Minutes,
    /// The newest first.
    latest: VecDeque<AttemptOutcome>,
    last_delivered_at: Option<Moment>,
}

impl Remembered {
    pub(super) fn ended(&mut self, outcome: AttemptOutcome) {
        self.minutes.count(outcome.at, outcome.delivered);
        if outcome.delivered {
            self.last_delivered_at = Some(outcome.at);
        }
        self.latest.truncate(REMEMBERED - 1);
        self.latest.push_front(outcome);
    }

    pub(super) fn is_failing(&self) -> bool {
        !self.latest.is_empty() && self.latest.iter().take(FAILING).all(|outcome| !outcome.delivered)
    }

    pub(super) fn shown(&self, now: Moment) -> DestinationSeen {
        DestinationSeen {
            failing: self.is_failing(),
            last_delivered_at: self.last_delivered_at,
            minutes: self.minutes.until(now),
            latest: self.latest.iter().cloned().collect(),
        }
    }
}
