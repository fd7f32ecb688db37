//! The server process over a folder of data.

use super::installation::Installation;
use crate::process::Running;
use crate::wait::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Once every session has ended of itself.
    Smart,
    /// Ends the sessions, rolls back what they do, writes a checkpoint.
    Fast,
    /// At once, without a checkpoint: the next start recovers from the WAL.
    Immediate,
    /// Kills the first process; the others end as they notice. The next start recovers from the WAL.
    Kill,
}

/// How long anything that PostgreSQL does may take, loading a million rows on a busy machine included.
pub(super) const BOUND: Duration = Duration::from_secs(120);
/// What a start fails with while something ends that will have ended soon.
const PASSING: [&str; 3] =
    ["Address already in use", "pre-existing shared memory block", "lock file \"postmaster.pid\""];

#[derive(Debug)]
pub(super) struct Server {
    running: Running,
    frozen: Vec<Pid>,
}

impl Server {
    /// Starts it, and waits until it takes connections.
    #[track_caller]
    pub(super) fn start(installation: &Installation, data: &Path, log: &Path) -> Self {
        let began = Instant::now();
        loop {
            let earlier = std::fs::metadata(log).map_or(0, |found| found.len());
            let program = installation.program("postgres").argument("-D").argument(data).last_signal("QUIT");
            let mut running = program.start(log);
            if wait_until_ready(&mut running, data, began) {
                return Self { running, frozen: Vec::new() };
            }
            drop(running);
            let written = std::fs::read(log).unwrap_or_default().split_off(usize::try_from(earlier).unwrap());
            let written = String::from_utf8_lossy(&written);
            let is_passing = PASSING.iter().any(|reason| written.contains(reason)) && began.elapsed() < BOUND;
            assert!(
                is_passing,
                "PostgreSQL does not take connections after {:?}; it wrote:\n{written}",
                began.elapsed()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.running.id()
    }

    pub(super) fn reload(&mut self) {
        self.running.signal(Signal::HUP);
    }

    /// Stops it, and waits until it has ended.
    ///
    /// # Panics
    /// If it does not in time; it is killed then.
    #[track_caller]
    pub(super) fn stop(mut self, how: Stop) {
        self.thaw();
        self.running.signal(match how {
            Stop::Smart => Signal::TERM,
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
            Stop::Kill => Signal::KILL,
        });
        let ended = self.running.wait(BOUND);
        assert!(ended.is_some() || std::thread::panicking(), "PostgreSQL has not stopped ({how:?}) within {BOUND:?}");
    }

    /// Stops the time of all its processes, and waits for that.
    #[track_caller]
    pub(super) fn freeze(&mut self) {
        self.running.signal(Signal::STOP);
        let id = self.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        self.frozen = children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect();
        for child in &self.frozen {
            let _ = kill_process(*child, Signal::STOP);
        }
        let all = self.frozen.iter().map(|child| child.as_raw_nonzero().to_string()).chain([id.to_string()]);
        for process in all {
            // One that has ended has no state.
            let state = || std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let has_stopped = || state().rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z']));
            eventually("a process of PostgreSQL stops", || has_stopped().then_some(()));
        }
    }

    /// Lets time go on.
    pub(super) fn thaw(&mut self) {
        for child in self.frozen.drain(..) {
            // They are still children of the server, which cannot have waited for them.
            let _ = kill_process(child, Signal::CONT);
        }
        self.running.signal(Signal::CONT);
    }
}

/// Whether it takes connections; not if it has ended instead.
fn wait_until_ready(running: &mut Running, data: &Path, began: Instant) -> bool {
    let file: PathBuf = data.join("postmaster.pid");
    let id = running.id().to_string();
    while running.ended().is_none() && began.elapsed() < BOUND {
        // Its first line is the process that wrote it, its eighth the state.
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() == Some(&*id) && lines.nth(6).map(str::trim_end) == Some("ready") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}
