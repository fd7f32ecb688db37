//! The thread that takes events into the index of terms, behind the one that writes.

use super::open;
use super::terms::{forget_segment, next_batch, next_forgotten, next_merge, put_batch, put_merged};
use super::writer::Writer;
use crate::ledger::LedgerError;
use rusqlite::Connection;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at what is new.
const EVERY: Duration = Duration::from_millis(250);
/// Of so many looks, one is for segments of which no event is left.
const FORGET_EVERY: u32 = 240;
/// After each piece of work it rests for so many times as long: what comes in must not wait for it.
const REST: u32 = 2;

/// The handle of the thread.
pub(super) struct Indexer(Mutex<Option<(Sender<()>, JoinHandle<()>)>>);

impl Indexer {
    /// Starts the thread, which takes in so many events together.
    pub(super) fn start(path: &Path, writer: Arc<Writer>, together: usize) -> Result<Self, LedgerError> {
        let connection = open::to_read(path)?;
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("terms".into())
            .spawn(move || {
                Thread { connection, writer, together: together.max(1), stopped, seen: None, forgets: false }.work()
            })
            .map_err(|error| LedgerError::Failed(format!("no thread could be started ({})", error.kind()).into()))?;
        Ok(Self(Mutex::new(Some((stop, thread)))))
    }

    /// Ends the thread after the piece of work that it is at.
    pub(super) async fn stop(&self) {
        if let Some((stop, thread)) = self.take() {
            drop(stop);
            let _ = tokio::task::spawn_blocking(|| thread.join()).await;
        }
    }

    fn take(&self) -> Option<(Sender<()>, JoinHandle<()>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

struct Thread {
    connection: Connection,
    writer: Arc<Writer>,
    together: usize,
    stopped: Receiver<()>,
    /// The state of the file in which nothing was to be done.
    seen: Option<i64>,
    /// Whether to look for segments of which no event is left.
    forgets: bool,
}

impl Thread {
    fn work(mut self) {
        let (mut pause, mut look) = (EVERY, 0_u32);
        while self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let began = Instant::now();
            self.forgets |= look.is_multiple_of(FORGET_EVERY);
            look = look.wrapping_add(1);
            pause = match self.look() {
                Ok(true) => began.elapsed() * REST,
                Ok(false) => EVERY,
                Err(LedgerError::Closed) => return,
                // The writing thread says what is wrong with the file.
                Err(error) => {
                    tracing::debug!(%error, "the index of terms could not be written");
                    EVERY * 40
                }
            };
        }
    }

    /// Does one piece of work; says whether there was one.
    fn look(&mut self) -> Result<bool, LedgerError> {
        if self.forgets {
            if let Some(number) = next_forgotten(&self.connection)? {
                self.writer.submit_blocking(number, forget_segment)?;
                return Ok(true);
            }
            self.forgets = false;
        }
        let version: i64 = self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if self.seen == Some(version) {
            return Ok(false);
        }
        if let Some(merged) = next_merge(&self.connection)? {
            self.writer.submit_blocking(merged, put_merged)?;
            return Ok(true);
        }
        if let Some(batch) = next_batch(&self.connection, self.together)? {
            self.writer.submit_blocking(batch, put_batch)?;
            return Ok(true);
        }
        self.seen = Some(version);
        Ok(false)
    }
}
