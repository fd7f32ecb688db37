//! No room left: nothing is acknowledged that is not kept, and what was acknowledged is there when there is room again.

use super::ledger::may_mount;
use super::*;

/// A body of about 20 kB.
fn large(number: usize) -> String {
    body(number).replace('}', &format!(r#","filler":"{}"}}"#, "x".repeat(20_000)))
}

/// Sends until something is refused, and gives the ids of what was accepted.
fn fill(running: &Running) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..2000 {
        let answer = running.webhook(&large(number));
        if answer.status != 200 {
            assert_unavailable(&answer);
            return ids;
        }
        ids.push(answer.id());
    }
    panic!("it is never full");
}

fn assert_tells(running: &Running, sentence: &str) {
    // Where an event does not fit, what finds out whether anything does may fit a few times more.
    eventually("it is not ready", || (running.unmet() == [sentence]).then_some(()));
    assert_eq!(running.get("/livez").status, 200);
    for number in 5000..5003 {
        assert_unavailable(&running.webhook(&large(number)));
    }
    running.logs(&["a request was refused", sentence]);
    assert!(!running.log().contains("panicked"));
}

#[test]
fn files_that_may_not_grow() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    // In units of 512 bytes, as POSIX has it. The signal would end the process.
    let by = ["sh", "-c", "trap '' XFSZ; ulimit -f 4000; exec \"$@\"", "sh"];
    let running = Running::start(scene.serve_by(&by));
    let ids = fill(&running);
    assert!(ids.len() > 10);
    assert_tells(&running, "the ledger failed: disk I/O error");
    drop(running);
    let running = scene.start();
    for id in &ids {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    assert_eq!(scene.kept(), ids);
    running.webhook(&large(9999)).id();
}

#[test]
fn a_disk_that_is_full() {
    if !may_mount() {
        return;
    }
    let destination = Destination::well();
    let scene = Scene::new(&format!("ledger = \"sqlite:{{}}/disk/pylon.db\"\n{}", app(&destination.url, "")));
    std::fs::create_dir(scene.path("disk")).unwrap();
    let disk = scene.path("disk");
    let mount = "mount -t tmpfs -o size=3m none \"$0\" && head -c 1000000 /dev/zero > \"$0/filler\" && exec \"$@\"";
    let running = Running::start(scene.serve_by(&["unshare", "-rm", "sh", "-c", mount, disk.to_str().unwrap()]));
    let ids = fill(&running);
    assert!(ids.len() > 10);
    assert_tells(&running, "the ledger is full: expected room for more, found none; make room where it is stored");
    // Room is made, and it goes on by itself.
    let seen_by_it = format!("/proc/{}/root{}", running.pid(), disk.display());
    std::fs::remove_file(format!("{seen_by_it}/filler")).unwrap();
    eventually("it is ready again", || running.unmet().is_empty().then_some(()));
    let last = running.webhook(&large(9999)).id();
    for id in ids.iter().chain([&last]) {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    assert_eq!(running.command(&["stats"])["events"], ids.len() + 1);
    assert_eq!(running.stop().0, Some(0));
}
