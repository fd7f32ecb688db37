//! The ledger in a SQLite file: one thread writes, many pieces of work to a commit; readers read beside it.

mod checkpoint;
mod claim;
mod error;
mod open;
mod prune;
mod read;
mod record;
mod redeliver;
mod refused;
mod row;
mod settle;
mod writer;

use super::*;
use checkpoint::Checkpointer;
use error::Damage;
use open::Lock;
use read::Readers;
use std::path::{Path, PathBuf};
use writer::Writer;

/// Keeps events in one SQLite file, in WAL mode with `synchronous = FULL`: what it has confirmed survives a loss of power, as
/// far as the disk keeps what it has confirmed to have synced.
///
/// ```
/// use pylon_receiver::ledger::{SqliteLedger, SqliteOptions};
///
/// let folder = tempfile::tempdir()?;
/// let ledger = SqliteLedger::open(folder.path().join("pylon.db"), SqliteOptions::default())?;
/// let second = SqliteLedger::open(folder.path().join("pylon.db"), SqliteOptions::default());
/// assert_eq!(second.unwrap_err().code(), "in_use");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteLedger {
    /// None: the file is only read.
    writer: Option<Writer>,
    readers: Readers,
    damage: Damage,
    path: PathBuf,
}

/// How a [`SqliteLedger`] works.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Pieces of work that may wait to be committed.
    pub queue: usize,
    /// Refused requests that are kept.
    pub refused: usize,
    /// Told of commits.
    pub observer: Option<Arc<dyn CommitObserver>>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { queue: 4096, refused: 1000, observer: None }
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("queue", &self.queue)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

/// Told of commits, for metrics.
pub trait CommitObserver: Send + Sync + 'static {
    /// So many pieces of work were committed at once, in so long a time.
    fn committed(&self, jobs: usize, took: Duration);
    /// A commit failed.
    fn failed(&self);
}

impl SqliteLedger {
    /// Opens the file, or makes it; leases of a process that has ended are freed.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] when another process, or another ledger of this one, has it open to write;
    /// [`LedgerError::Damaged`], [`LedgerError::Unknown`] when it is no sound ledger of this version or an earlier one;
    /// [`LedgerError::ReadOnly`], [`LedgerError::Full`], [`LedgerError::Failed`].
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, LedgerError> {
        let path = &open::resolved(path.as_ref())?;
        let lock = Lock::take(path)?;
        let mut connection = open::to_write(path)?;
        let damage = Damage::default();
        let readers = Readers::open(path, damage.clone())?;
        let checkpointer = Checkpointer::start(path, &mut connection)?;
        let writer = Writer::start(connection, checkpointer, lock, options, damage.clone())?;
        Ok(Self { writer: Some(writer), readers, damage, path: path.into() })
    }

    /// Opens a file that exists, to read; another process may write it meanwhile. Whatever would write is
    /// [`LedgerError::ReadOnly`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        if !path.is_file() {
            return Err(LedgerError::Failed(format!("there is no file {}", path.display()).into()));
        }
        let damage = Damage::default();
        Ok(Self { writer: None, readers: Readers::open(path, damage.clone())?, damage, path: path.into() })
    }

    /// Does a piece of work on the writing thread, once there is room for it.
    fn write<I: Send + 'static, O: Send + 'static>(&self, input: I, run: writer::Run<I, O>) -> LedgerFuture<'_, O> {
        Box::pin(async move { self.writer.as_ref().ok_or(LedgerError::ReadOnly)?.submit(input, run).await })
    }
}

impl Ledger for SqliteLedger {
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded> {
        Box::pin(async move { self.writer.as_ref().ok_or(LedgerError::ReadOnly)?.submit_now(event, record::run).await })
    }

    fn keep_refused(&self, refused: NewRefused) {
        if let Some(writer) = &self.writer {
            writer.submit_if_idle(refused, refused::run);
        }
    }

    fn claim(&self, claim: Claim) -> LedgerFuture<'_, Claimed> {
        self.write(claim, claim::run)
    }

    fn renew(&self, leases: Vec<Lease>, until: Moment) -> LedgerFuture<'_, Vec<bool>> {
        self.write((leases, until), settle::renew)
    }

    fn settle(&self, settlement: Settlement) -> LedgerFuture<'_, Settled> {
        self.write(settlement, settle::run)
    }

    fn redeliver(&self, events: Vec<EventId>, destination: Option<Arc<str>>, now: Moment) -> LedgerFuture<'_, u64> {
        self.write((events, destination, now), redeliver::events)
    }

    fn redeliver_dead(&self, deliveries: Vec<DeliveryId>, now: Moment) -> LedgerFuture<'_, u64> {
        self.write((deliveries, now), redeliver::dead)
    }

    fn drop_dead(&self, deliveries: Vec<DeliveryId>, now: Moment) -> LedgerFuture<'_, u64> {
        self.write((deliveries, now), redeliver::drop_dead)
    }

    fn prune(&self, received_before: Moment, now: Moment) -> LedgerFuture<'_, Pruned> {
        self.write((received_before, now), prune::run)
    }

    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        self.readers.read(move |connection| read::events(connection, &filter, page))
    }

    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        self.readers.read(move |connection| read::event(connection, id))
    }

    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        self.readers.read(move |connection| read::deliveries(connection, &filter, page))
    }

    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        self.readers.read(move |connection| read::refused(connection, &filter, page))
    }

    fn stats(&self, now: Moment) -> LedgerFuture<'_, Stats> {
        let path = self.path.clone();
        self.readers.read(move |connection| {
            let ledger_bytes = open::files_of(&path).iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
            read::stats(connection, now, ledger_bytes)
        })
    }

    fn check(&self) -> LedgerFuture<'_, ()> {
        let commit: writer::Run<(), ()> = |transaction, ()| {
            transaction.connection.prepare_cached("UPDATE checks SET count = count + 1")?.execute([]).map(drop)
        };
        Box::pin(async move {
            self.write((), commit).await?;
            self.damage.found()
        })
    }

    fn close(&self) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            // First, so that the writer is the last to close: that one copies the WAL into the file.
            self.readers.close();
            match &self.writer {
                Some(writer) => writer.close().await,
                None => Ok(()),
            }
        })
    }
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLedger").field("path", &self.path).finish_non_exhaustive()
    }
}
