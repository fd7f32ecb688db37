//! Which PostgreSQL there is, and as whom its programs run.

use crate::process::{Program, Reach, User};
use crate::programs::{at, children, missing, roots, search_path};
use crate::wait::PATIENCE;
use std::path::{Path, PathBuf};

/// The oldest version that is tested with.
const OLDEST: u32 = 15;

/// The programs of one version.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    folder: PathBuf,
    /// As whom they run; none: as ourselves.
    pub(crate) user: Option<User>,
    reach: Reach,
}

impl Installation {
    /// The newest version of the first place that has one which is new enough; none where there is none, which is said.
    #[track_caller]
    pub(crate) fn find() -> Option<Self> {
        let versions = |root: PathBuf| children(&root.join("usr/lib/postgresql")).into_iter().rev();
        let places = roots().into_iter().flat_map(versions).map(|version| version.join("bin")).chain(search_path());
        let found = places.filter(|folder| folder.join("initdb").is_file()).find_map(Self::at);
        if found.is_none() {
            missing("PostgreSQL", &format!("it is not installed, not from version {OLDEST} on, or without setpriv"));
        }
        found
    }

    fn at(folder: PathBuf) -> Option<Self> {
        let own = Self { folder, user: None, reach: Reach::Own };
        if !rustix::process::geteuid().is_root() {
            return (own.version()? >= OLDEST).then_some(own);
        }
        // PostgreSQL refuses to run as root. Its files may be in a folder that only root can reach.
        let user = User::named(&["postgres", "nobody"]);
        let mut other = Self { user, ..own };
        let program = |user, reach| {
            Program::new("test").user(user, reach).arguments(["-x"]).argument(other.folder.join("postgres"))
        };
        if program(other.user.clone(), Reach::Own).run("", PATIENCE).is_err() {
            other.reach = Reach::Roots;
        }
        (other.version()? >= OLDEST).then_some(other)
    }

    /// The major version; none if the program does not run.
    fn version(&self) -> Option<u32> {
        let text = self.program("postgres").argument("--version").run("", PATIENCE).ok()?;
        text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok())
    }

    /// A program that runs as the user who owns the data.
    pub(crate) fn program(&self, name: &str) -> Program {
        self.own_program(name).user(self.user.clone(), self.reach)
    }

    /// A program that runs as ourselves.
    pub(crate) fn own_program(&self, name: &str) -> Program {
        // The time zone that PostgreSQL knows without files.
        at(Path::new(&self.folder.join(name))).without_environment("PG").environment("TZ", "GMT")
    }
}
