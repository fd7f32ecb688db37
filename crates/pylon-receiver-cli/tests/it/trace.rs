//! Durability is shown, not assumed: the system calls of the real binary while it accepts one event. Every promise of the
//! ledger rests on this order: the event is written, the file is synced, and only then the answer goes out.

mod order;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tracer;

#[path = "../process/mod.rs"]
mod process;

use order::{Call, Deed, check};
use process::Process;
use process::http::Client;
use pylon_webhooks::Secret;
use std::path::Path;

const MARKER: &str = "3b5e7c1a-marker-of-the-event-that-is-traced";

#[test]
fn an_event_is_written_then_synced_and_then_answered() {
    let folder = tempfile::tempdir().unwrap();
    let calls = trace_one_accept(folder.path());
    let proof = check(&calls, MARKER.as_bytes()).unwrap_or_else(|fault| panic!("{fault}; traced: {calls:#?}"));
    assert!(proof.file.starts_with(folder.path().to_str().unwrap()), "{proof:?}");
}

/// The calls that matter, from before the request is sent until its answer has been read.
fn trace_one_accept(folder: &Path) -> Vec<Call> {
    let config = folder.join("pylon.toml");
    let variable = process::SECRET_VARIABLE;
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nledger = \"sqlite:{}\"\nlog = \"json\"\n\
         [[endpoint]]\npath = \"/webhook\"\nsecrets = [{{ env = \"{variable}\" }}]\n",
        folder.join("pylon.db").display()
    );
    std::fs::write(&config, text).unwrap();
    let receiver = Process::start(&config);
    let secret = Secret::new(process::SECRET).unwrap();
    // No larger than a page of the ledger's file, so that the marker stands in one piece.
    let body = format!("{{\"event_type\": \"issue_new\", \"issue_id\": \"{MARKER}\"}}");
    trace(&receiver, || {
        let mut client = Client::connect(receiver.webhooks).unwrap();
        let answered = client.post_signed("/webhook", &secret, body.as_bytes()).unwrap();
        assert_eq!(answered.status, 200);
        assert!(answered.event.is_some(), "expected the event's id in the answer");
    })
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn trace(receiver: &Process, act: impl FnOnce()) -> Vec<Call> {
    let poke = || {
        // Any call of the traced process will do.
        Client::connect(receiver.webhooks).map(drop).expect("the receiver still listens");
    };
    tracer::trace(receiver.id(), act, poke)
}

/// Nothing is shown where nothing can be traced, and a test that shows nothing must not pass.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn trace(_: &Process, _: impl FnOnce()) -> Vec<Call> {
    panic!("system calls can be traced on Linux on x86-64 and ARM64 alone, found another system: run this test there")
}

#[test]
fn what_does_not_show_the_order_is_told_apart() {
    let write = |at, file: &str| call(at, Deed::Write(format!("frame {MARKER} frame").into()), file, 0);
    let other = |at, file: &str| call(at, Deed::Write(b"another page".to_vec()), file, 0);
    let sync = |at, file: &str| call(at, Deed::Sync, file, 0);
    let failed = |at, file: &str| call(at, Deed::Sync, file, -5);
    let answer = |at| call(at, Deed::Write(b"HTTP/1.1 200 OK\r\n".to_vec()), "socket:[1]", 0);
    let refusal = |at| call(at, Deed::Write(b"HTTP/1.1 503 Service Unavailable\r\n".to_vec()), "socket:[1]", 0);
    let under_way = |mut call: Call| {
        call.left = Some(1000);
        call
    };
    let unfinished = |mut call: Call| {
        call.left = None;
        call
    };
    let not_synced = "expected a sync of /wal between the last write to it and the answer, found none";
    let cases: &[(&str, Vec<Call>, Result<&str, &str>)] = &[
        ("the right order", vec![write(0, "/wal"), sync(2, "/wal"), answer(4)], Ok("/wal")),
        ("two frames", vec![write(0, "/wal"), other(2, "/wal"), sync(4, "/wal"), answer(6)], Ok("/wal")),
        ("another file between", vec![write(0, "/wal"), sync(2, "/wal"), other(4, "/x"), answer(6)], Ok("/wal")),
        ("no answer", vec![write(0, "/wal"), sync(2, "/wal")], Err(order::NEVER_ANSWERED)),
        ("refused", vec![write(0, "/wal"), sync(2, "/wal"), refusal(4)], Err(order::NEVER_ANSWERED)),
        ("no write", vec![sync(0, "/wal"), answer(2)], Err(order::NEVER_WRITTEN)),
        ("another event written", vec![other(0, "/wal"), sync(2, "/wal"), answer(4)], Err(order::NEVER_WRITTEN)),
        ("written to a pipe", vec![write(0, "pipe:[2]"), sync(2, "/wal"), answer(4)], Err(order::NEVER_WRITTEN)),
        ("written afterwards", vec![answer(0), write(2, "/wal"), sync(4, "/wal")], Err(order::NEVER_WRITTEN)),
        ("no sync", vec![write(0, "/wal"), answer(2)], Err(not_synced)),
        ("synced before", vec![sync(0, "/wal"), write(2, "/wal"), answer(4)], Err(not_synced)),
        ("synced afterwards", vec![write(0, "/wal"), answer(2), sync(4, "/wal")], Err(not_synced)),
        ("another file synced", vec![write(0, "/wal"), sync(2, "/db"), answer(4)], Err(not_synced)),
        ("the sync failed", vec![write(0, "/wal"), failed(2, "/wal"), answer(4)], Err(not_synced)),
        ("the sync under way", vec![write(0, "/wal"), under_way(sync(2, "/wal")), answer(4)], Err(not_synced)),
        ("the sync unfinished", vec![write(0, "/wal"), unfinished(sync(2, "/wal")), answer(4)], Err(not_synced)),
        (
            "more written after the sync",
            vec![write(0, "/wal"), sync(2, "/wal"), other(4, "/wal"), answer(6)],
            Err(not_synced),
        ),
        ("synced while written", vec![under_way(write(0, "/wal")), sync(2, "/wal"), answer(4)], Err(not_synced)),
    ];
    for (name, calls, expected) in cases {
        let found = check(calls, MARKER.as_bytes()).map(|proof| proof.file);
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{name}");
    }
}

fn call(at: usize, deed: Deed, target: &str, result: i64) -> Call {
    Call { deed, target: target.into(), entered: at, left: Some(at + 1), result }
}
