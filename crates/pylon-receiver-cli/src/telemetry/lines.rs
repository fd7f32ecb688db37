//! Writes the lines of the log to standard error, in a thread of its own.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes that wait; lines beyond that are dropped and counted.
const CAPACITY: usize = 4 * 1024 * 1024;
/// The memory that an empty buffer keeps, in bytes.
const KEPT: usize = 64 * 1024;
/// How long to collect lines after a write, so that the next write has many of them.
const COLLECTING: Duration = Duration::from_millis(5);
/// How long to wait for standard error at the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes whole lines and writes them to standard error in a thread of its own: a slow reader of the log delays nobody who logs.
///
/// A single line is written at once, lines in quick succession within 5 ms. If nobody reads standard error, up to 4 MiB wait; lines
/// beyond that are dropped, and a warning says how many. A process that is killed loses lines that are not written yet.
#[derive(Debug, Clone)]
pub(crate) struct Lines(Arc<Shared>);

/// Ends the thread on drop, once everything is written; waits two seconds at most.
#[derive(Debug)]
pub(crate) struct LinesEnd(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There are new lines, or it is the end.
    woken: Condvar,
    /// The thread has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// In lines, since the last warning.
    dropped: u64,
    is_asleep: bool,
    is_to_end: bool,
    has_ended: bool,
}

impl Lines {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<(Self, LinesEnd)> {
        let shared = Arc::<Shared>::default();
        let writing = shared.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || writing.write_all(io::stderr()))?;
        Ok((Self(shared.clone()), LinesEnd(shared)))
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lines {
    /// Takes the whole line or drops it: one call is one line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.has_ended {
            return io::stderr().write(line);
        }
        if state.waiting.len() + line.len() > CAPACITY {
            state.dropped += 1;
        } else {
            state.waiting.extend_from_slice(line);
        }
        // Only if the thread sleeps: this avoids a system call for each line.
        if std::mem::take(&mut state.is_asleep) {
            drop(state);
            self.0.woken.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until the end.
    fn write_all(&self, mut stderr: impl Write) {
        let mut lines = Vec::new();
        while self.wait(&mut lines) {
            // There is no other place to report that this cannot be written.
            let _ = stderr.write_all(&lines);
            lines.clear();
            lines.shrink_to(KEPT);
            let dropped = std::mem::take(&mut self.state().dropped);
            if dropped > 0 {
                tracing::warn!(dropped, "lines of the log were dropped: standard error did not take them");
            }
            self.collect();
        }
    }

    /// Waits for lines and takes them; false: there are none left, and it is the end.
    fn wait(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.is_to_end {
                state.has_ended = true;
                self.ended.notify_all();
                return false;
            }
            state.is_asleep = true;
            state = self.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_asleep = false;
        std::mem::swap(lines, &mut state.waiting);
        true
    }

    fn collect(&self) {
        let to_go_on = |state: &mut State| !state.is_to_end;
        drop(self.woken.wait_timeout_while(self.state(), COLLECTING, to_go_on));
    }
}

impl Drop for LinesEnd {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_to_end = true;
        self.0.woken.notify_one();
        drop(self.0.ended.wait_timeout_while(state, PATIENCE, |state| !state.has_ended));
    }
}
