//! Whether a pooler in front of the server gives each transaction another session, as PgBouncer does with `pool_mode = transaction`.
//!
//! Settings, prepared statements, LISTEN and the order of what is sent without waiting belong to a session: without one of its own, a ledger
//! would work by chance.

use super::connection::Connection;
use super::connector::Connector;
use super::error::Fault;
use super::session::Use;
use crate::ledger::LedgerError;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Refuses a connection whose session is lent to others between transactions. While another connection holds a transaction, such a pooler
/// has to give this one another session than before.
pub(super) async fn examine(connection: &Connection, connector: &Arc<Connector>) -> Result<(), LedgerError> {
    match is_shared(connection, connector).await? {
        false => Ok(()),
        true => Err(LedgerError::Failed(
            "expected a session of PostgreSQL for each connection, found a pooler that shares them among transactions, such as PgBouncer with \
             `pool_mode = transaction`; connect to PostgreSQL itself, or set `pool_mode = session`"
                .into(),
        )),
    }
}

async fn is_shared(connection: &Connection, connector: &Arc<Connector>) -> Result<bool, Fault> {
    let other = connector.connect(Use::Probe, Instant::now()).await?;
    let before = backend(connection).await?;
    other.session.batch_execute("BEGIN; SELECT 1").await?;
    let after = backend(connection).await;
    other.session.batch_execute("ROLLBACK").await?;
    Ok(before != after?)
}

/// The number of the server's process that answers; without a prepared statement, which such a pooler would lose.
async fn backend(client: &Client) -> Result<Option<String>, Fault> {
    let answers = client.simple_query("SELECT pg_backend_pid()").await?;
    Ok(answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
