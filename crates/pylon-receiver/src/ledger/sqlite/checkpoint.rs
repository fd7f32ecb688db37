//! Copies the WAL into the file, beside the thread that writes.
//!
//! SQLite would copy within a commit, which then waits for all of it. Here a second thread copies while the first goes on to
//! commit. When it is done, the first copies what came meanwhile, which is little, and the WAL begins anew.

use super::files::LedgerFiles;
use super::open;
use crate::ledger::LedgerError;
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The WAL is copied when it has this many pages: 16 MiB of 4 KiB each.
const PAGES: i32 = 4096;

/// Pages that the writing thread copies itself: few enough that a commit behind them is not late.
const FEW: i32 = PAGES / 8;

/// The handle of the thread that copies, held by the one that writes.
pub(super) struct Checkpointer {
    /// None: the thread is to end.
    begin: Option<SyncSender<()>>,
    /// How many pages the WAL had after the last commit.
    pages: Arc<AtomicI32>,
    copied: Arc<AtomicBool>,
    files: Arc<LedgerFiles>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread, for the connection that writes.
    pub(super) fn start(files: Arc<LedgerFiles>, writing: &mut Connection) -> Result<Self, LedgerError> {
        let pages = Arc::new(AtomicI32::new(0));
        let counted = pages.clone();
        writing.wal_hook(Some(move |_: &mut Wal, count| {
            counted.store(count, Ordering::Relaxed);
            Ok(())
        }))?;
        let connection = open::to_checkpoint(files.path())?;
        let (begin, begun) = sync_channel(1);
        let copied = Arc::new(AtomicBool::new(false));
        let (done, written) = (copied.clone(), files.clone());
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                work(&connection, &written, &begun, &done);
                // Before the last handle of the file itself.
                drop(connection);
                drop(written);
            })
            .map_err(|error| LedgerError::Failed(format!("no thread could be started ({})", error.kind()).into()))?;
        Ok(Self { begin: Some(begin), pages, copied, files, thread: Some(thread) })
    }

    /// After a commit, on the writing thread: has the WAL copied when it is long, and ends it when most is copied.
    pub(super) fn after_commit(&self, writing: &Connection) {
        if self.copied.swap(false, Ordering::Acquire) {
            self.copy(writing);
        } else if self.pages.load(Ordering::Relaxed) >= PAGES
            && let Some(begin) = &self.begin
        {
            // Full: the thread knows already.
            let _ = begin.try_send(());
        }
    }

    /// How many pages the WAL has.
    pub(super) fn pages(&self) -> u64 {
        u64::try_from(self.pages.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Copies the WAL now.
    pub(super) fn copy(&self, writing: &Connection) {
        copy(writing, &self.files);
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(connection: &Connection, files: &LedgerFiles, begun: &Receiver<()>, copied: &AtomicBool) {
    while begun.recv().is_ok() {
        let mut before = i32::MAX;
        // Again, as long as much is left and less than before: a reader may be in the way.
        while let Some(left) = copy(connection, files).filter(|&left| left < before) {
            if left <= FEW {
                copied.store(true, Ordering::Release);
                break;
            }
            before = left;
        }
    }
}

/// Copies all that no reader is in the way of; says how many pages are left. A failure is tried again when the WAL has grown.
fn copy(connection: &Connection, files: &LedgerFiles) -> Option<i32> {
    let copied = files.write(|| {
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            let (pages, copied): (i32, i32) = (row.get(1)?, row.get(2)?);
            Ok(pages - copied)
        })
    });
    let copied = copied.and_then(|copied| copied.map_err(LedgerError::from));
    copied.inspect_err(|error| tracing::warn!(%error, "the ledger's WAL could not be copied into its file")).ok()
}
