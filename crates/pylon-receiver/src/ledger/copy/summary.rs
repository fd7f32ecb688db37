//! What came of a copy, in numbers.

use super::id::CopyId;
use super::rows::EventCopy;
use crate::ledger::DeliveryState;
use serde::{Deserialize, Serialize};

/// What was copied, and verified. The source keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySummary {
    /// The copy.
    pub copy: CopyId,
    /// What the source has, and the target has of it.
    pub counts: CopyCounts,
    /// The SHA-256 over everything in a canonical form, the same on both sides: 64 hexadecimal digits.
    pub sha256: String,
    /// How many of the events were in the target before, the same in everything.
    pub events_there_before: u64,
    /// How many deduplication keys another event of the target has, and keeps.
    pub keys_taken: u64,
    /// How many refused requests have given way to newer ones in the target.
    pub refused_gone: u64,
}

/// How much there is in a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CopyCounts {
    /// Events.
    pub events: u64,
    /// Events among them that were parked on arrival.
    pub parked: u64,
    /// Deliveries by their state.
    pub deliveries: DeliveryCounts,
    /// Entries in the logs of attempts.
    pub attempts: u64,
    /// Deduplication keys.
    pub deduplication_keys: u64,
    /// Refused requests.
    pub refused: u64,
}

/// Deliveries by their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// To be attempted when they are due.
    pub waiting: u64,
    /// Behind another delivery with the same order key.
    pub held: u64,
    /// Arrived.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
    /// Dropped by an operator.
    pub dropped: u64,
    /// Redelivered by an operator.
    pub redelivered: u64,
}

impl CopyCounts {
    pub(super) fn add(&mut self, event: &EventCopy) {
        self.events += 1;
        self.parked += u64::from(event.parked.is_some());
        for delivery in &event.deliveries {
            self.attempts += delivery.log.len() as u64;
            let of_state = match delivery.state {
                DeliveryState::Waiting | DeliveryState::Delivering => &mut self.deliveries.waiting,
                DeliveryState::Held => &mut self.deliveries.held,
                DeliveryState::Delivered => &mut self.deliveries.delivered,
                DeliveryState::Dead => &mut self.deliveries.dead,
                DeliveryState::Dropped => &mut self.deliveries.dropped,
                DeliveryState::Redelivered => &mut self.deliveries.redelivered,
            };
            *of_state += 1;
        }
    }
}

impl DeliveryCounts {
    /// How many are unfinished.
    pub fn unfinished(&self) -> u64 {
        self.waiting + self.held
    }
}
