//! Which PostgreSQL there is, and as whom its programs run.

use crate::folder::Folder;
use crate::process::{Program, User};
use crate::programs::{children, library_folders, missing, program_below, roots, search_path};
use crate::wait::PATIENCE;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The oldest version that is tested with.
const OLDEST: u32 = 15;

/// The programs of one version.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    root: PathBuf,
    folder: PathBuf,
    /// As whom they run; none: as ourselves.
    pub(crate) user: Option<User>,
    _copy: Option<Arc<Folder>>,
}

impl Installation {
    /// The newest version of the first place that has one which is new enough; none where there is none, which is said.
    #[track_caller]
    pub(crate) fn find() -> Option<Self> {
        static FOUND: OnceLock<Option<Installation>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let packages = roots().into_iter().flat_map(|root| {
                let versions = children(&root.join("usr/lib/postgresql")).into_iter().rev();
                versions.map(move |version| (root.clone(), version.join("bin")))
            });
            let others = search_path().into_iter().map(|folder| ("/".into(), folder));
            packages.chain(others).find_map(|(root, folder)| Self::at(root, folder))
        });
        if found.is_none() {
            missing("PostgreSQL", &format!("there is none from version {OLDEST} on, or no setpriv"));
        }
        found.clone()
    }

    fn at(root: PathBuf, folder: PathBuf) -> Option<Self> {
        let mut found = Self { root, folder, user: None, _copy: None };
        let is_whole = found.folder.join("initdb").is_file();
        if !is_whole || found.version()? < OLDEST {
            return None;
        }
        if rustix::process::geteuid().is_root() {
            // PostgreSQL refuses to run as root.
            found.user = User::named(&["postgres", "nobody"]);
            // `setpriv` itself still reaches everything: what it starts does not.
            let can_reach = r#"test -x "$0""#;
            let program = found.folder.join("postgres");
            let shell = Program::new("sh").user(found.user.clone()).arguments(["-c", can_reach]).argument(program);
            if shell.run("", PATIENCE).is_err() {
                // What the machine itself has is for everybody, or not for these tests.
                if found.root == Path::new("/") {
                    return None;
                }
                found.copy_to_where_the_user_can_reach();
            }
        }
        Some(found)
    }

    /// The major version; none if the program does not run.
    fn version(&self) -> Option<u32> {
        let text = self.own_program("postgres").argument("--version").run("", PATIENCE).ok()?;
        text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok())
    }

    /// A program that runs as the user who owns the data.
    pub(crate) fn program(&self, name: &str) -> Program {
        self.own_program(name).user(self.user.clone())
    }

    /// A program that runs as ourselves.
    pub(crate) fn own_program(&self, name: &str) -> Program {
        // The time zone that PostgreSQL knows without files.
        program_below(&self.root, &self.folder.join(name)).without_environment("PG").environment("TZ", "GMT")
    }

    /// The folder of the programs.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Root's cache of unpacked packages may be closed to others. PostgreSQL finds its files from where its programs are.
    fn copy_to_where_the_user_can_reach(&mut self) {
        let copy = Folder::new("pylon-programs-", self.user.as_ref());
        std::fs::set_permissions(copy.path(), Permissions::from_mode(0o755)).unwrap();
        let root = copy.path().join("root");
        let own = ["usr/lib/postgresql", "usr/share/postgresql"].map(|folder| self.root.join(folder));
        for folder in own.into_iter().chain(library_folders(&self.root)) {
            copy_all(&folder, &root.join(folder.strip_prefix(&self.root).unwrap()));
        }
        self.folder = root.join(self.folder.strip_prefix(&self.root).unwrap());
        self.root = root;
        self._copy = Some(Arc::new(copy));
    }
}

/// Copies a folder. Files become links to the same file where that can be.
fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, Permissions::from_mode(0o755)).unwrap();
    for child in children(from) {
        let (name, kind) = (child.file_name().unwrap(), std::fs::symlink_metadata(&child).unwrap().file_type());
        let copy = to.join(name);
        if kind.is_symlink() {
            symlink(std::fs::read_link(&child).unwrap(), copy).unwrap();
        } else if kind.is_dir() {
            copy_all(&child, &copy);
        } else if !name.to_string_lossy().starts_with("libLLVM") {
            // That one is large, and without JIT not used.
            std::fs::hard_link(&child, &copy).or_else(|_| std::fs::copy(&child, &copy).map(drop)).unwrap();
        }
    }
}
