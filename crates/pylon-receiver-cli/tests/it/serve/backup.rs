//! Copies of the ledger, made while the receiver works, and what is found in them.

use super::ledger::may_mount;
use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

/// What `backup` says and does, with these arguments behind it.
fn back_up(running: &Running, file: &Path, further: &[&str]) -> Output {
    let admin = format!("http://{}", running.admin);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    command.arg("backup").arg(file).args(["--admin-url", &admin]).args(further);
    command.output().unwrap()
}

#[track_caller]
fn assert_backs_up(running: &Running, file: &Path) {
    let output = back_up(running, file, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let mebibytes = fs::metadata(file).unwrap().len() as f64 / f64::from(1 << 20);
    assert_eq!(printed, format!("{}: {mebibytes:.1} MiB\n", file.display()));
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, sentence: &str) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*stdout, &*stderr), (Some(code), "", &*format!("error: {sentence}\n")));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_acknowledged_before_a_backup_began_is_in_it() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    let running = scene.start();
    let before: Vec<_> = (0..50).map(|number| running.webhook(&body(number)).id()).collect();
    let is_over = AtomicBool::new(false);
    let meanwhile = std::thread::scope(|scope| {
        let (running, is_over) = (&running, &is_over);
        let senders: Vec<_> = (1..5)
            .map(|sender| {
                scope.spawn(move || {
                    let numbers = (0..).take_while(|_| !is_over.load(Ordering::SeqCst));
                    // Nothing is refused meanwhile.
                    numbers.map(|number| running.webhook(&body(sender * 100_000 + number)).id()).collect::<Vec<_>>()
                })
            })
            .collect();
        for number in 0..3 {
            assert_backs_up(running, &scene.path(&format!("copy-{number}")));
        }
        is_over.store(true, Ordering::SeqCst);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(!meanwhile.is_empty());
    for id in before.iter().chain(&meanwhile) {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    assert!(names(&scene.path("")).iter().all(|name| !name.starts_with('.')), "nothing else is left");
    running.logs(&["\"INFO\"", "a backup was made"]);
    assert_eq!(running.stop().0, Some(0));

    for number in 0..3 {
        let restored = Scene::new(&app(&destination.url, ""));
        fs::copy(scene.path(&format!("copy-{number}")), restored.path("pylon.db")).unwrap();
        let running = restored.start();
        for id in &before {
            // What was not delivered by then is delivered again.
            assert_eq!(running.ended(id), ["delivered"]);
        }
        assert!(!running.log().contains("created a new ledger"));
        running.ended(&running.webhook(&body(1)).id());
        assert_eq!(running.unmet(), [""; 0]);
        drop(running);
        let sound: String = restored.ledger().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
}

#[test]
fn a_copy_is_compact_and_for_its_owner_alone() {
    let scene = Scene::new("[retention]\ndelivered = \"0s\"\n");
    let running = scene.start();
    let ids: Vec<_> = (0..20).map(|number| running.webhook(&body(number).repeat(2000)).id()).collect();
    assert_backs_up(&running, &scene.path("full"));
    assert_eq!(fs::metadata(scene.path("full")).unwrap().permissions().mode() & 0o777, 0o600);
    drop(running);
    let deleted = scene.ledger();
    deleted.execute_batch("DELETE FROM events").unwrap();
    drop(deleted);
    let running = scene.start();
    assert_backs_up(&running, &scene.path("empty"));
    let length = |name: &str| fs::metadata(scene.path(name)).unwrap().len();
    assert!(length("full") > 20 * 100_000 && length("empty") < 200_000, "{} {}", length("full"), length("empty"));
    assert_eq!(ids.len(), 20);
}

#[test]
fn a_file_that_is_there_or_cannot_be_made_is_refused_and_nothing_is_left() {
    let scene = Scene::new("");
    let running = scene.start();
    running.webhook(&body(1)).id();
    scene.write("there", "as it was");
    std::os::unix::fs::symlink("nowhere", scene.path("link")).unwrap();
    fs::create_dir(scene.path("folder")).unwrap();
    let before = names(&scene.path(""));
    for name in ["there", "link", "folder", "pylon.db", "pylon.db-wal", "./there"] {
        let file = scene.path(name);
        let sentence = format!("expected no file {}, found one; name another", file.display());
        assert_fails(&back_up(&running, &file, &[]), 1, &sentence);
    }
    for (name, said) in [("none/copy", "No such file or directory"), ("there/copy", "Not a directory")] {
        let output = back_up(&running, &scene.path(name), &[]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let beginning = format!("error: {} cannot be written: {said}", scene.path(name).display());
        assert!(output.status.code() == Some(1) && stderr.starts_with(&beginning), "{stderr}");
    }
    assert_eq!(names(&scene.path("")), before);
    assert_eq!(fs::read_to_string(scene.path("there")).unwrap(), "as it was");
    assert_eq!(running.unmet(), [""; 0]);
}

/// A path is the command's own business, as that of any other file that it writes.
#[test]
fn a_relative_path_is_that_of_the_command() {
    let scene = Scene::new("");
    let running = scene.start();
    running.webhook(&body(1)).id();
    fs::create_dir(scene.path("elsewhere")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    let admin = format!("http://{}", running.admin);
    command.args(["--json", "backup", "copy.db", "--admin-url", &admin]).current_dir(scene.path("elsewhere"));
    let output = command.output().unwrap();
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let length = fs::metadata(scene.path("elsewhere/copy.db")).unwrap().len();
    assert_eq!(printed, serde_json::json!({"file": "copy.db", "bytes": length}));
}

#[test]
fn a_backup_needs_the_token_where_everything_does() {
    let scene = Scene::new("admin_token = { file = \"{}/app-secret\" }\n");
    let running = scene.start();
    let file = scene.path("copy");
    let output = back_up(&running, &file, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && stderr.contains("unauthorized"), "{stderr}");
    assert!(!file.exists());
    let token = scene.path("app-secret");
    let output = back_up(&running, &file, &["--token-file", token.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_ledger_is_copied_where_no_receiver_runs() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    let running = scene.start();
    let ids: Vec<_> = (0..5).map(|number| running.webhook(&body(number)).id()).collect();
    ids.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
    let admin = format!("http://{}", running.admin);
    // Killed: the copy has what is in the WAL.
    drop(running);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    command.arg("backup").arg(scene.path("copy")).args(["--admin-url", &admin]);
    let output = command.args(["--ledger", &format!("sqlite:{}", scene.path("pylon.db").display())]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let restored = Scene::new(&app(&destination.url, ""));
    fs::rename(scene.path("copy"), restored.path("pylon.db")).unwrap();
    assert_eq!(restored.kept(), ids);
    let running = restored.start();
    ids.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
}

/// What somebody deleted is there as long as the receiver runs.
#[test]
fn deleted_files_are_saved_by_a_backup() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    let running = scene.start();
    let ids: Vec<_> = (0..5).map(|number| running.webhook(&body(number)).id()).collect();
    ids.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
    for name in ["pylon.db", "pylon.db-wal", "pylon.db-shm"] {
        fs::remove_file(scene.path(name)).unwrap();
    }
    assert_unavailable(&running.webhook(&body(100)));
    assert_backs_up(&running, &scene.path("copy"));
    assert_eq!(running.stop().0, Some(0));
    fs::rename(scene.path("copy"), scene.path("pylon.db")).unwrap();
    let running = scene.start();
    for id in &ids {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    assert_eq!(running.command(&["stats"])["events"], 5);
}

#[test]
fn a_copy_that_does_not_fit_is_refused_and_the_ledger_has_its_room() {
    if !may_mount() {
        return;
    }
    let scene = Scene::new("ledger = \"sqlite:{}/disk/pylon.db\"\n");
    fs::create_dir(scene.path("disk")).unwrap();
    let disk = scene.path("disk");
    let mount = "mount -t tmpfs -o size=3m none \"$0\" && exec \"$@\"";
    let running = Running::start(scene.serve_by(&["unshare", "-rm", "sh", "-c", mount, disk.to_str().unwrap()]));
    let large = |number| body(number).repeat(5000);
    (0..4).for_each(|number| drop(running.webhook(&large(number)).id()));
    let output = back_up(&running, &scene.path("copy"), &[]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("MiB of room for a copy in {}, found ", disk.display());
    assert!(output.status.code() == Some(1) && stderr.contains("refused (503, ledger_failed)"), "{stderr}");
    assert!(stderr.contains(&expected) && stderr.contains("make room, or stop the receiver"), "{stderr}");
    assert!(!scene.path("copy").exists());
    running.webhook(&large(4)).id();
    assert_eq!(running.unmet(), [""; 0]);
}

#[test]
fn what_an_unfinished_backup_left_is_removed_at_the_next_start() {
    let scene = Scene::new("");
    for name in [".pylon.db-backup-a1b2c3", ".other.db-backup-a1b2c3", ".pylon.db"] {
        scene.write(name, "half a copy");
    }
    let _running = scene.start();
    assert_eq!(
        names(&scene.path("")),
        [
            ".other.db-backup-a1b2c3",
            ".pylon.db",
            "app-secret",
            "pylon.db",
            "pylon.db-shm",
            "pylon.db-wal",
            "receiver.toml",
            "secret"
        ]
    );
}
