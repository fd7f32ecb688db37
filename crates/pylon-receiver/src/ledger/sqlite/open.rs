//! Opens connections to the file: the settings, the version.

use super::files::{APPLICATION_ID, foreign, newer};
use super::moving::{self, Purpose};
use super::orders;
use crate::ledger::LedgerError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// The schema, a step for each version of it.
const MIGRATIONS: [&str; 6] = [
    include_str!("schema/001.sql"),
    include_str!("schema/002.sql"),
    include_str!("schema/003.sql"),
    include_str!("schema/004.sql"),
    include_str!("schema/005.sql"),
    include_str!("schema/006.sql"),
];
/// The version of the schema.
pub(super) const VERSION: usize = MIGRATIONS.len();
/// Earlier ones can lose commits when connections reset the WAL (sqlite.org, release log of 3.51.3).
const FIRST_SOUND_SQLITE: i32 = 3_051_003;

/// Opens the file to write: brings it to this version, and ends the leases and breaks off the orders of an ended process.
pub(super) fn to_write(path: &Path, purpose: Purpose) -> Result<Connection, LedgerError> {
    if rusqlite::version_number() < FIRST_SOUND_SQLITE {
        return Err(LedgerError::Failed(format!("SQLite {} can lose commits", rusqlite::version()).into()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    check_owner(&connection, path)?;
    for (name, value, expected) in [
        ("journal_mode", "wal", "wal"),
        ("synchronous", "full", "2"),
        ("foreign_keys", "on", "1"),
        // See `checkpoint`.
        ("wal_autocheckpoint", "0", "0"),
    ] {
        set(&connection, name, value, expected)?;
    }
    migrate(&mut connection, path)?;
    moving::check(&connection, purpose)?;
    end_leases(&mut connection)?;
    orders::break_off(&connection)?;
    Ok(connection)
}

/// Opens the file that is open to write already, to copy the WAL into it.
pub(super) fn to_checkpoint(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    set(&connection, "synchronous", "full", "2")?;
    set(&connection, "wal_autocheckpoint", "0", "0")?;
    Ok(connection)
}

/// Opens the file to read.
pub(super) fn to_read(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    check_owner(&connection, path)?;
    match version(&connection)? {
        version if version == VERSION as i64 => Ok(connection),
        found => {
            Err(LedgerError::Unknown(format!("expected version {VERSION} in {}, found {found}", path.display()).into()))
        }
    }
}

fn prepare(connection: &Connection) -> Result<(), LedgerError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    set(connection, "cache_size", "-16000", "-16000")?;
    // For macOS, where a plain sync does not reach the disk; elsewhere they change nothing.
    set(connection, "fullfsync", "on", "1")?;
    set(connection, "checkpoint_fullfsync", "on", "1")?;
    set(connection, "temp_store", "memory", "2")?;
    connection.set_prepared_statement_cache_capacity(64);
    super::search::add_functions(connection)?;
    Ok(())
}

/// Sets a pragma and reads it back: SQLite ignores one that it does not take without a word.
fn set(connection: &Connection, name: &str, value: &str, expected: &str) -> Result<(), LedgerError> {
    connection.pragma_update(None, name, value)?;
    let found: rusqlite::types::Value = connection.pragma_query_value(None, name, |row| row.get(0))?;
    let found = match found {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        _ => String::new(),
    };
    if found == expected {
        return Ok(());
    }
    Err(LedgerError::Failed(format!("expected {name} to be {expected}, found that SQLite keeps it at {found}").into()))
}

/// Refuses a file that another program made.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if owner == i64::from(APPLICATION_ID) || (owner == 0 && tables == 0) {
        return Ok(());
    }
    Err(foreign(path))
}

/// The bytes of a page.
pub(super) fn page_size(connection: &Connection) -> rusqlite::Result<u64> {
    connection.pragma_query_value(None, "page_size", |row| row.get(0))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let found = version(connection)?;
    let done = usize::try_from(found).ok().filter(|&done| done <= VERSION);
    let done = done.ok_or_else(|| newer(path, found, VERSION))?;
    if done == 0 {
        // The one sign that a ledger was not where it should have been.
        tracing::info!(path = %path.display(), "created a new ledger");
    }
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// One process has the file, so every lease is that of a process that ended: an interruption.
fn end_leases(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "UPDATE deliveries SET interruptions = interruptions + 1, is_repeat = is_repeat OR interruptions > 0
         WHERE seq IN (SELECT delivery_seq FROM leases);
         DELETE FROM leases;",
    )?;
    transaction.commit()
}
