//! Opens the file: the lock, the settings, the version.

use crate::ledger::LedgerError;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "PyLR", in the file's header: whose file this is.
const APPLICATION_ID: i64 = 0x5079_4c52;
/// The schema, a step for each version of it.
const MIGRATIONS: [&str; 1] = [include_str!("schema/001.sql")];
/// Earlier ones can lose commits when connections reset the WAL (sqlite.org, release log of 3.51.3).
const FIRST_SOUND_SQLITE: i32 = 3_051_003;

/// Held by the process that writes the ledger. It lies beside the file, because SQLite's own locks end when any handle of the file
/// closes.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says that another process has it.
    pub(super) fn take(path: &Path) -> Result<Self, LedgerError> {
        let lock = beside(path, "-lock");
        let file = private().open(&lock).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => LedgerError::ReadOnly,
            kind => LedgerError::Failed(format!("{} cannot be opened ({kind})", lock.display()).into()),
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(LedgerError::InUse(format!("{} is open in another receiver", path.display()).into()))
            }
            Err(TryLockError::Error(error)) => {
                Err(LedgerError::Failed(format!("{} cannot be locked ({})", lock.display(), error.kind()).into()))
            }
        }
    }
}

/// The path without links: two names of one file are one ledger.
pub(super) fn resolved(path: &Path) -> Result<PathBuf, LedgerError> {
    if let Ok(resolved) = path.canonicalize() {
        return Ok(resolved);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => Ok(folder.join(name)),
        _ => {
            let folder = folder.display();
            Err(LedgerError::Failed(format!("expected a folder {folder}, found none; make it").into()))
        }
    }
}

/// The file and those that SQLite keeps beside it.
pub(super) fn files_of(path: &Path) -> [PathBuf; 3] {
    [path.into(), beside(path, "-wal"), beside(path, "-shm")]
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens the file to write: makes it if there is none, brings it to this version, and ends the leases of an ended process.
pub(super) fn to_write(path: &Path) -> Result<Connection, LedgerError> {
    if rusqlite::version_number() < FIRST_SOUND_SQLITE {
        return Err(LedgerError::Failed(format!("SQLite {} can lose commits", rusqlite::version()).into()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if !path.exists() {
        // SQLite gives the files that it makes beside it the same permissions.
        private().open(path).map_err(|error| match error.kind() {
            ErrorKind::StorageFull => LedgerError::Full,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => LedgerError::ReadOnly,
            kind => LedgerError::Failed(format!("{} cannot be made ({kind})", path.display()).into()),
        })?;
    }
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| explained(error, path))?;
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
    end_leases(&mut connection)?;
    Ok(connection)
}

/// Opens the file that is open to write already, to copy the WAL into it.
pub(super) fn to_checkpoint(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| explained(error, path))?;
    prepare(&connection)?;
    set(&connection, "synchronous", "full", "2")?;
    set(&connection, "wal_autocheckpoint", "0", "0")?;
    Ok(connection)
}

/// Opens the file to read.
pub(super) fn to_read(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| explained(error, path))?;
    prepare(&connection)?;
    check_owner(&connection, path)?;
    match version(&connection)? {
        version if version == MIGRATIONS.len() as i64 => Ok(connection),
        found => Err(LedgerError::Unknown(
            format!("expected version {} in {}, found {found}", MIGRATIONS.len(), path.display()).into(),
        )),
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
    if owner == APPLICATION_ID || (owner == 0 && tables == 0) {
        return Ok(());
    }
    Err(LedgerError::Unknown(format!("{} is a SQLite file of another program", path.display()).into()))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let found = version(connection)?;
    let done = usize::try_from(found).ok().filter(|&done| done <= MIGRATIONS.len()).ok_or_else(|| {
        let newest = MIGRATIONS.len();
        LedgerError::Unknown(
            format!(
                "expected at most version {newest} in {}, found {found}; run a newer pylon-receiver",
                path.display()
            )
            .into(),
        )
    })?;
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
        "UPDATE deliveries SET interruptions = interruptions + 1 WHERE seq IN (SELECT delivery_seq FROM leases);
         DELETE FROM leases;",
    )?;
    transaction.commit()
}

/// For the owner alone: events hold customers' words.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn explained(error: rusqlite::Error, path: &Path) -> LedgerError {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) if path.is_dir() => {
            LedgerError::Failed(format!("expected a file at {}, found a folder", path.display()).into())
        }
        _ => error.into(),
    }
}
