//! Connections that only read, beside the thread that writes.

use super::error::Damage;
use super::files::LedgerFiles;
use super::open;
use crate::ledger::{LedgerError, LedgerFuture};
use rusqlite::{Connection, ErrorCode, InterruptHandle};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Reads at a time, and so connections that only read; further ones wait, and hold no thread meanwhile.
const MOST_READS: u32 = 4;

/// Connections that only read.
pub(super) struct Readers {
    places: Arc<Semaphore>,
    /// None: closed.
    pool: Arc<Mutex<Option<Pool>>>,
    damage: Damage,
}

/// The connections at rest, and the files that they lead to.
struct Pool {
    idle: Vec<Connection>,
    /// Of all connections, also those at work.
    interrupts: Vec<InterruptHandle>,
    /// Dropped after the connections.
    source: Source,
}

/// What is read.
#[derive(Clone)]
struct Source {
    path: Arc<Path>,
    /// None: another process may write it.
    files: Option<Arc<LedgerFiles>>,
}

impl Source {
    /// A new connection, which finds what the path leads to. Those that are open go on with what they have, wherever it lies by now.
    fn connect(&self) -> Result<Connection, LedgerError> {
        let place = || self.files.as_ref().map_or(Ok(()), |files| files.place().map(drop));
        place()?;
        let connection = open::to_read(&self.path)?;
        place()?;
        Ok(connection)
    }
}

impl Readers {
    /// Reads a ledger that another process may write.
    pub(super) fn open(path: &Path, damage: Damage) -> Result<Self, LedgerError> {
        Self::start(path, None, damage)
    }

    /// Reads the ledger that this process writes.
    pub(super) fn beside(files: Arc<LedgerFiles>, damage: Damage) -> Result<Self, LedgerError> {
        Self::start(files.path(), Some(files.clone()), damage)
    }

    fn start(path: &Path, files: Option<Arc<LedgerFiles>>, damage: Damage) -> Result<Self, LedgerError> {
        let source = Source { path: path.into(), files };
        let first = source.connect()?;
        let pool = Pool { interrupts: vec![first.get_interrupt_handle()], idle: vec![first], source };
        let places = Arc::new(Semaphore::new(MOST_READS as usize));
        Ok(Self { places, pool: Arc::new(Mutex::new(Some(pool))), damage })
    }

    /// Breaks off what reads, and closes all connections.
    pub(super) async fn close(&self) {
        let pool = lock(&self.pool).take();
        for interrupt in pool.iter().flat_map(|pool| &pool.interrupts) {
            interrupt.interrupt();
        }
        drop(pool);
        if let Ok(all) = self.places.acquire_many(MOST_READS).await {
            all.forget();
        }
        self.places.close();
    }

    /// Reads on a thread that may wait, with a connection of its own, once there is a place.
    pub(super) fn read<'a, T: Send + 'static>(
        &'a self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> LedgerFuture<'a, T> {
        let (places, pool, damage) = (self.places.clone(), self.pool.clone(), self.damage.clone());
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(|_| LedgerError::Closed)?;
            let reading = tokio::task::spawn_blocking(move || {
                // Given back at the end of the read, which comes also when nobody waits for it any more.
                let _place = place;
                let (source, idle) = {
                    let mut pool = lock(&pool);
                    let pool = pool.as_mut().ok_or(LedgerError::Closed)?;
                    (pool.source.clone(), pool.idle.pop())
                };
                let connection = match idle {
                    Some(idle) => idle,
                    None => {
                        let new = source.connect()?;
                        let mut pool = lock(&pool);
                        pool.as_mut().ok_or(LedgerError::Closed)?.interrupts.push(new.get_interrupt_handle());
                        new
                    }
                };
                let result = query(&connection).inspect_err(|error| damage.note(error));
                if let Some(pool) = lock(&pool).as_mut() {
                    pool.idle.push(connection);
                    return Ok(result?);
                }
                drop(connection);
                result.map_err(|error| match error.sqlite_error_code() {
                    Some(ErrorCode::OperationInterrupted) => LedgerError::Closed,
                    _ => error.into(),
                })
            });
            reading.await.map_err(|_| LedgerError::Closed)?
        })
    }
}

fn lock(pool: &Mutex<Option<Pool>>) -> MutexGuard<'_, Option<Pool>> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}
