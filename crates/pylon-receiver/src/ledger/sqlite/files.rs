//! The files of a ledger: held by one receiver, and looked at before a commit counts.
//!
//! A handle leads to a file that nobody finds any more: after a rename or a deletion SQLite goes on to commit into it, and the next
//! start finds another file or none. So the paths are compared with what is open.

use super::wal::{self, Followed, HEADER, Header, Wal};
use crate::file::{FileIdentity, HeldFile, folder_of, kind_of, resolved};
use crate::ledger::LedgerError;
use rustix::fs::{Access, access};
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// "PyLR", in the file's header: whose file this is.
pub(super) const APPLICATION_ID: u32 = 0x5079_4c52;

/// What a file name ends in beside which the lock lies. On Linux the lock (`flock`) is on the ledger's file itself, so that it goes
/// with the file, whatever its names are. Elsewhere such a lock would keep SQLite out, whose own locks (`fcntl`) are of the same kind.
const LOCKED: &str = if cfg!(target_os = "linux") { "" } else { "-lock" };

/// What the name of a WAL ends in that was moved aside.
const ASIDE: &str = "-wal-aside";

/// The first bytes of every SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where the header has the version of the schema, and whose file it is (sqlite.org/fileformat.html).
const VERSION_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;
/// Where the header has the number of pages.
const PAGES_AT: usize = 28;

/// The path without links: two names of one file are one ledger.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, LedgerError> {
    resolved(path).map_err(|folder| {
        LedgerError::Failed(format!("expected a folder {}, found none; make it", folder.display()).into())
    })
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

/// Whether a ledger could be opened to write at a path, as far as can be told without changing anything.
pub(super) fn examine(path: &Path, newest: usize) -> Result<(), LedgerError> {
    let path = resolve(path)?;
    nothing_aside(&path)?;
    let found = look_at(&path, newest)?;
    let mut written = vec![folder_of(&path)];
    if found == Found::File {
        written.push(path);
    }
    for path in written {
        access(&path, Access::WRITE_OK).map_err(|error| explained(error.into(), &path, "written"))?;
    }
    Ok(())
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: a ledger can be made.
    Nothing,
    /// An empty file, or the file of a ledger.
    File,
}

/// Looks at what is at a path, before SQLite does: SQLite makes files beside one that it only reads.
pub(super) fn look_at(path: &Path, newest: usize) -> Result<Found, LedgerError> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return nothing_beside(path).map(|()| Found::Nothing),
        Err(error) => return Err(explained(error, path, "found")),
    };
    if !metadata.is_file() {
        let found = kind_of(metadata.file_type());
        return Err(LedgerError::Failed(format!("expected a file at {}, found {found}", path.display()).into()));
    }
    if metadata.len() == 0 {
        return nothing_beside(path).map(|()| Found::File);
    }
    // What this process holds was looked at when it was opened.
    if !HeldFile::is_at(path) {
        read_header(path, newest)?;
    }
    Ok(Found::File)
}

/// Refuses a `-wal` beside a ledger that is to be made: SQLite would delete it, with the events that are in it.
fn nothing_beside(path: &Path) -> Result<(), LedgerError> {
    let wal = beside(path, "-wal");
    if has_content(&wal) {
        let (path, wal) = (path.display(), wal.display());
        return Err(LedgerError::Failed(
            format!("expected the ledger {path} beside {wal}, which has events of it, found none; put the ledger back, or move {wal} away").into(),
        ));
    }
    Ok(())
}

/// Refuses a ledger whose WAL was moved aside: acknowledged events are in it, and only somebody who knows what was put there can tell
/// whether they are to be kept.
fn nothing_aside(path: &Path) -> Result<(), LedgerError> {
    let (wal, aside) = (beside(path, "-wal"), beside(path, ASIDE));
    if has_content(&aside) {
        let (path, wal, aside) = (path.display(), wal.display(), aside.display());
        return Err(LedgerError::Failed(
            format!(
                "expected no {aside}, found one: another file was written over the ledger, and this has events of the former one; \
                 put the former file back at {path} and rename {aside} to {wal}, or delete {aside}, which gives up the events in it"
            )
            .into(),
        ));
    }
    Ok(())
}

fn has_content(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() > 0)
}

fn read_header(path: &Path, newest: usize) -> Result<(), LedgerError> {
    let header = read_first_page(path, 0)?;
    let Some(header) = header.filter(|page| page.starts_with(MAGIC)) else {
        return Err(LedgerError::Damaged("file is not a database".into()));
    };
    // A table's leaf without a cell: SQLite has made the file, and the tables are in the WAL, or nowhere as yet.
    let is_without_tables = header[100] == 0x0d && header[103..105] == [0, 0];
    let is_ours = match number(&header, APPLICATION_ID_AT) {
        APPLICATION_ID => true,
        0 if is_without_tables => {
            let wal = beside(path, "-wal");
            let first = if wal.exists() { read_first_page(&wal, wal::FIRST_PAGE)? } else { None };
            first.is_none_or(|first| number(&first, APPLICATION_ID_AT) == APPLICATION_ID)
        }
        _ => false,
    };
    if !is_ours {
        return Err(foreign(path));
    }
    let version = number(&header, VERSION_AT);
    if usize::try_from(version).is_ok_and(|version| version <= newest) {
        Ok(())
    } else {
        Err(newer(path, version, newest))
    }
}

/// The beginning of the first page; none if the file ends before.
fn read_first_page(path: &Path, at: u64) -> Result<Option<Header>, LedgerError> {
    let mut page = [0; HEADER];
    match File::open(path).and_then(|file| file.read_exact_at(&mut page, at)) {
        Ok(()) => Ok(Some(page)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(explained(error, path, "read")),
    }
}

fn number(page: &Header, at: usize) -> u32 {
    u32::from_be_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]])
}

/// The error for a file that another program made.
pub(super) fn foreign(path: &Path) -> LedgerError {
    LedgerError::Unknown(format!("{} is a SQLite file of another program", path.display()).into())
}

/// The error for a ledger of a later version.
pub(super) fn newer(path: &Path, found: impl std::fmt::Display, newest: usize) -> LedgerError {
    let path = path.display();
    LedgerError::Unknown(
        format!("expected at most version {newest} in {path}, found {found}; run a newer pylon-receiver").into(),
    )
}

fn explained(error: io::Error, path: &Path, done: &str) -> LedgerError {
    match error.kind() {
        ErrorKind::StorageFull => LedgerError::Full,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => LedgerError::ReadOnly,
        kind => LedgerError::Failed(format!("{} cannot be {done} ({kind})", path.display()).into()),
    }
}

/// The files of a ledger that this process writes.
///
/// Every connection to them must be closed before this is dropped: see [`HeldFile`].
#[derive(Debug)]
pub(super) struct LedgerFiles {
    /// As it was configured: a link on the way may come to lead elsewhere.
    named: PathBuf,
    /// Without links.
    path: PathBuf,
    /// The ledger's file.
    file: File,
    identity: FileIdentity,
    /// The files that SQLite keeps beside it, once they are there.
    beside: OnceLock<Beside>,
    /// The file after it was written last. Held while SQLite writes it.
    content: Mutex<Content>,
    /// That somebody else has written: nothing sets that right again while SQLite has the files open.
    meddled: OnceLock<LedgerError>,
    /// That another program was found to have touched a file.
    touched: AtomicBool,
    _lock: Option<File>,
    _held: HeldFile,
}

/// The WAL and the shared memory.
#[derive(Debug)]
struct Beside {
    places: [(PathBuf, FileIdentity); 2],
    wal: Wal,
    followed: Mutex<Followed>,
}

/// A file as it was left.
#[derive(Debug, Clone, Copy)]
struct Content {
    stamp: Stamp,
    /// None: the file was too short for one.
    header: Option<Header>,
}

/// What tells whether a file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: (i64, i64),
}

impl Content {
    fn of(file: &File) -> io::Result<Self> {
        let mut header = [0; HEADER];
        let read = file.read_exact_at(&mut header, 0).is_ok();
        Ok(Self { stamp: Stamp::of(file)?, header: read.then_some(header) })
    }
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { length: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) })
    }
}

impl LedgerFiles {
    /// Takes the lock on the file, or makes it; refuses what is no ledger, and what another process has.
    pub(super) fn take(path: &Path, newest: usize) -> Result<Self, LedgerError> {
        let named = std::path::absolute(path).map_err(|error| explained(error, path, "found"))?;
        let path = resolve(&named)?;
        let in_use = || LedgerError::InUse(format!("{} is open in another receiver", path.display()).into());
        if HeldFile::is_at(&path) {
            return Err(in_use());
        }
        nothing_aside(&path)?;
        let found = look_at(&path, newest)?;
        let opened = options().create(found == Found::Nothing).open(&path);
        let file =
            opened.map_err(|error| explained(error, &path, if found == Found::Nothing { "made" } else { "opened" }))?;
        let metadata = file.metadata().map_err(|error| explained(error, &path, "read"))?;
        let identity = FileIdentity::of(&metadata);
        let Some(held) = HeldFile::new(identity) else {
            // Closed, it would end the locks of the ledger that has it.
            std::mem::forget(file);
            return Err(in_use());
        };
        let lock = match LOCKED {
            "" => None,
            suffix => {
                let lock = beside(&path, suffix);
                Some(options().create(true).open(&lock).map_err(|error| explained(error, &lock, "opened"))?)
            }
        };
        match lock.as_ref().unwrap_or(&file).try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use()),
            Err(TryLockError::Error(error)) => return Err(explained(error, &path, "locked")),
        }
        one_name(&path, &metadata)?;
        let content = Content::of(&file).map_err(|error| explained(error, &path, "read"))?;
        Ok(Self {
            named,
            path,
            file,
            identity,
            beside: OnceLock::new(),
            content: Mutex::new(content),
            meddled: OnceLock::new(),
            touched: AtomicBool::new(false),
            _lock: lock,
            _held: held,
        })
    }

    /// The path without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on looks at the files beside it too: SQLite has made them, and keeps them as long as it has the ledger open. Called
    /// once, and before anything else is committed.
    pub(super) fn watch(&self, page_size: u64) -> Result<(), LedgerError> {
        let [_, wal, shared_memory] = files_of(&self.path);
        let with_identity = |path: PathBuf| match FileIdentity::at(&path) {
            Ok(identity) => Ok((path, identity)),
            Err(error) => Err(explained(error, &path, "found")),
        };
        let places = [with_identity(wal)?, with_identity(shared_memory)?];
        let read = |error| explained(error, &places[0].0, "read");
        let wal = Wal::open(&places[0].0, &places[1].0, page_size).map_err(read)?;
        let followed = Mutex::new(wal.read(wal.pages().map_err(read)?));
        let _ = self.beside.set(Beside { places, wal, followed });
        *self.content() = self.read(Content::of)?;
        self.place().map(drop)
    }

    /// Whether what is committed now is found after a restart: the paths lead to the open files, and nobody else has written those.
    ///
    /// The WAL has these pages, after the last commit.
    pub(super) fn check(&self, wal_pages: u64) -> Result<(), LedgerError> {
        if let Some(meddled) = self.meddled.get() {
            return Err(meddled.clone());
        }
        let wal_length = self.place()?;
        // While SQLite writes it, nobody can tell.
        if let Ok(mut content) = self.content.try_lock() {
            self.look_closer(&mut content)?;
        }
        let Some(Beside { wal, .. }) = self.beside.get() else { return Ok(()) };
        if wal_length < wal.length(wal_pages) {
            let is_of_sqlite = wal.pages().is_ok_and(|pages| wal_length >= wal.length(pages));
            if !is_of_sqlite {
                return Err(self.meddled_with(&beside(&self.path, "-wal")));
            }
            self.tell_touched();
        }
        Ok(())
    }

    /// After a commit, with the number of pages that the WAL has now.
    pub(super) fn committed(&self, wal_pages: u64) {
        if let Some(Beside { wal, followed, .. }) = self.beside.get() {
            wal.follow(&mut followed.lock().unwrap_or_else(PoisonError::into_inner), wal_pages);
        }
    }

    /// Takes note of a change that SQLite made in another process, or that is none; refuses another file.
    fn look_closer(&self, content: &mut Content) -> Result<(), LedgerError> {
        if content.stamp == self.read(Stamp::of)? {
            return Ok(());
        }
        let mut found = self.read(Content::of)?;
        if !self.is_of_sqlite(content, &found) {
            // SQLite may have been in the middle of writing the page.
            found = self.read(Content::of)?;
        }
        if !self.is_of_sqlite(content, &found) {
            return Err(self.meddled_with(&self.path));
        }
        *content = found;
        self.tell_touched();
        Ok(())
    }

    /// Whether a file that was left in one state can be in the other without anything but a checkpoint: it begins as it did, or as a
    /// first page in the WAL does, and has no fewer pages than it says.
    fn is_of_sqlite(&self, left: &Content, found: &Content) -> bool {
        let Some(header) = found.header else { return false };
        let Some(Beside { wal, followed, .. }) = self.beside.get() else { return left.header == found.header };
        let newest = followed.lock().unwrap_or_else(PoisonError::into_inner).header;
        let is_known = left.header == Some(header) || newest == Some(header) || wal.holds(&header);
        let said = u64::from(number(&header, PAGES_AT)) * wal.page_size();
        is_known && found.stamp.length >= left.stamp.length.min(said)
    }

    fn tell_touched(&self) {
        if !self.touched.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                path = %self.path.display(),
                "another program has checkpointed or touched the ledger; nothing is lost, but stop it: the receiver must be the only one"
            );
        }
    }

    /// Whether the paths lead to the open files; the length of the WAL.
    pub(super) fn place(&self) -> Result<u64, LedgerError> {
        leads(&self.path, self.identity)?;
        if self.named != self.path {
            leads(&self.named, self.identity)?;
        }
        let Some(Beside { places, .. }) = self.beside.get() else { return Ok(0) };
        let [(wal, wal_identity), (shared_memory, identity)] = places;
        leads(shared_memory, *identity)?;
        leads(wal, *wal_identity).map(|metadata| metadata.len())
    }

    /// Whether somebody else was found to have written.
    pub(super) fn is_meddled_with(&self) -> bool {
        self.meddled.get().is_some()
    }

    /// Where the ledger's file has another content than SQLite gave it: takes the WAL away, which belongs to the content before. At the
    /// next start SQLite would write it into the file that somebody has put there, a backup most likely.
    pub(super) fn set_wal_aside(&self) {
        let left = *self.content();
        let is_another = Content::of(&self.file).is_ok_and(|found| !self.is_of_sqlite(&left, &found));
        if !is_another || self.place().is_err() {
            return;
        }
        let (wal, aside) = (beside(&self.path, "-wal"), beside(&self.path, ASIDE));
        // While one lies there, the next start is refused.
        if has_content(&aside) {
            tracing::error!(path = %aside.display(), "the WAL of the overwritten ledger stays: one that was moved aside is there already");
            return;
        }
        match std::fs::rename(&wal, &aside) {
            Ok(()) => tracing::error!(path = %aside.display(), "the WAL of the overwritten ledger was moved aside"),
            Err(error) => {
                tracing::error!(%error, path = %wal.display(), "move the WAL of the overwritten ledger aside");
            }
        }
    }

    /// Lets SQLite write the ledger's file, if nobody else has written it.
    pub(super) fn write<T>(&self, write: impl FnOnce() -> T) -> Result<T, LedgerError> {
        let mut content = self.content();
        self.look_closer(&mut content)?;
        let result = write();
        if let Ok(left) = Content::of(&self.file) {
            *content = left;
        }
        Ok(result)
    }

    fn read<T>(&self, read: fn(&File) -> io::Result<T>) -> Result<T, LedgerError> {
        read(&self.file).map_err(|error| explained(error, &self.path, "read"))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meddled_with(&self, path: &Path) -> LedgerError {
        let path = path.display();
        let error =
            LedgerError::Displaced(format!("expected that nobody else writes {path}, found that somebody has").into());
        self.meddled.get_or_init(|| error).clone()
    }
}

/// Refuses a file with several names whose WAL may lie beside another one of them.
fn one_name(path: &Path, metadata: &Metadata) -> Result<(), LedgerError> {
    if metadata.nlink() <= 1 {
        return Ok(());
    }
    let (names, shown) = (metadata.nlink(), path.display());
    if beside(path, "-wal").exists() {
        tracing::warn!(path = %shown, names, "the ledger has other names (hard links): never start it by one of those");
        return Ok(());
    }
    Err(LedgerError::Failed(
        format!("expected one name of {shown}, found {names} (hard links), and events may be in the -wal of another; remove the other names")
            .into(),
    ))
}

fn leads(path: &Path, open: FileIdentity) -> Result<Metadata, LedgerError> {
    let found = match path.metadata() {
        Ok(found) if FileIdentity::of(&found) == open => return Ok(found),
        Ok(_) => "found another file".to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => "found none".to_owned(),
        Err(error) => format!("found that it cannot be reached ({})", error.kind()),
    };
    Err(LedgerError::Displaced(format!("expected the open file at {}, {found}", path.display()).into()))
}

/// To read and write; what is made is for the owner alone, since events hold customers' words. SQLite gives the files that it makes
/// beside it the same permissions.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false).mode(0o600);
    options
}
