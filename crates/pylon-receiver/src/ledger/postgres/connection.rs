//! Connections: what they are for, and the pools that keep them.

use super::connector::Connector;
use super::error::Fault;
use super::pulse::Pulse;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};
use tokio_postgres::Notification;

/// A connection of a pool, with its prepared statements.
pub(super) type Connection = managed::Object<Keeper>;
/// A pool of connections.
pub(super) type Pool = managed::Pool<Keeper>;

/// How long to wait for a connection that others use.
const WAIT: Duration = Duration::from_secs(5);
/// A connection that is given up after a silence of this length shows that its server is gone.
const SILENT: Duration = Duration::from_secs(2);
/// How long a transaction that somebody left may take to end.
const ROLL_BACK: Duration = Duration::from_secs(1);

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
            Self::Write | Self::Listen | Self::Probe | Self::Chores => "3s",
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

/// A connection to the server.
pub(super) struct Session {
    pub(super) client: ClientWrapper,
    pub(super) pulse: Arc<Pulse>,
    pub(super) warnings: Arc<AtomicU64>,
    pub(super) connector: Arc<Connector>,
    /// The place of its host in the address.
    pub(super) place: usize,
    pub(super) generation: u64,
}

impl Drop for Session {
    /// What its end says of the server concerns the other connections too.
    fn drop(&mut self) {
        if self.pulse.silence() > SILENT {
            self.connector.distrust(self.place, self.generation);
        } else if self.pulse.is_unfit() {
            self.connector.renew(self.generation);
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

/// Makes the connections of a pool, and looks at each before it is used again.
pub(super) struct Keeper {
    connector: Arc<Connector>,
    used_for: Use,
    /// One connects at a time.
    turn: Mutex<()>,
}

impl managed::Manager for Keeper {
    type Type = Session;
    type Error = Fault;

    async fn create(&self) -> Result<Session, Fault> {
        let asked = Instant::now();
        let _turn = self.turn.lock().await;
        Ok(self.connector.connect(self.used_for, asked).await?.session)
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<Fault> {
        if session.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        if session.pulse.is_unfit() {
            return Err(RecycleError::message("no longer fit"));
        }
        if session.generation != *self.connector.generations().borrow() {
            return Err(RecycleError::message("to be renewed"));
        }
        if !session.pulse.is_at_rest() {
            // Its last user left something under way.
            let _ = timeout(ROLL_BACK, session.batch_execute("ROLLBACK")).await;
            if !session.pulse.is_at_rest() {
                return Err(RecycleError::message("in use by nobody"));
            }
        }
        Ok(())
    }
}

/// Makes a pool of connections for a use.
pub(super) fn pool(connector: &Arc<Connector>, used_for: Use, size: usize) -> Result<Pool, Fault> {
    let keeper = Keeper { connector: connector.clone(), used_for, turn: Mutex::default() };
    let builder = Pool::builder(keeper).max_size(size).runtime(deadpool::Runtime::Tokio1).wait_timeout(Some(WAIT));
    builder.build().map_err(|error| Fault::Other(error.to_string().into()))
}

/// Gives up connections of earlier generations that nobody uses.
pub(super) fn renew(pool: &Pool, generation: u64) {
    pool.retain(|session, _| session.generation == generation);
}
