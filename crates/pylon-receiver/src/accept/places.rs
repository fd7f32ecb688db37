//! The places for connections: for all, and for each address a share.

use super::limits::ListenerLimits;
use super::progress::Progress;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places of a listener. A connection that waits for its next request gives way to one that needs its place.
pub(super) struct Places {
    /// Maximum number of connections.
    all: usize,
    /// Maximum number of connections of one address.
    of_address: usize,
    taken: Mutex<Taken>,
}

/// The connections.
#[derive(Default)]
struct Taken {
    count: usize,
    /// By the address that has a share of the places; none: of peers that have none.
    of_address: HashMap<Option<IpAddr>, Vec<Arc<Progress>>>,
}

/// The place of a connection, while it lives.
pub(super) struct Place {
    places: Arc<Places>,
    address: Option<IpAddr>,
    pub(super) progress: Arc<Progress>,
}

impl Places {
    /// The places that the limits allow; at least one.
    pub(super) fn new(limits: &ListenerLimits) -> Self {
        Self {
            all: limits.connections.max(1),
            of_address: limits.connections_of_address.max(1),
            taken: Mutex::default(),
        }
    }

    /// Whether all places are taken.
    pub(super) fn are_taken(&self) -> bool {
        self.taken().count >= self.all
    }

    /// Takes a place, also beyond the number of all places; none: the address has its share already. Where one of its connections
    /// is idle, that one is retired instead.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.taken();
        let of_address = taken.of_address.entry(address).or_default();
        let share = if address.is_some() { self.of_address } else { usize::MAX };
        // The retired ones end in a moment. If they do not, because a request has come or the peer does not read, they count.
        let has_place = of_address.len() < share
            || (of_address.len() < share.saturating_add(share / 2).max(share + 1) && retire_one(of_address.iter()));
        if !has_place {
            return None;
        }
        let progress = Arc::<Progress>::default();
        of_address.push(progress.clone());
        taken.count += 1;
        Some(Place { places: self.clone(), address, progress })
    }

    /// Retires the connection that has been idle for the longest time, and says whether there was one.
    pub(super) fn make_room(&self) -> bool {
        retire_one(self.taken().of_address.values().flatten())
    }

    // A panic while the lock is held cannot leave the lists half changed.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether few places are left, for all or for the address, so that a connection should not be kept for its next request.
    pub(super) fn is_crowded(&self) -> bool {
        let Places { all, of_address, .. } = *self.places;
        let taken = self.places.taken();
        let of_this = taken.of_address.get(&self.address).map_or(0, Vec::len);
        is_nearly(taken.count, all) || (self.address.is_some() && is_nearly(of_this, of_address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.count -= 1;
        let Some(of_address) = taken.of_address.get_mut(&self.address) else { return };
        of_address.retain(|progress| !Arc::ptr_eq(progress, &self.progress));
        if of_address.is_empty() {
            taken.of_address.remove(&self.address);
        }
    }
}

/// Whether less than a quarter of so many places is left, or none.
fn is_nearly(taken: usize, all: usize) -> bool {
    taken > all - (all / 4).max(1)
}

/// Retires the one that has been idle for the longest time.
fn retire_one<'p>(connections: impl Iterator<Item = &'p Arc<Progress>>) -> bool {
    let idle = connections.filter_map(|progress| Some((progress.idle_since()?, progress)));
    idle.min_by_key(|(since, _)| *since).is_some_and(|(_, progress)| progress.retire())
}
