//! Brings the tables to this version.

use super::connection::Connection;
use super::error::Fault;
use crate::ledger::LedgerError;
use uuid::Uuid;

/// The tables, a step for each version of them.
const MIGRATIONS: [&str; 1] = [include_str!("schema/001.sql")];
/// The version of the tables.
const VERSION: i32 = MIGRATIONS.len() as i32;

/// Makes the schema and its tables, or brings them to this version; says the ledger's id.
pub(super) async fn run(connection: &mut Connection, schema: &str, makes_tables: bool) -> Result<Uuid, LedgerError> {
    migrate(connection, schema, makes_tables).await?
}

async fn migrate(
    connection: &mut Connection,
    schema: &str,
    makes_tables: bool,
) -> Result<Result<Uuid, LedgerError>, Fault> {
    let transaction = connection.transaction().await?;
    let is_there: bool = transaction.query_one("SELECT to_regclass('ledger') IS NOT NULL", &[]).await?.try_get(0)?;
    if !is_there && !makes_tables {
        let found = format!("expected the tables of a ledger in the schema {schema} of this database, found none");
        return Ok(Err(LedgerError::Unknown(found.into())));
    }
    // One receiver at a time.
    transaction
        .execute("SELECT pg_advisory_xact_lock(hashtextextended('pylon-receiver ' || $1, 0))", &[&schema])
        .await?;
    transaction.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", schema.replace('"', "\"\""))).await?;
    let is_there: bool = transaction.query_one("SELECT to_regclass('ledger') IS NOT NULL", &[]).await?.try_get(0)?;
    let found = match is_there {
        true => transaction.query_one("SELECT version FROM ledger", &[]).await?.try_get(0)?,
        false => 0,
    };
    if !(0..=VERSION).contains(&found) {
        return Ok(Err(LedgerError::Unknown(
            format!("expected version {VERSION} in the schema {schema}, found {found}; use the newer pylon-receiver")
                .into(),
        )));
    }
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.batch_execute(sql).await?;
        let version = step as i32 + 1;
        match step {
            0 => transaction.execute("INSERT INTO ledger (version) VALUES ($1)", &[&version]).await?,
            _ => transaction.execute("UPDATE ledger SET version = $1", &[&version]).await?,
        };
    }
    let id = transaction.query_one("SELECT id FROM ledger", &[]).await?.try_get(0)?;
    transaction.commit().await?;
    Ok(Ok(id))
}
