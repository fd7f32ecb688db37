//! Ledgers at which nothing starts: in use, read-only, not there, somebody else's.

use super::*;
use std::process::Command;

#[test]
fn a_second_receiver_on_one_ledger_does_not_start_and_the_first_goes_on() {
    let scene = Scene::new("");
    let running = scene.start();
    running.webhook(&body(1)).id();
    scene.assert_refuses(
        1,
        "the ledger is in use: {}/pylon.db is open in another receiver; stop the other process or give this one a \
         ledger of its own",
    );
    running.webhook(&body(2)).id();
    assert_eq!(running.unmet(), [""; 0]);
    drop(running);
    assert_eq!(scene.start().command(&["events", "list"]).as_array().map(Vec::len), Some(2));
}

/// The lock goes with the file, whatever its names are.
#[test]
fn a_second_receiver_does_not_start_by_another_name_of_the_ledger() {
    let scene = Scene::new("ledger = \"sqlite:{}/link.db\"\n");
    let path = |name: &str| scene.path(name);
    // It leads nowhere as yet.
    std::os::unix::fs::symlink("kept/pylon.db", path("link.db")).unwrap();
    std::fs::create_dir(path("kept")).unwrap();
    let running = scene.start();
    running.webhook(&body(1)).id();
    let names = |folder: &str| {
        let entries = std::fs::read_dir(path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names("kept"), ["pylon.db", "pylon.db-shm", "pylon.db-wal"]);
    assert_eq!(names(""), ["app-secret", "kept", "link.db", "receiver.toml", "secret"]);
    std::os::unix::fs::symlink("kept", path("folder")).unwrap();
    std::fs::create_dir(path("other")).unwrap();
    std::fs::hard_link(path("kept/pylon.db"), path("other/hard.db")).unwrap();
    let listing = names("");
    for (name, open) in [
        ("link.db", "kept/pylon.db"),
        ("kept/pylon.db", "kept/pylon.db"),
        ("folder/pylon.db", "kept/pylon.db"),
        ("other/hard.db", "other/hard.db"),
    ] {
        scene.configure(&format!("ledger = \"sqlite:{{}}/{name}\"\n"));
        scene.assert_refuses(
            1,
            &format!(
                "the ledger is in use: {{}}/{open} is open in another receiver; stop the other process or give this one \
                 a ledger of its own"
            ),
        );
    }
    assert_eq!((names(""), names("other")), (listing, vec!["hard.db".to_owned()]));
    running.webhook(&body(2)).id();
    assert_eq!(running.unmet(), [""; 0]);

    // The -wal that it leaves bears the first name.
    drop(running);
    scene.configure("ledger = \"sqlite:{}/other/hard.db\"\n");
    scene.assert_refuses(
        1,
        "the ledger failed: expected one name of {}/other/hard.db, found 2 (hard links), and events may be in the -wal of \
         another; remove the other names",
    );
    scene.configure("ledger = \"sqlite:{}/link.db\"\n");
    let running = scene.start();
    running.logs(&["the ledger has other names (hard links)"]);
    assert_eq!(running.command(&["events", "list"]).as_array().map(Vec::len), Some(2));
}

/// Whether a second one starts does not depend on a file that anybody may delete.
#[test]
fn a_second_receiver_does_not_start_after_somebody_tidied_up() {
    let scene = Scene::new("");
    let running = scene.start();
    running.webhook(&body(1)).id();
    for entry in std::fs::read_dir(scene.path("")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap().contains("lock") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    scene.assert_refuses(
        1,
        "the ledger is in use: {}/pylon.db is open in another receiver; stop the other process or give this one a \
         ledger of its own",
    );
    running.webhook(&body(2)).id();
}

#[test]
fn a_ledger_whose_folder_is_missing_is_not_started() {
    let scene = Scene::new("ledger = \"sqlite:{}/none/pylon.db\"\n");
    scene.assert_refuses(1, "the ledger failed: expected a folder {}/none, found none; make it");
}

#[test]
fn a_ledger_that_is_a_folder_is_not_started() {
    let scene = Scene::new("");
    std::fs::create_dir(scene.path("pylon.db")).unwrap();
    scene.assert_refuses(1, "the ledger failed: expected a file at {}/pylon.db, found a folder");
}

/// A file of another program stays as it is, and nothing comes to lie beside it.
#[test]
fn what_is_no_ledger_is_not_started_and_left_alone() {
    let scene = Scene::new("");
    let connect = |name: &str| rusqlite::Connection::open(scene.path(name)).unwrap();
    connect("bookmarks").execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    let in_wal_mode = connect("wal");
    in_wal_mode.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE bookmarks (url TEXT)").unwrap();
    // As a crash of that program leaves it: to open it is to change it.
    std::fs::copy(scene.path("wal"), scene.path("crashed")).unwrap();
    std::fs::copy(scene.path("wal-wal"), scene.path("crashed-wal")).unwrap();
    drop(in_wal_mode);
    scene.write("text", "a text, and no database");
    rustix::fs::mknodat(rustix::fs::CWD, scene.path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(scene.path("socket")).unwrap();
    let foreign = |name: &str| format!("not a ledger of this version: {{}}/{name} is a SQLite file of another program");
    let no_database = "the ledger is damaged: file is not a database; stop the receiver, keep a copy of the ledger, and restore a \
                       backup or start with a new one";
    let no_file = |path: &str, kind: &str| format!("the ledger failed: expected a file at {path}, found {kind}");
    let cases = [
        ("{}/bookmarks", foreign("bookmarks")),
        ("{}/wal", foreign("wal")),
        ("{}/crashed", foreign("crashed")),
        ("{}/text", no_database.to_owned()),
        ("{}/receiver.toml", no_database.to_owned()),
        ("{}/pipe", no_file("{}/pipe", "a named pipe")),
        ("{}/socket", no_file("{}/socket", "a socket")),
        ("/dev/null", no_file("/dev/null", "a device")),
        ("/dev/full", no_file("/dev/full", "a device")),
    ];
    let everything = || {
        let entries = std::fs::read_dir(scene.path("")).unwrap().map(|entry| entry.unwrap().path());
        let kept = entries.filter(|path| !path.ends_with("receiver.toml"));
        let mut all: Vec<_> =
            kept.map(|path| (path.clone(), path.is_file().then(|| std::fs::read(path).unwrap()))).collect();
        all.sort();
        all
    };
    let before = everything();
    for (path, sentence) in cases {
        scene.configure(&format!("ledger = \"sqlite:{path}\"\n"));
        scene.assert_refuses(1, &sentence);
        assert!(everything() == before, "{path}");
    }
    for suffix in ["-lock", "-journal", "-wal", "-shm"] {
        assert!(!std::path::Path::new(&format!("/dev/null{suffix}")).exists());
    }
}

#[test]
fn files_that_others_can_read_are_warned_of_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new("[[destination]]\nname = \"lines\"\njsonl = \"{}/lines\"\n");
    let running = scene.start();
    running.ended(&running.webhook(&body(1)).id());
    let names = ["pylon.db", "pylon.db-wal", "pylon.db-shm", "lines"];
    for name in names {
        assert_eq!(std::fs::metadata(scene.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        std::fs::set_permissions(scene.path(name), std::fs::Permissions::from_mode(0o646)).unwrap();
    }
    // Killed, it leaves them all.
    drop(running);
    let running = scene.start();
    for name in names {
        let warning = format!("every user of this machine can read and write {}", scene.path(name).display());
        running.logs(&["\"WARN\"", &warning]);
        assert_eq!(std::fs::metadata(scene.path(name)).unwrap().permissions().mode() & 0o777, 0o646, "{name}");
    }
}

const READ_ONLY: &str = "the ledger is read-only: expected to write, found that this is not allowed; let the receiver write where the ledger is stored";

/// Root is not bound by permissions, but by how a file system is mounted: both are tried, each where it can be.
#[test]
fn a_read_only_ledger_is_not_started() {
    let scene = Scene::new("ledger = \"sqlite:{}/kept/pylon.db\"\n");
    std::fs::create_dir(scene.path("kept")).unwrap();
    let (code, _) = scene.start().stop();
    assert_eq!(code, Some(0));
    if !may_mount() {
        return;
    }
    for what in ["kept", "kept/pylon.db"] {
        let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
        let place = scene.path(what);
        let by = ["unshare", "-rm", "sh", "-c", mount, place.to_str().unwrap()];
        scene.assert_refuses_by(scene.serve_by(&by), 1, READ_ONLY);
    }
    let (code, _) = scene.start().stop();
    assert_eq!(code, Some(0));
}

/// Whether file systems can be mounted in a namespace of one's own; says so where they cannot.
pub(super) fn may_mount() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/tmp"]).output();
    let may = tried.is_ok_and(|tried| tried.status.success());
    if !may {
        eprintln!("not tried: this machine lets nobody mount file systems in a namespace (`unshare -rm`)");
    }
    may
}
