//! A temporary folder that goes with the process, however that ends.

use crate::process::User;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The longest path that leaves room for the name of a Unix socket, in bytes.
const LONGEST: usize = 60;
/// Removes the folder once nobody holds the other end of its standard input, so after us.
const REMOVE: &str = include_str!("remove_after.sh");

/// A folder for one user alone, in a place that everybody can reach; removed when it is dropped or the process has ended.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    remover: Child,
}

impl Folder {
    /// Makes a folder for this user, or else for ourselves.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn new(prefix: &str, user: Option<&User>) -> Self {
        let own = std::env::temp_dir();
        // The temporary folder of one user may be closed to others.
        let is_plain = |path: &str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte));
        let is_short = own.as_os_str().len() + prefix.len() < LONGEST;
        let is_fit = user.is_none() && is_short && own.to_str().is_some_and(is_plain);
        let place = if is_fit { &own } else { Path::new("/tmp") };
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(place).unwrap();
        if let Some(user) = user {
            give(folder.path(), user);
        }
        let mut command = Command::new("sh");
        command.args(["-c", REMOVE, "sh"]).arg(folder.path()).current_dir("/").process_group(0);
        let remover = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { path: folder.keep(), remover }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        // It tries for a minute.
        let _ = self.remover.wait();
    }
}

/// Gives a file or folder to a user.
///
/// # Panics
/// If that fails.
#[track_caller]
pub fn give(path: &Path, user: &User) {
    std::os::unix::fs::chown(path, Some(user.id), Some(user.group)).unwrap();
}
