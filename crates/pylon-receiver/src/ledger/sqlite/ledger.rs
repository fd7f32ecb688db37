//! The handle of the ledger: hands each method to the writing thread or to a reader.

use super::checkpoint::Checkpointer;
use super::error::Damage;
use super::files::{self, Found, LedgerFiles};
use super::indexer::Indexer;
use super::moving::Purpose;
use super::open;
use super::options::SqliteOptions;
use super::readers::Readers;
use super::writer::{Run, Writer};
use super::{backup, exchange, lease, orders, prune, read, record, refused};
use crate::id::{DeliveryId, EventId};
use crate::ledger::{
    Backup, BegunOrder, Bell, Carried, DeadGroup, DeliveryFilter, DeliveryRecord, EventDetail, EventFilter,
    EventRecord, Exchange, Exchanged, FoundEvents, Lease, Ledger, LedgerError, LedgerFuture, NewEvent, NewOrder,
    NewRefused, OrderEnd, OrderPart, OrderRecord, Owner, Page, Prune, Pruned, Recorded, RefusedFilter, RefusedRecord,
    Stats, Wakes,
};
use crate::time::{Moment, SystemWallClock, WallClock};
use rusqlite::Connection;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Keeps events in one SQLite file, in WAL mode with `synchronous = FULL`: what it confirmed survives a loss of power, if the
/// disk keeps what it confirmed to have synced.
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
    /// Ends before the thread that writes. None: the ledger is not served.
    indexer: Option<Indexer>,
    /// None: the file is only read.
    writer: Option<Arc<Writer>>,
    readers: Readers,
    bell: Bell,
    clock: Arc<dyn WallClock>,
    damage: Damage,
    path: PathBuf,
}

impl SqliteLedger {
    /// Opens the file, or makes it. Leases of a process that ended count as interruptions.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] if another process, or another ledger of this one, has it open to write;
    /// [`LedgerError::Damaged`] or [`LedgerError::Unknown`] if it is no sound ledger of this version or an earlier one;
    /// [`LedgerError::Moved`] if it was moved to another ledger, or a copy into it has not ended;
    /// [`LedgerError::ReadOnly`], [`LedgerError::Full`], [`LedgerError::Failed`].
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, LedgerError> {
        let together = options.indexed_together;
        let mut ledger = Self::open_for(Purpose::Serve, path.as_ref(), options)?;
        if let Some(writer) = &ledger.writer {
            ledger.indexer = Some(Indexer::start(&ledger.path, writer.clone(), together)?);
        }
        Ok(ledger)
    }

    /// Opens the file for a purpose.
    pub(super) fn open_for(purpose: Purpose, path: &Path, options: SqliteOptions) -> Result<Self, LedgerError> {
        Self::open_with(purpose, path, options, |_| Ok(())).map(|(ledger, ())| ledger)
    }

    /// The same, once something is done by the connection that writes.
    pub(super) fn open_with<T>(
        purpose: Purpose,
        path: &Path,
        options: SqliteOptions,
        begin: impl FnOnce(&mut Connection) -> Result<T, LedgerError>,
    ) -> Result<(Self, T), LedgerError> {
        let files = Arc::new(LedgerFiles::take(path, open::VERSION)?);
        backup::remove_unfinished(files.path());
        let mut connection = open::to_write(files.path(), purpose)?;
        let begun = begin(&mut connection)?;
        let (damage, bell, clock) = (Damage::default(), Bell::default(), options.clock.clone());
        let readers = Readers::beside(files.clone(), damage.clone())?;
        let checkpointer = Checkpointer::start(files.clone(), &mut connection)?;
        files.watch(open::page_size(&connection)?)?;
        let path = files.path().to_owned();
        let writer = Writer::start(connection, checkpointer, files, options, damage.clone(), bell.clone())?;
        Ok((Self { indexer: None, writer: Some(Arc::new(writer)), readers, bell, clock, damage, path }, begun))
    }

    /// Whether a ledger could be opened or made at a path, as far as can be told without changing anything. That another process has it
    /// open is no fault.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn examine(path: impl AsRef<Path>) -> Result<(), LedgerError> {
        files::examine(path.as_ref(), open::VERSION)
    }

    /// Opens a file that exists, to read it; another process may write it meanwhile. Every method that would write answers
    /// [`LedgerError::ReadOnly`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        exists(path)?;
        let damage = Damage::default();
        let readers = Readers::open(path, damage.clone())?;
        let (bell, clock) = (Bell::default(), Arc::new(SystemWallClock));
        Ok(Self { indexer: None, writer: None, readers, bell, clock, damage, path: path.into() })
    }

    /// The path without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads on a thread of its own.
    pub(super) fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> LedgerFuture<'_, T> {
        self.readers.read(query)
    }

    /// Does a job on the writing thread, once there is room for it.
    pub(super) fn write<I: Send + 'static, O: Send + 'static>(&self, input: I, run: Run<I, O>) -> LedgerFuture<'_, O> {
        Box::pin(async move { self.writer.as_ref().ok_or(LedgerError::ReadOnly)?.submit(input, run).await })
    }

    /// The same, or [`LedgerError::Busy`] if there is no room now.
    pub(super) fn write_now<I: Send + 'static, O: Send + 'static>(
        &self,
        input: I,
        run: Run<I, O>,
    ) -> LedgerFuture<'_, O> {
        Box::pin(async move { self.writer.as_ref().ok_or(LedgerError::ReadOnly)?.submit_now(input, run).await })
    }

    /// The same, by this clock.
    pub(super) fn read_by_clock<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, Arc<dyn WallClock>) -> rusqlite::Result<T> + Send + 'static,
    ) -> LedgerFuture<'_, T> {
        let clock = self.clock.clone();
        self.readers.read(move |connection| query(connection, clock))
    }
}

/// Refuses a path where there is nothing.
pub(super) fn exists(path: &Path) -> Result<(), LedgerError> {
    match files::look_at(path, open::VERSION)? {
        Found::Nothing => Err(LedgerError::Failed(format!("there is no file {}", path.display()).into())),
        Found::File => Ok(()),
    }
}

impl Ledger for SqliteLedger {
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded> {
        self.write_now(event, record::run)
    }

    fn keep_refused(&self, refused: NewRefused) {
        if let Some(writer) = &self.writer {
            writer.submit_if_idle(refused, refused::run);
        }
    }

    fn exchange(&self, exchange: Exchange) -> LedgerFuture<'_, Exchanged> {
        self.write(exchange, exchange::run)
    }

    fn renew(&self, leases: Vec<Lease>, length: Duration) -> LedgerFuture<'_, Vec<bool>> {
        self.write((leases, length), lease::renew)
    }

    fn release(&self, owner: Owner) -> LedgerFuture<'_, u64> {
        self.write(owner, lease::release)
    }

    fn wakes(&self) -> Wakes {
        self.bell.wakes()
    }

    fn begin_order(&self, order: NewOrder) -> LedgerFuture<'_, BegunOrder> {
        self.write(order, orders::begin)
    }

    fn carry_out(&self, number: u64, part: OrderPart) -> LedgerFuture<'_, Carried> {
        self.write((number, part), orders::carry_out)
    }

    fn end_order(&self, number: u64, end: OrderEnd) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.write((number, end), orders::end)
    }

    fn cancel_order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.write(number, orders::cancel)
    }

    fn orders(&self, page: Page<u64>) -> LedgerFuture<'_, Vec<OrderRecord>> {
        self.read_by_clock(move |connection, clock| orders::list(connection, clock, page))
    }

    fn order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        self.read_by_clock(move |connection, clock| orders::order(connection, clock, number))
    }

    fn present(&self) -> LedgerFuture<'_, Moment> {
        let now = self.clock.now();
        Box::pin(async move { Ok(now) })
    }

    fn prune(&self, prune: Prune) -> LedgerFuture<'_, Pruned> {
        self.write(prune, prune::run)
    }

    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        self.readers.read(move |connection| read::events(connection, &filter, page))
    }

    fn search(&self, filter: EventFilter, page: Page<EventId>, within: Duration) -> LedgerFuture<'_, FoundEvents> {
        self.readers.read(move |connection| read::search(connection, &filter, page, within))
    }

    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        self.read_by_clock(move |connection, clock| read::event(connection, clock, id))
    }

    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        self.read_by_clock(move |connection, clock| read::deliveries(connection, clock, &filter, page))
    }

    fn dead_groups(&self) -> LedgerFuture<'_, Vec<DeadGroup>> {
        self.readers.read(read::dead_groups)
    }

    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        self.readers.read(move |connection| read::refused(connection, &filter, page))
    }

    fn stats(&self) -> LedgerFuture<'_, Stats> {
        let path = self.path.clone();
        self.read_by_clock(move |connection, clock| {
            let ledger_bytes = files::files_of(&path).iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
            read::stats(connection, clock, ledger_bytes)
        })
    }

    fn check(&self) -> LedgerFuture<'_, ()> {
        // Every commit writes the time.
        let nothing: Run<(), ()> = |_, ()| Ok(());
        Box::pin(async move {
            self.write((), nothing).await?;
            self.damage.found()
        })
    }

    fn backup(&self) -> LedgerFuture<'_, Backup> {
        let path = self.path.clone();
        Box::pin(async move { self.readers.read(move |connection| backup::run(connection, &path)).await? })
    }

    fn close(&self) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            if let Some(indexer) = &self.indexer {
                indexer.stop().await;
            }
            // First, so that the writer is the last to close: that one copies the WAL into the file.
            self.readers.close().await;
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
