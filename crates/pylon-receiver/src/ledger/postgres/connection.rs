//! Connections, and the pools that keep them.

use super::connector::Connector;
use super::error::Fault;
use super::session::{Session, Use};
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// A connection of a pool, with its prepared statements.
pub(super) type Connection = managed::Object<Keeper>;
/// A pool of connections.
pub(super) type Pool = managed::Pool<Keeper>;

/// How long to wait for a connection that others use.
const WAIT: Duration = Duration::from_secs(5);
/// How long a transaction that somebody left may take to end.
const ROLL_BACK: Duration = Duration::from_secs(1);

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
            let _ = timeout(ROLL_BACK, end(session)).await;
            if !session.pulse.is_at_rest() {
                return Err(RecycleError::message("in use by nobody"));
            }
        }
        Ok(())
    }
}

/// Waits for what is under way, and ends the transaction that is open after that. The server warns of a rollback without a transaction.
async fn end(session: &Session) -> Result<(), tokio_postgres::Error> {
    // Asks for nothing, and is answered last: also behind a rollback that is queued and has not been sent.
    session.batch_execute("").await?;
    if !session.pulse.is_at_rest() {
        session.batch_execute("ROLLBACK").await?;
    }
    Ok(())
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
