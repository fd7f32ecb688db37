//! Foreign programs of Debian's packages: unpacked ones, or the machine's own.

use crate::process::Program;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Names the folder into which `tools/debian_programs.sh` unpacks what the machine lacks.
const UNPACKED: &str = "PYLON_DEBIAN_PROGRAMS";
/// With this, a missing program is a failure.
const DEMANDED: &str = "PYLON_DEMAND_PROGRAMS";
const FOLDERS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

/// A program of a Debian package; none where it is missing, which [`missing`] then says.
///
/// # Panics
/// If it is missing and demanded.
#[track_caller]
pub fn debian_program(name: &str) -> Option<Program> {
    let places = roots().into_iter().flat_map(|root| FOLDERS.map(|folder| (root.clone(), root.join(folder))));
    let places = places.chain(search_path().into_iter().map(|folder| ("/".into(), folder)));
    let found = places.map(|(root, folder)| (root, folder.join(name))).find(|(_, program)| program.is_file());
    if found.is_none() {
        missing(name, &format!("there is no program {name}"));
    }
    found.map(|(root, program)| program_below(&root, &program))
}

/// The program at this path, which finds the libraries of the packages below this root folder.
pub(crate) fn program_below(root: &Path, path: &Path) -> Program {
    let program = Program::new(path);
    if root == Path::new("/") {
        return program;
    }
    let libraries = std::env::join_paths(library_folders(root)).expect("no folder of programs has a colon in its name");
    program.environment("LD_LIBRARY_PATH", libraries)
}

/// Says in one line, once a process, what is not tested and how to change that.
///
/// # Panics
/// If every program is demanded.
#[track_caller]
pub fn missing(what: &str, why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let line = format!("not tested with {what}: {why}; `make test` fetches it where Debian's packages can be had");
    let is_demanded = std::env::var_os(DEMANDED).is_some_and(|value| !value.is_empty());
    assert!(!is_demanded, "{line}");
    if SAID.lock().unwrap().insert(what.to_owned()) {
        // Not by a macro: the test runner keeps what those print of a test that passes.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// The root folders below which packages are: the unpacked ones, then the machine's.
pub(crate) fn roots() -> Vec<PathBuf> {
    unpacked().into_iter().chain(["/".into()]).collect()
}

/// The folders of `PATH`.
pub(crate) fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect())
}

/// The children of a folder, in the order of their names.
pub(crate) fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn unpacked() -> Option<PathBuf> {
    let folder = std::env::var_os(UNPACKED).filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(folder).join("root"))
}

/// The folders of the libraries of packages below a root folder.
pub(crate) fn library_folders(root: &Path) -> Vec<PathBuf> {
    let all = ["usr/lib", "lib"].into_iter().flat_map(|folder| children(&root.join(folder)));
    all.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-gnu"))).collect()
}
