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
    for what in ["kept", "kept/pylon.db", "kept/pylon.db-lock"] {
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
