//! Connections that only read, beside the thread that writes.

use super::error::Damage;
use super::open;
use crate::ledger::{LedgerError, LedgerFuture};
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Reads at a time, and so connections that only read; further ones wait, and hold no thread meanwhile.
const MOST_READS: usize = 4;

/// Connections that only read.
pub(super) struct Readers {
    places: Arc<Semaphore>,
    /// Those at rest; none: closed.
    idle: Arc<Mutex<Option<Vec<Connection>>>>,
    path: Arc<Path>,
    damage: Damage,
}

impl Readers {
    pub(super) fn open(path: &Path, damage: Damage) -> Result<Self, LedgerError> {
        let idle = Arc::new(Mutex::new(Some(vec![open::to_read(path)?])));
        Ok(Self { places: Arc::new(Semaphore::new(MOST_READS)), idle, path: path.into(), damage })
    }

    /// Closes those at rest, and each of the others when it has read.
    pub(super) fn close(&self) {
        self.places.close();
        lock(&self.idle).take();
    }

    /// Reads on a thread that may wait, with a connection of its own, once there is a place.
    pub(super) fn read<'a, T: Send + 'static>(
        &'a self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> LedgerFuture<'a, T> {
        let (places, idle) = (self.places.clone(), self.idle.clone());
        let (path, damage) = (self.path.clone(), self.damage.clone());
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(|_| LedgerError::Closed)?;
            let reading = tokio::task::spawn_blocking(move || {
                // Given back at the end of the read, which comes also when nobody waits for it any more.
                let _place = place;
                let last = lock(&idle).as_mut().ok_or(LedgerError::Closed)?.pop();
                let connection = last.map_or_else(|| open::to_read(&path), Ok)?;
                let result = query(&connection).inspect_err(|error| damage.note(error))?;
                if let Some(idle) = lock(&idle).as_mut() {
                    idle.push(connection);
                }
                Ok(result)
            });
            reading.await.map_err(|_| LedgerError::Closed)?
        })
    }
}

fn lock(idle: &Mutex<Option<Vec<Connection>>>) -> MutexGuard<'_, Option<Vec<Connection>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
