//! Which file a path leads to, and what others may do with it.

use std::fs::{FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file, whatever its names are: its device and its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The file that the path leads to, through symbolic links. Opens nothing.
    ///
    /// # Errors
    /// Those of `stat`: there is no such file, or a folder on the way may not be searched.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        path.metadata().map(|metadata| Self::of(&metadata))
    }

    /// The file that this was read of.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The files that this process holds. Nothing else of it may open one of them: when any handle of a file closes, POSIX ends all
/// locks that the process has on that file, those of SQLite too.
static HELD: Mutex<Vec<FileIdentity>> = Mutex::new(Vec::new());

/// A file that this process holds, as long as this lives.
#[derive(Debug)]
pub(crate) struct HeldFile(FileIdentity);

impl HeldFile {
    /// Holds the file; none if it is held already.
    pub(crate) fn new(file: FileIdentity) -> Option<Self> {
        let mut held = held();
        if held.contains(&file) {
            return None;
        }
        held.push(file);
        Some(Self(file))
    }

    /// Whether this process holds the file that the path leads to.
    pub(crate) fn is_at(path: &Path) -> bool {
        FileIdentity::at(path).is_ok_and(|file| held().contains(&file))
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        held().retain(|&file| file != self.0);
    }
}

fn held() -> MutexGuard<'static, Vec<FileIdentity>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Links that are followed at most, as many as Linux follows.
const MOST_LINKS: usize = 40;

/// The path without symbolic links. The file need not exist, not even where a link leads to it.
///
/// # Errors
/// The folder that is not there.
pub(crate) fn resolved(path: &Path) -> Result<PathBuf, PathBuf> {
    if let Ok(resolved) = path.canonicalize() {
        return Ok(resolved);
    }
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let folder = folder_of(&path);
        match path.read_link() {
            Ok(target) => path = folder.join(target),
            Err(_) => {
                let resolved = folder.canonicalize().ok().zip(path.file_name());
                return resolved.map(|(folder, name)| folder.join(name)).ok_or(folder);
            }
        }
    }
    Err(folder_of(&path))
}

/// Whether two paths lead to one file, which need not exist.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    match (FileIdentity::at(one), FileIdentity::at(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => one == other || resolved(one).is_ok_and(|one| resolved(other) == Ok(one)),
        _ => false,
    }
}

/// The folder in which the file lies.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What something is that is no regular file, in words.
pub(crate) fn kind_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

/// What others than the owner may do with a file, or with what lies in a folder, and should not, and the command that ends it; none if
/// all is well, or nothing is there. That a group reads is taken for intended.
pub(crate) fn open_to_others(path: &Path) -> Option<String> {
    let metadata = path.metadata().ok()?;
    let (mode, shown) = (metadata.permissions().mode(), path.display());
    if metadata.is_dir() {
        // Everybody may look into most folders. In one with the sticky bit nobody can delete what another one owns.
        let may_delete = mode & 0o1002 == 0o002;
        return may_delete.then(|| {
            format!("every user of this machine can delete and replace files in {shown}; run `chmod o-w {shown}`")
        });
    }
    let others = match mode & 0o006 {
        0o006 => Some(("read and write", "o-rw")),
        0o004 => Some(("read", "o-r")),
        0o002 => Some(("write", "o-w")),
        _ => None,
    };
    match (others, mode & 0o020 != 0) {
        (None, false) => None,
        (None, true) => Some(format!("its group can write {shown}; run `chmod g-w {shown}`")),
        (Some((may, change)), false) => {
            Some(format!("every user of this machine can {may} {shown}; run `chmod {change} {shown}`"))
        }
        (Some((may, change)), true) => Some(format!(
            "every user of this machine can {may} {shown}, and its group can write it; run `chmod g-w,{change} {shown}`"
        )),
    }
}
