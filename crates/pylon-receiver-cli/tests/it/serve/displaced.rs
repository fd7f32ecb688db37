//! Files of the ledger that somebody moves, deletes, replaces or writes while the receiver has them open: what would be gone after a
//! restart is not acknowledged.

use super::ledger::may_mount;
use super::*;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

const REMEDY: &str = "save what is open with `pylon-receiver backup FILE`, stop the receiver, put the right files in place, and start it";

/// What is done in the folder of a ledger, what is found then, and whether undoing it sets it right.
struct Case {
    done: fn(&Path),
    undone: Option<fn(&Path)>,
    found: &'static str,
}

const NONE: &str = "expected the open file at {}/pylon.db, found none";
const NO_WAL: &str = "expected the open file at {}/pylon.db-wal, found none";
const ANOTHER: &str = "expected the open file at {}/pylon.db, found another file";
const WRITTEN: &str = "expected that nobody else writes {}/pylon.db, found that somebody has";
const WAL_WRITTEN: &str = "expected that nobody else writes {}/pylon.db-wal, found that somebody has";

const CASES: [Case; 15] = [
    Case {
        done: |folder| ["pylon.db", "pylon.db-wal", "pylon.db-shm"].iter().for_each(|name| delete(folder, name)),
        undone: None,
        found: NONE,
    },
    Case { done: |folder| delete(folder, "pylon.db"), undone: None, found: NONE },
    Case { done: |folder| delete(folder, "pylon.db-wal"), undone: None, found: NO_WAL },
    Case {
        done: |folder| delete(folder, "pylon.db-shm"),
        undone: None,
        found: "expected the open file at {}/pylon.db-shm, found none",
    },
    Case {
        done: |folder| rename(folder, "pylon.db", "moved"),
        undone: Some(|folder| rename(folder, "moved", "pylon.db")),
        found: NONE,
    },
    Case {
        done: |folder| rename(folder, "pylon.db-wal", "moved"),
        undone: Some(|folder| rename(folder, "moved", "pylon.db-wal")),
        found: NO_WAL,
    },
    Case {
        done: |folder| {
            for name in ["pylon.db", "pylon.db-wal", "pylon.db-shm"] {
                rename(folder, name, &format!("moved-{name}"));
            }
        },
        undone: Some(|folder| {
            for name in ["pylon.db", "pylon.db-wal", "pylon.db-shm"] {
                rename(folder, &format!("moved-{name}"), name);
            }
        }),
        found: NONE,
    },
    Case {
        // As an editor or `sed -i` replaces a file.
        done: |folder| {
            fs::copy(folder.join("pylon.db"), folder.join("copy")).unwrap();
            fs::hard_link(folder.join("pylon.db"), folder.join("moved")).unwrap();
            rename(folder, "copy", "pylon.db");
        },
        undone: Some(|folder| rename(folder, "moved", "pylon.db")),
        found: ANOTHER,
    },
    Case {
        done: |folder| {
            rename(folder, "pylon.db-wal", "moved");
            fs::copy(folder.join("moved"), folder.join("pylon.db-wal")).unwrap();
        },
        undone: Some(|folder| rename(folder, "moved", "pylon.db-wal")),
        found: "expected the open file at {}/pylon.db-wal, found another file",
    },
    Case {
        done: |folder| fs::rename(folder, folder.with_extension("moved")).unwrap(),
        undone: Some(|folder| fs::rename(folder.with_extension("moved"), folder).unwrap()),
        found: NONE,
    },
    Case {
        done: |folder| {
            fs::rename(folder, folder.with_extension("moved")).unwrap();
            fs::create_dir(folder).unwrap();
            fs::copy(folder.with_extension("moved").join("pylon.db"), folder.join("pylon.db")).unwrap();
        },
        undone: Some(|folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::rename(folder.with_extension("moved"), folder).unwrap();
        }),
        found: ANOTHER,
    },
    // As `cp` writes a file that is there.
    Case {
        done: |folder| fs::write(folder.join("pylon.db"), "another content").unwrap(),
        undone: None,
        found: WRITTEN,
    },
    Case { done: |folder| truncate(&folder.join("pylon.db")), undone: None, found: WRITTEN },
    Case { done: |folder| truncate(&folder.join("pylon.db-wal")), undone: None, found: WAL_WRITTEN },
    Case {
        done: |folder| {
            // Of the same length, and with a time of the past.
            let length = fs::metadata(folder.join("pylon.db")).unwrap().len();
            fs::write(folder.join("pylon.db"), vec![7; usize::try_from(length).unwrap()]).unwrap();
            let file = fs::File::options().write(true).open(folder.join("pylon.db")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        },
        undone: None,
        found: WRITTEN,
    },
];

fn delete(folder: &Path, name: &str) {
    fs::remove_file(folder.join(name)).unwrap();
}

fn rename(folder: &Path, from: &str, to: &str) {
    fs::rename(folder.join(from), folder.join(to)).unwrap();
}

fn truncate(file: &Path) {
    fs::File::options().write(true).open(file).unwrap().set_len(0).unwrap();
}

/// A ledger in a folder of its own.
fn scene(destination: &Destination) -> Scene {
    let scene = Scene::new(&format!("ledger = \"sqlite:{{}}/kept/pylon.db\"\n{}", app(&destination.url, "")));
    fs::create_dir(scene.path("kept")).unwrap();
    scene
}

#[track_caller]
fn assert_tells(running: &Running, found: &str) {
    let sentence = format!("the ledger's files have changed: {found}; {REMEDY}");
    for number in 100..103 {
        assert_unavailable(&running.webhook(&body(number)));
    }
    assert_eq!(running.unmet(), std::slice::from_ref(&sentence));
    assert_eq!(running.get("/livez").status, 200);
    running.logs(&["a request was refused", "ledger_displaced"]);
    let told = |line: &&str| {
        line.contains("\"ERROR\"") && line.contains("the ledger cannot commit") && line.contains(&sentence)
    };
    assert_eq!(running.log().lines().filter(told).count(), 1, "once, and not for each request: {}", running.log());
}

#[test]
fn nothing_is_acknowledged_while_the_paths_do_not_lead_to_the_open_files() {
    let destination = Destination::well();
    for Case { done, undone, found } in CASES {
        let scene = scene(&destination);
        let folder = scene.path("kept");
        let running = scene.start();
        let mut ids = vec![running.webhook(&body(1)).id(), running.webhook(&body(2)).id()];
        ids.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
        done(&folder);
        assert_tells(&running, &found.replace("{}", folder.to_str().unwrap()));
        // What is open can be read still.
        assert_eq!(running.ended(&ids[1]), ["delivered"], "{found}");
        let Some(undone) = undone else { continue };
        undone(&folder);
        ids.push(running.webhook(&body(3)).id());
        running.logs(&["the ledger can commit again"]);
        eventually("it is ready again", || running.unmet().is_empty().then_some(()));
        drop(running);
        let running = scene.start();
        for id in &ids {
            assert_eq!(running.ended(id), ["delivered"], "{found}");
        }
        assert_eq!(running.command(&["stats"])["events"], 3, "what was refused was not kept: {found}");
    }
}

/// The commits before the deletion are in the WAL, which nobody finds any more; the file that is found has them by then.
#[test]
fn what_was_acknowledged_before_its_wal_was_deleted_is_there_after_a_kill() {
    let destination = Destination::well();
    for name in ["pylon.db-wal", "pylon.db-shm"] {
        let scene = scene(&destination);
        let mut running = scene.start();
        let ids: Vec<_> = (0..20).map(|number| running.webhook(&body(number)).id()).collect();
        delete(&scene.path("kept"), name);
        assert_unavailable(&running.webhook(&body(100)));
        running.signal(Signal::KILL);
        assert_eq!(running.exit(), None);
        let running = scene.start();
        for id in &ids {
            assert_eq!(running.ended(id), ["delivered"], "{name}");
        }
    }
}

/// A link that is changed, as Kubernetes and deployment tools change one.
#[test]
fn a_link_on_the_way_that_comes_to_lead_elsewhere_is_noticed() {
    let destination = Destination::well();
    let scene = scene(&destination);
    fs::remove_dir(scene.path("kept")).unwrap();
    for name in ["first", "second"] {
        fs::create_dir(scene.path(name)).unwrap();
    }
    std::os::unix::fs::symlink("first", scene.path("kept")).unwrap();
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&id), ["delivered"]);
    std::os::unix::fs::symlink("second", scene.path("next")).unwrap();
    fs::rename(scene.path("next"), scene.path("kept")).unwrap();
    assert_tells(&running, &NONE.replace("{}", scene.path("kept").to_str().unwrap()));
    assert_eq!(running.ended(&id), ["delivered"]);
}

#[test]
fn a_file_system_that_is_mounted_over_the_ledger_is_noticed() {
    if !may_mount() {
        return;
    }
    let destination = Destination::well();
    let scene = scene(&destination);
    // The second file system comes once the ledger is there.
    let mount = "(until [ -e \"$0/go\" ]; do sleep 0.02; done; mount -t tmpfs none \"$0\") & exec \"$@\"";
    let folder = scene.path("kept");
    let running = Running::start(scene.serve_by(&["unshare", "-rm", "sh", "-c", mount, folder.to_str().unwrap()]));
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&id), ["delivered"]);
    fs::write(folder.join("go"), "").unwrap();
    eventually("it is not ready", || (!running.unmet().is_empty()).then_some(()));
    assert_tells(&running, &NONE.replace("{}", folder.to_str().unwrap()));
    assert_eq!(running.ended(&id), ["delivered"]);
}

/// A backup is copied over the open file: what the receiver had not yet written into the file must not get into it.
#[test]
fn a_backup_that_is_copied_over_the_open_file_is_what_a_start_finds_once_the_events_after_it_are_given_up() {
    let destination = Destination::well();
    for ends_by in [Signal::TERM, Signal::KILL] {
        let scene = scene(&destination);
        let mut running = scene.start();
        let kept: Vec<_> = (0..10).map(|number| running.webhook(&body(number)).id()).collect();
        kept.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
        let copy = scene.path("copy");
        let admin = format!("http://{}", running.admin);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
        assert!(command.arg("backup").arg(&copy).args(["--admin-url", &admin]).output().unwrap().status.success());
        let later: Vec<_> = (10..100).map(|number| running.webhook(&body(number)).id()).collect();
        later.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
        let folder = scene.path("kept");
        fs::copy(&copy, folder.join("pylon.db")).unwrap();
        assert_tells(&running, &WRITTEN.replace("{}", folder.to_str().unwrap()));
        running.logs(&["\"ERROR\"", "the WAL of the overwritten ledger was moved aside", "pylon.db-wal-aside"]);
        running.signal(ends_by);
        running.exit();
        assert!(fs::read(folder.join("pylon.db")).unwrap() == fs::read(&copy).unwrap());
        assert_refused(&scene);
        fs::remove_file(folder.join("pylon.db-wal-aside")).unwrap();
        let running = scene.start();
        kept.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
        assert_eq!(running.command(&["stats"])["events"], 10);
        drop(running);
        let ledger = rusqlite::Connection::open(folder.join("pylon.db")).unwrap();
        let sound: String = ledger.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
}

/// A WAL that was moved aside holds acknowledged events. An operator decides whether they are kept.
#[track_caller]
fn assert_refused(scene: &Scene) {
    let path = scene.path("kept/pylon.db").display().to_string();
    let sentence = format!(
        "expected no {path}-wal-aside, found one: another file was written over the ledger, and this has events of the former one; put \
         the former file back at {path} and rename {path}-wal-aside to {path}-wal, or delete {path}-wal-aside, which gives up the events \
         in it"
    );
    for command in ["serve", "check-config"] {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
        let output = program.arg(command).arg("--config").arg(scene.path("receiver.toml")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&sentence), "{command}: {text}");
        assert!(!output.status.success(), "{command}");
    }
}

#[test]
fn the_wal_of_an_overwritten_ledger_goes_with_the_former_file() {
    let destination = Destination::well();
    for overwrite in [|file: &Path| truncate(file), |file: &Path| fs::write(file, "another content").unwrap()] {
        let scene = scene(&destination);
        let running = scene.start();
        let folder = scene.path("kept");
        let former = scene.path("former");
        let ids: Vec<_> = (0..20).map(|number| running.webhook(&body(number)).id()).collect();
        ids.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
        fs::copy(folder.join("pylon.db"), &former).unwrap();
        overwrite(&folder.join("pylon.db"));
        assert_tells(&running, &WRITTEN.replace("{}", folder.to_str().unwrap()));
        drop(running);
        assert_refused(&scene);
        fs::copy(&former, folder.join("pylon.db")).unwrap();
        rename(&folder, "pylon.db-wal-aside", "pylon.db-wal");
        let running = scene.start();
        ids.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
        assert_eq!(running.command(&["stats"])["events"], 20);
    }
}

const TOUCHED: &str = "another program has checkpointed or touched the ledger";

/// As `touch` does, or a program that sets the times of what it restores or copies.
#[test]
fn a_file_that_was_only_touched_is_written_on() {
    let destination = Destination::well();
    let scene = scene(&destination);
    let running = scene.start();
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(running.webhook(&body(number)).id());
        let file = fs::File::options().write(true).open(scene.path("kept/pylon.db")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(number as u64)).unwrap();
    }
    ids.push(running.webhook(&body(5)).id());
    assert_eq!(running.unmet(), [""; 0]);
    assert_eq!(running.log().matches(TOUCHED).count(), 1, "{}", running.log());
    drop(running);
    let running = scene.start();
    ids.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"]));
}

/// As Litestream and an operator's `sqlite3` do.
#[test]
fn checkpoints_of_another_process_lose_nothing() {
    let destination = Destination::well();
    for (mode, has_reader) in
        [("PASSIVE", false), ("PASSIVE", true), ("FULL", false), ("RESTART", false), ("TRUNCATE", false)]
    {
        let scene = scene(&destination);
        let mut running = scene.start();
        let open = || {
            let other = rusqlite::Connection::open(scene.path("kept/pylon.db")).unwrap();
            other.busy_timeout(Duration::from_secs(5)).unwrap();
            other
        };
        let (other, reader) = (open(), open());
        let mut ids: Vec<String> = Vec::new();
        for round in 0..8 {
            if has_reader {
                reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
            }
            let senders = 0..4;
            std::thread::scope(|scope| {
                let sent: Vec<_> = senders
                    .map(|sender| {
                        let running = &running;
                        scope.spawn(move || {
                            let numbers = (0..15).map(|number| 1000 * round + 100 * sender + number);
                            numbers.map(|number| accepted(running, &body(number))).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                for _ in 0..10 {
                    other.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
                }
                ids.extend(sent.into_iter().flat_map(|sent| sent.join().unwrap()));
            });
            if has_reader {
                reader.execute_batch("COMMIT").unwrap();
            }
            other.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
        }
        assert_eq!(running.unmet(), [""; 0], "{mode}");
        running.logs(&[TOUCHED]);
        assert!(!running.log().contains("ledger_displaced"), "{mode}: {}", running.log());
        drop((other, reader));
        running.signal(Signal::KILL);
        running.exit();
        let running = scene.start();
        ids.iter().for_each(|id| assert_eq!(running.ended(id), ["delivered"], "{mode}"));
        assert_eq!(running.command(&["stats"])["events"], ids.len(), "{mode}");
    }
}

/// Sends until it is accepted: on a busy machine another process may have the file locked for longer than a webhook waits.
fn accepted(running: &Running, body: &str) -> String {
    let mut answers = (0..50).map(|_| running.webhook(body));
    answers.find(|answer| answer.status != 503).expect("it is accepted sooner or later").id()
}

/// Somebody puts other files in the place of the open ones and starts a second receiver: the end of the first must not touch them.
#[test]
fn the_end_leaves_the_files_of_another_receiver_alone() {
    let destination = Destination::well();
    let scene = scene(&destination);
    let (first, folder) = (scene.start(), scene.path("kept"));
    assert_eq!(first.ended(&first.webhook(&body(1)).id()), ["delivered"]);
    fs::create_dir(scene.path("moved")).unwrap();
    for name in ["pylon.db", "pylon.db-wal", "pylon.db-shm"] {
        fs::rename(folder.join(name), scene.path("moved").join(name)).unwrap();
    }
    let second = scene.start();
    let id = second.webhook(&body(2)).id();
    assert_unavailable(&first.webhook(&body(3)));
    assert_eq!(first.stop().0, Some(0));
    assert_eq!(second.ended(&id), ["delivered"]);
    let id = second.webhook(&body(4)).id();
    assert_eq!(second.unmet(), [""; 0]);
    drop(second);
    assert_eq!(scene.start().ended(&id), ["delivered"]);
    // What the first one had kept is whole where it lies now.
    let moved = rusqlite::Connection::open(scene.path("moved").join("pylon.db")).unwrap();
    let events: i64 = moved.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(events, 1);
}
