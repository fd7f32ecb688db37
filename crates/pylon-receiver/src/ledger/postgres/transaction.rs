//! Transactions: bounded in time, tried again where others are in their way, and never left open.

use super::connection::Connection;
use super::error::Fault;
use std::ops::Deref;
use std::time::Duration;

/// A connection that is in a transaction, or may be. It is closed where that does not come to its end, so that nobody gets a connection
/// whose transaction is still open.
pub(super) struct Transaction(Option<Connection>);

impl Transaction {
    /// A transaction begins on the connection.
    pub(super) fn on(connection: Connection) -> Self {
        Self(Some(connection))
    }

    /// The server has said that the transaction has ended: others may have the connection.
    pub(super) fn ended(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_ref().expect("it is there until it ends")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Connection::take(connection));
        }
    }
}

/// How long one transaction may take. The server ends what takes too long, and says so, long before: this is for a server that says
/// nothing.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// How often something is tried at once when others are in its way.
const MOST_TRIES: usize = 5;

/// Does the work, which is one transaction, within a bounded time; at once again where another transaction was in its way.
pub(super) async fn tried<T, W>(mut work: impl FnMut() -> W) -> Result<T, Fault>
where
    W: Future<Output = Result<T, Fault>>,
{
    for _ in 1..MOST_TRIES {
        match once(work()).await {
            Err(Fault::Again(_)) => {}
            result => return result,
        }
    }
    once(work()).await
}

/// Does the work, which is one transaction, within a bounded time.
async fn once<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(ANSWERED_WITHIN, work).await {
        Ok(result) => result,
        Err(_) => Err(Fault::Away(format!("the database gave no answer in {} s", ANSWERED_WITHIN.as_secs()).into())),
    }
}
