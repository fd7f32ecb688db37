//! `migrate-ledger`: a receiver that goes on with another ledger.

#[cfg(feature = "postgres")]
mod onto_postgres;

use super::process::signed;
use super::*;
use pylon_receiver::ledger::{
    Ledger, LedgerError, NewDelivery, NewEvent, SpoolOptions, SpooledLedger, SqliteLedger, SqliteOptions,
};
use pylon_receiver::{EventId, Headers, Moment};
use pylon_webhooks::Payload;
use pylon_webhooks::testing::verified;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Runs `migrate-ledger` on ledgers in the folder, with further arguments.
fn migrate(scene: &Scene, from: &str, to: &str, further: &[&str]) -> Output {
    command(scene, from, Some(to), further).output().unwrap()
}

fn command(scene: &Scene, from: &str, to: Option<&str>, further: &[&str]) -> Command {
    let address = |name| address(scene, name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    command.arg("migrate-ledger").args(["--from", &address(from)]);
    if let Some(to) = to {
        command.args(["--to", &address(to)]);
    }
    command.args(further).stdin(Stdio::null());
    command
}

/// The address of a ledger: a file in the folder, unless it is a URL.
fn address(scene: &Scene, name: &str) -> String {
    match name.contains("://") {
        true => name.to_owned(),
        false => format!("sqlite:{}", scene.path(name).display()),
    }
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn fails(output: &Output, code: i32, sentence: &str) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*stdout, &*stderr), (Some(code), "", &*format!("error: {sentence}\n")));
}

/// The folder as the ledger names it.
fn folder(scene: &Scene) -> String {
    scene.folder.path().canonicalize().unwrap().display().to_string()
}

#[test]
fn what_waits_in_one_ledger_is_delivered_from_the_other() {
    let up = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_up = up.clone();
    let destination = Destination::start(move |arrived, _| match is_up.load(std::sync::atomic::Ordering::SeqCst) {
        true => Reply::OK,
        false if arrived.json()["issue_id"] == "0" => Reply::OK,
        false => Reply::status(500),
    });
    let scene = Scene::new(&app(&destination.url, "order_by = \"issue_id\""));
    let running = scene.start();
    let headers: Vec<_> = (0..4).map(|number| signed(SECRET, &body(number))).collect();
    let send = |running: &Running, number: usize| {
        running.try_webhook("/webhook", &headers[number], &body(number)).expect("an answer")
    };
    let sent: Vec<_> = (0..4).map(|number| send(&running, number).id()).collect();
    running.ended(&sent[0]);
    eventually("all were attempted", || (destination.arrived().len() > 6).then_some(()));
    running.try_webhook("/webhook", &[], "{}").unwrap();
    eventually("it is kept", || (running.get("/api/refused").json()["refused"].as_array()?.len() == 1).then_some(()));

    // Not while it is served.
    let root = folder(&scene);
    fails(
        &migrate(&scene, "pylon.db", "new.db", &[]),
        1,
        &format!(
            "the ledger to copy from: the ledger is in use: {root}/pylon.db is open in another receiver; stop the other process or give \
             this one a ledger of its own"
        ),
    );
    assert!(!scene.path("new.db").exists());
    assert_eq!(running.stop().0, Some(0));

    let output = migrate(&scene, "pylon.db", "new.db", &[]);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: BTreeMap<&str, &str> =
        printed.lines().filter_map(|line| line.split_once(' ')).map(|(name, rest)| (name, rest.trim())).collect();
    let from = format!("sqlite:{root}/pylon.db");
    let to = format!("sqlite:{root}/new.db");
    let expected = [
        ("from", &*from),
        ("to", &*to),
        ("events", "4"),
        ("waiting", "3"),
        ("delivered", "1"),
        ("keys", "4"),
        ("refused", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(told.get(name), Some(&value), "{name} in {printed}");
    }
    assert_eq!(told["sha256"].len(), 64);
    assert!(
        printed.ends_with(&format!("moved, and verified on both sides; start the receiver with `--ledger {to}`\n")),
        "{printed}"
    );
    // Once more, it says the same.
    let again = json(&migrate(&scene, "pylon.db", "new.db", &["--json"]));
    assert_eq!((&again["was_done_before"], &again["from"], &again["to"]), (&true.into(), &from.into(), &to.into()));
    assert_eq!((&again["moved"]["counts"]["events"], &again["moved"]["sha256"]), (&4.into(), &told["sha256"].into()));

    let mut refused = Running::start_in_vain(scene.serve());
    assert_eq!(refused.exit(), Some(1));
    assert!(
        refused
            .log()
            .starts_with(&format!("error: the ledger is not in use: it was moved to sqlite:{root}/new.db at "))
    );

    up.store(true, std::sync::atomic::Ordering::SeqCst);
    let before = destination.arrived().len();
    let mut on_the_new_one = scene.serve();
    on_the_new_one.args(["--ledger", &format!("sqlite:{}", scene.path("new.db").display())]);
    let running = Running::start(on_the_new_one);
    for id in &sent {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    assert_eq!(destination.arrived().len(), before + 3);
    // It knows what came before.
    let copy = send(&running, 2).json();
    assert_eq!((&copy["status"], &copy["id"]), (&"duplicate".into(), &sent[2].clone().into()), "{copy}");
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn a_move_is_given_up() {
    let destination = Destination::start(|_, _| Reply::status(500));
    let scene = Scene::new(&app(&destination.url, ""));
    let running = scene.start();
    running.webhook(&body(1)).id();
    assert_eq!(running.stop().0, Some(0));
    let root = folder(&scene);
    fails(
        &migrate(&scene, "pylon.db", "none.db", &["--give-up"]),
        1,
        &format!("the ledger to copy into: the ledger failed: there is no file {}", scene.path("none.db").display()),
    );
    json(&migrate(&scene, "pylon.db", "new.db", &["--json"]));
    fails(
        &migrate(&scene, "pylon.db", "new.db", &["--give-up"]),
        1,
        "the ledger to copy into has everything of an earlier copy of this ledger in use: copied again, events would be delivered twice; \
         use that ledger, or copy it into a new one",
    );
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(scene.path(&format!("new.db{suffix}")));
    }
    let output = command(&scene, "pylon.db", None, &["--give-up", "--json"]).output().unwrap();
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(warned, format!("warning: what sqlite:{root}/new.db has delivered since the move is delivered again\n"));
    assert_eq!(json(&output)["moved_to"], format!("sqlite:{root}/new.db"));
    assert_eq!(scene.start().stop().0, Some(0));
}

#[test]
fn a_wrong_command_line_is_told() {
    let scene = Scene::new("");
    let said = |further: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_pylon-receiver")).arg("migrate-ledger").args(further).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = said(&["--from", "sqlite:a"]);
    assert!(code == Some(2) && text.contains("--to <ADDRESS>"), "{text}");
    let (code, text) = said(&["--from", "a.db", "--to", "sqlite:b"]);
    assert!(code == Some(2) && text.contains("expected `sqlite:PATH` or") && text.contains("found `a.db`"), "{text}");
    let (code, text) = said(&["--from", "postgres://u@127.0.0.1/d", "--to", "sqlite:b"]);
    assert!(
        code == Some(1) && text.contains("and this version moves none out of PostgreSQL; have new webhooks"),
        "{text}"
    );
    let (code, text) = said(&["--from", "sqlite:a", "--to", "sqlite:b", "--merge", "--give-up"]);
    assert!(code == Some(2) && text.contains("cannot be used with"), "{text}");
    let options = SpoolOptions::default();
    let spool = scene.path("spool.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let never = || std::future::ready(Err(LedgerError::Unreachable("it is away".into())));
        SpooledLedger::start(&spool, options, never).await.unwrap().close().await.unwrap();
    });
    for (from, to, end) in [("spool.db", "new.db", "copy from"), ("pylon.db", "spool.db", "copy into")] {
        if from == "pylon.db" {
            drop(SqliteLedger::open(scene.path("pylon.db"), SqliteOptions::default()).unwrap());
        }
        fails(
            &migrate(&scene, from, to, &[]),
            1,
            &format!(
                "the ledger to {end}: the ledger is not in use: it is the spool of a receiver, which hands its events over to the \
                 receiver's ledger; start that receiver, and move the ledger that its `ledger` names"
            ),
        );
    }
    scene.write("pylon.db", "");
    fails(
        &migrate(&scene, "pylon.db", "pylon.db", &[]),
        1,
        "expected two ledgers, found one and the same, or a copy of its file; name another ledger to copy into",
    );
}

/// Fills a ledger with events for the destination `file`.
fn fill(scene: &Scene, name: &str, count: u32) {
    let ledger = std::sync::Arc::new(SqliteLedger::open(scene.path(name), SqliteOptions::default()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut recording = tokio::task::JoinSet::new();
        for number in 0..count {
            let mut random = [0; 10];
            random[6..].copy_from_slice(&number.to_be_bytes());
            let key = (number % 3 == 0).then(|| (number % 20).to_string().into());
            let event = NewEvent {
                id: EventId::new(Moment::from_unix_milliseconds(1_790_000_000_000), random),
                endpoint: "webhook".into(),
                name: "issue_new".into(),
                kind: Some("issue_new".into()),
                method: "POST".into(),
                target: "/webhook".into(),
                query: None,
                headers: Headers::from_stored("content-type: application/json\n"),
                passed: Vec::new(),
                body: verified(Payload::from(body(number as usize).into_bytes())),
                parked: None,
                deduplication: None,
                deliveries: vec![NewDelivery { destination: "file".into(), order_key: key }],
            };
            let ledger = ledger.clone();
            recording.spawn(async move { ledger.record(event).await.unwrap() });
            if recording.len() > 1000 {
                recording.join_next().await.unwrap().unwrap();
            }
        }
        recording.join_all().await;
        ledger.close().await.unwrap();
    });
}

#[test]
fn killed_at_any_moment_it_is_run_again_and_nothing_is_lost_or_comes_twice() {
    killed_at_any_moment("new.db");
}

/// Moves a ledger to this one, and is killed at any moment.
fn killed_at_any_moment(to: &str) {
    const COUNT: u32 = 2000;
    let lines = "[[destination]]\nname = \"file\"\njsonl = \"{}/events.jsonl\"\nconcurrency = 64\n";
    let scene = Scene::new(lines);
    fill(&scene, "pylon.db", COUNT);
    let (mut kills, mut served) = (0, 0);
    let mut patience = Duration::from_millis(20);
    let outcome = loop {
        let mut migrating = command(&scene, "pylon.db", Some(to), &["--json"]);
        let mut migrating = migrating.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Longer each time, so that it is killed at every step, and ends at last.
        std::thread::sleep(patience);
        patience = patience * 4 / 3;
        if migrating.try_wait().unwrap().is_some() {
            break json(&migrating.wait_with_output().unwrap());
        }
        migrating.kill().unwrap();
        let output = migrating.wait_with_output().unwrap();
        if output.status.success() {
            break json(&output);
        }
        kills += 1;
        // The first one may be used meanwhile, unless it was moved already.
        if kills % 4 == 1 {
            let mut old = scene.serve();
            old.arg("--no-deliver");
            let old = Running::start_in_vain(old);
            served += eventually("it listens, or refuses", || {
                let log = old.log();
                (log.contains("listening") || log.contains("it was moved"))
                    .then(|| u32::from(log.contains("listening")))
            });
        }
        assert!(kills < 50, "it never ends");
    };
    assert!(kills > 3, "{kills}");
    assert_eq!(
        (&outcome["moved"]["counts"]["events"], &outcome["moved"]["counts"]["deliveries"]["delivered"]),
        (&COUNT.into(), &0.into())
    );
    assert!(served > 0);

    let mut serving = scene.serve();
    serving.args(["--ledger", &address(&scene, to)]);
    let running = Running::start(serving);
    let delivered = || {
        let text = std::fs::read_to_string(scene.path("events.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    eventually("all are delivered", || {
        let left = running.get("/api/stats").json()["destinations"][0].clone();
        (left["waiting"] == 0 && left["held"] == 0 && left["delivering"] == 0).then_some(())
    });
    assert_eq!(running.stop().0, Some(0));
    let mut ids: Vec<String> = delivered().iter().map(|line| line["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), COUNT as usize);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), COUNT as usize);
}
