//! A copy of the ledger, made while it is written.
//!
//! `VACUUM INTO` reads the ledger as it is at one moment, and leaves out what was deleted. The copy is made beside the ledger, where
//! the receiver may write, in a file whose name nobody chooses: an operator's path would let everybody who may back up have the
//! receiver write there.

use crate::file::folder_of;
use crate::ledger::{Backup, LedgerError};
use rusqlite::Connection;
use rustix::fs::statvfs;
use std::ffi::OsString;
use std::fs::{read_dir, remove_file};
use std::path::Path;

/// What has to stay free for the ledger itself, in bytes, beside a quarter of the copy's length.
const RESERVE: u64 = 1024 * 1024;

/// Copies what the connection reads into a file beside the ledger at this path.
pub(super) fn run(connection: &Connection, path: &Path) -> rusqlite::Result<Result<Backup, LedgerError>> {
    let folder = folder_of(path);
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let length = (number("page_count")?.saturating_sub(number("freelist_count")?)).saturating_mul(number("page_size")?);
    if let Err(error) = has_room(&folder, length) {
        return Ok(Err(error));
    }
    let failed = |error: std::io::Error| {
        LedgerError::Failed(format!("no copy can be made in {} ({})", folder.display(), error.kind()).into())
    };
    let file = match tempfile::Builder::new().prefix(&beginning(path)).tempfile_in(&folder) {
        Ok(file) => file,
        Err(error) => return Ok(Err(failed(error))),
    };
    let Some(name) = file.path().to_str() else {
        let folder = folder.display();
        return Ok(Err(LedgerError::Failed(
            format!("expected the path of the ledger in UTF-8, found {folder}").into(),
        )));
    };
    connection.execute("VACUUM INTO ?1", [name])?;
    Ok(Backup::new(file.into_file()).map_err(failed))
}

/// A ledger that finds no room answers 503, so the copy must leave some.
fn has_room(folder: &Path, length: u64) -> Result<(), LedgerError> {
    let failed = |error: rustix::io::Errno| {
        let (folder, kind) = (folder.display(), std::io::Error::from(error).kind());
        LedgerError::Failed(format!("the room in {folder} cannot be found out ({kind})").into())
    };
    let disk = statvfs(folder).map_err(failed)?;
    let (free, needed) = (disk.f_bavail.saturating_mul(disk.f_frsize), length + length / 4 + RESERVE);
    if free >= needed {
        return Ok(());
    }
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(LedgerError::Failed(
        format!(
            "expected {} MiB of room for a copy in {}, found {}; make room, or stop the receiver and copy its files",
            mebibytes(needed),
            folder.display(),
            free >> 20
        )
        .into(),
    ))
}

/// How the names of unfinished copies begin.
fn beginning(path: &Path) -> OsString {
    let mut beginning = OsString::from(".");
    beginning.push(path.file_name().unwrap_or_default());
    beginning.push("-backup-");
    beginning
}

/// Removes copies that were never finished: their process was killed.
pub(super) fn remove_unfinished(path: &Path) {
    let beginning = beginning(path);
    let entries = read_dir(folder_of(path)).into_iter().flatten().flatten();
    let unfinished =
        entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(beginning.as_encoded_bytes()));
    for entry in unfinished {
        if let Err(error) = remove_file(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "an unfinished backup could not be removed");
        }
    }
}
