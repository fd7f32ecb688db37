//! What jobs of the writing thread share while they run in one transaction.

use super::clock::{LedgerClock, Now};
use super::options::SqliteOptions;
use crate::id::EventId;
use crate::ledger::DeliveryState;
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::sync::Arc;

/// An open transaction.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    pub(super) options: &'a SqliteOptions,
    /// The present, the same for all that is committed together.
    pub(super) now: Now,
    /// Events, by `seq`, that were found damaged; known also after a rollback.
    pub(super) unreadable: &'a mut HashMap<i64, EventId>,
    /// Destinations that have something due once this is committed.
    pub(super) woken: Vec<Arc<str>>,
    counts: Counts,
}

/// By how much the numbers in `ledger`, `totals` and `dead_totals` change.
#[derive(Default)]
struct Counts {
    events: i64,
    parked: i64,
    refused: i64,
    destinations: HashMap<Arc<str>, [i64; 3]>,
    /// Those that are dead, by destination and code.
    dead: HashMap<(Arc<str>, Box<str>), i64>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        options: &'a SqliteOptions,
        now: Now,
        unreadable: &'a mut HashMap<i64, EventId>,
    ) -> Self {
        Self { connection, options, now, unreadable, woken: Vec::new(), counts: Counts::default() }
    }

    /// Rings for the destination after the commit.
    pub(super) fn wake(&mut self, destination: &Arc<str>) {
        if !self.woken.contains(destination) {
            self.woken.push(destination.clone());
        }
    }

    /// This many more events are kept.
    pub(super) fn count_events(&mut self, events: i64, parked: i64) {
        self.counts.events += events;
        self.counts.parked += parked;
    }

    /// This many more refused requests are kept.
    pub(super) fn count_refused(&mut self, refused: i64) {
        self.counts.refused += refused;
    }

    /// One more delivery to the destination is in this state.
    pub(super) fn enters(&mut self, destination: &Arc<str>, state: DeliveryState) {
        self.count(destination, state, 1);
    }

    /// One delivery less to the destination is in this state.
    pub(super) fn leaves(&mut self, destination: &Arc<str>, state: DeliveryState) {
        self.count(destination, state, -1);
    }

    /// So many more deliveries to the destination are dead with this code, or fewer.
    pub(super) fn count_dead(&mut self, destination: &Arc<str>, code: Option<&str>, by: i64) {
        self.add(destination, 2, by);
        *self.counts.dead.entry((destination.clone(), code.unwrap_or_default().into())).or_default() += by;
    }

    /// So many more deliveries to the destination are in this state, or fewer. The dead are counted by their code instead.
    pub(super) fn count(&mut self, destination: &Arc<str>, state: DeliveryState, by: i64) {
        let place = match state {
            DeliveryState::Waiting => 0,
            DeliveryState::Held => 1,
            _ => return,
        };
        self.add(destination, place, by);
    }

    fn add(&mut self, destination: &Arc<str>, place: usize, by: i64) {
        match self.counts.destinations.get_mut(destination) {
            Some(counts) => counts[place] += by,
            None => {
                let mut counts = [0; 3];
                counts[place] = by;
                self.counts.destinations.insert(destination.clone(), counts);
            }
        }
    }

    /// Writes what was counted, and the time. Comes last before the commit.
    pub(super) fn finish(&self) -> rusqlite::Result<()> {
        LedgerClock::keep(self.connection, self.now)?;
        let Counts { events, parked, refused, destinations, dead } = &self.counts;
        if [*events, *parked, *refused] != [0; 3] {
            self.connection
                .prepare_cached(
                    "UPDATE ledger SET events = events + ?1, parked = parked + ?2, refused = refused + ?3 WHERE id = 1",
                )?
                .execute(params![events, parked, refused])?;
        }
        for (destination, [waiting, held, dead]) in destinations {
            self.connection
                .prepare_cached(
                    "INSERT INTO totals (destination, waiting, held, dead) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (destination) DO UPDATE SET waiting = waiting + excluded.waiting,
                         held = held + excluded.held, dead = dead + excluded.dead",
                )?
                .execute(params![destination, waiting, held, dead])?;
        }
        for ((destination, code), by) in dead {
            self.connection
                .prepare_cached(
                    "INSERT INTO dead_totals (destination, code, dead) VALUES (?1, ?2, ?3)
                     ON CONFLICT (destination, code) DO UPDATE SET dead = dead + excluded.dead",
                )?
                .execute(params![destination, code, by])?;
        }
        Ok(())
    }
}
