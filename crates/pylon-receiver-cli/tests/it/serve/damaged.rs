//! Files that are no sound ledger, and one that becomes unsound.

use super::*;
use rusqlite::Connection;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

const REMEDY: &str = "stop the receiver, keep a copy of the ledger, and restore a backup or start with a new one";

/// What is done to the file of a sound ledger, and why nothing starts with it then.
type Case = (fn(&Path), &'static str);

const DAMAGES: [Case; 8] = [
    (
        |file| std::fs::write(file, "a text, and no database").unwrap(),
        "the ledger is damaged: file is not a database; REMEDY",
    ),
    (|file| std::fs::write(file, [0; 4096]).unwrap(), "the ledger is damaged: file is not a database; REMEDY"),
    (|file| overwrite(file, 0, &[0x55; 100]), "the ledger is damaged: file is not a database; REMEDY"),
    (|file| cut(file, 2), "the ledger is damaged: database disk image is malformed; REMEDY"),
    (|file| cut(file, 1), "the ledger is damaged: database disk image is malformed; REMEDY"),
    (
        |file| {
            std::fs::remove_file(file).unwrap();
            Connection::open(file).unwrap().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
        },
        "not a ledger of this version: {}/pylon.db is a SQLite file of another program",
    ),
    (
        |file| Connection::open(file).unwrap().pragma_update(None, "application_id", 7).unwrap(),
        "not a ledger of this version: {}/pylon.db is a SQLite file of another program",
    ),
    (
        |file| Connection::open(file).unwrap().pragma_update(None, "user_version", 99).unwrap(),
        "not a ledger of this version: expected at most version 6 in {}/pylon.db, found 99; run a newer pylon-receiver",
    ),
];

fn overwrite(file: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Cuts the file down to so many halves of a page.
fn cut(file: &Path, halves: u64) {
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(halves * 2048).unwrap();
}

/// A ledger with some events, closed in order.
fn scene() -> Scene {
    let scene = Scene::new("[[destination]]\nname = \"lines\"\njsonl = \"{}/lines\"\n");
    let running = scene.start();
    for number in 0..3 {
        running.ended(&running.webhook(&body(number)).id());
    }
    assert_eq!(running.stop().0, Some(0));
    assert!(!scene.path("pylon.db-wal").exists());
    scene
}

#[test]
fn a_damaged_or_foreign_file_is_not_started_and_stays_as_it_is() {
    let original = scene();
    let bytes = std::fs::read(original.path("pylon.db")).unwrap();
    for (damage, sentence) in DAMAGES {
        let scene = Scene::new("");
        let file = scene.path("pylon.db");
        std::fs::write(&file, &bytes).unwrap();
        damage(&file);
        let before = std::fs::read(&file).unwrap();
        scene.assert_refuses(1, &sentence.replace("REMEDY", REMEDY));
        assert_eq!(std::fs::read(&file).unwrap(), before, "{sentence}");
    }
}

#[test]
fn an_empty_file_is_a_new_ledger_and_the_log_says_so() {
    let scene = Scene::new("");
    scene.write("pylon.db", "");
    let running = scene.start();
    running.webhook(&body(1)).id();
    running.logs(&["created a new ledger"]);
    assert_eq!(running.stop().0, Some(0));
    assert!(!scene.start().log().contains("created a new ledger"));
}

/// Where a table or an index begins.
fn root_page(scene: &Scene, name: &str) -> u64 {
    let page: i64 = scene
        .ledger()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0))
        .unwrap();
    page as u64
}

#[test]
fn a_damaged_page_is_told_when_it_is_met_and_nothing_is_acknowledged_then() {
    for table in ["events", "deliveries", "deliveries_due"] {
        let scene = scene();
        overwrite(&scene.path("pylon.db"), (root_page(&scene, table) - 1) * 4096, &[0x55; 4096]);
        let running = scene.start();
        for number in 10..13 {
            assert_unavailable(&running.webhook(&body(number)));
        }
        running.logs(&["a request was refused", "ledger_damaged"]);
        let unmet = running.unmet();
        assert_eq!(unmet, [format!("the ledger is damaged: database disk image is malformed; {REMEDY}")]);
        assert_eq!(running.get("/livez").status, 200);
        assert_eq!(running.stop().0, Some(0));
    }
}
