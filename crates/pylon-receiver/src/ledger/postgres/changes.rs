//! What a transaction changes in the states of deliveries: what it adds to the tallies, and whom it wakes.

use super::database::Database;
use super::tallies::Tallies;
use crate::ledger::DeliveryState;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a transaction changes in the states of deliveries.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) tallies: Tallies,
    woken: BTreeSet<Arc<str>>,
}

impl Changes {
    /// So many more deliveries to the destination are in this state. Those that wait are due at once, so it is woken.
    pub(super) fn enter(&mut self, destination: &Arc<str>, state: DeliveryState, number: usize) {
        if state == DeliveryState::Waiting && number > 0 && !self.woken.contains(destination) {
            self.woken.insert(destination.clone());
        }
        self.tallies.count(destination, state, number as i64);
    }

    /// So many fewer deliveries to the destination are in this state.
    pub(super) fn leave(&mut self, destination: &Arc<str>, state: DeliveryState, number: usize) {
        self.tallies.count(destination, state, -(number as i64));
    }

    /// So many more deliveries to the destination are dead with this code, or fewer.
    pub(super) fn count_dead(&mut self, destination: &Arc<str>, code: Option<&str>, by: i64) {
        self.tallies.count_dead(destination, code, by);
    }

    /// Wakes where something is due, now that it is committed.
    pub(super) fn wake(&self, database: &Database) {
        self.woken.iter().for_each(|destination| database.wake(destination));
    }
}
