//! A session: what it is for, which decides its settings and its time-outs, and what is known of it.

use super::pulse::Pulse;
use deadpool_postgres::ClientWrapper;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_postgres::Notification;

/// A connection that is given up after a silence of this length shows that its server is gone, if no other one has heard of the server.
const SILENT: Duration = Duration::from_secs(2);

/// What a connection is for, which decides its settings and its time-outs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Records events: its commits wait for standbys as the server is set up.
    Write,
    /// Settles and claims.
    Deliver,
    /// Reads, and carries out orders of operators.
    Read,
    /// Cleans up, which may take minutes.
    Chores,
    /// Tells other receivers, and hears from them.
    Listen,
    /// Finds out what a commit is worth.
    Probe,
}

impl Use {
    /// The name that the server shows.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Deliver => "deliver",
            Self::Read => "read",
            Self::Chores => "chores",
            Self::Listen => "listen",
            Self::Probe => "probe",
        }
    }

    /// Whether connections for it are in a pool; otherwise each user has one of its own.
    pub(super) const fn has_pool(self) -> bool {
        !matches!(self, Self::Listen | Self::Probe)
    }

    /// How long the server works on one statement, as the server writes it. It does not end a commit that waits for a standby.
    pub(super) const fn statement_timeout(self) -> &'static str {
        match self {
            Self::Write | Self::Listen | Self::Probe => "4s",
            Self::Deliver => "10s",
            Self::Read => "30s",
            Self::Chores => "10min",
        }
    }

    /// How long a statement waits for others.
    pub(super) const fn lock_timeout(self) -> &'static str {
        match self {
            // Whoever is behind in the queue waits as long.
            Self::Write => "1s",
            Self::Listen | Self::Probe | Self::Chores => "3s",
            Self::Deliver => "5s",
            Self::Read => "10s",
        }
    }

    /// How long the server may be silent while it owes an answer; then the connection is given up. Above the time of a statement, so that
    /// the server has the first word.
    pub(super) const fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Write | Self::Listen | Self::Probe => 5,
            Self::Deliver => 12,
            Self::Read => 33,
            Self::Chores => 11 * 60,
        })
    }
}

/// Hears what the end of a connection says of its server.
pub(super) trait Renewal: Send + Sync {
    /// Has connections renewed, unless that has been done since this generation, and begins with the host after this one, which says nothing
    /// any more.
    fn distrust(&self, place: usize, generation: u64);

    /// Has connections renewed, unless that has been done since this generation.
    fn renew(&self, generation: u64);
}

/// A connection to the server.
pub(super) struct Session {
    pub(super) client: ClientWrapper,
    pub(super) pulse: Arc<Pulse>,
    pub(super) warnings: Arc<AtomicU64>,
    pub(super) renewal: Arc<dyn Renewal>,
    /// The place of its host in the address.
    pub(super) place: usize,
    pub(super) generation: u64,
}

impl Drop for Session {
    /// What its end says of the server concerns the other connections too.
    fn drop(&mut self) {
        if self.pulse.silence() > SILENT && self.pulse.is_host_silent() {
            self.renewal.distrust(self.place, self.generation);
        } else if self.pulse.is_unfit() {
            self.renewal.renew(self.generation);
        }
    }
}

impl Session {
    /// How often the server has warned. Where this has changed over a commit of events, no standby has confirmed it: that is the one warning
    /// such a commit meets.
    pub(super) fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Acquire)
    }
}

impl Deref for Session {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        &mut self.client
    }
}

/// A connection of one user's own, with what other sessions notify it of. The notifications end with the connection.
pub(super) struct Dedicated {
    pub(super) session: Session,
    pub(super) notifications: mpsc::UnboundedReceiver<Notification>,
}
