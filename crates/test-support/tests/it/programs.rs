//! Other programs are found, run within a bound, and end with us.

use pylon_test_support::folder::Folder;
use pylon_test_support::process::Program;
use pylon_test_support::programs::debian_program;
use pylon_test_support::wait::{PATIENCE, eventually};
use rustix::process::Signal;
use std::time::Duration;

fn shell(script: &str) -> Program {
    Program::new("sh").arguments(["-c", script])
}

#[test]
fn programs_of_debian_run_with_their_libraries() {
    // The second needs libraries that come with it.
    for name in ["nats-server", "pgbouncer"] {
        let Some(program) = debian_program(name) else { continue };
        let printed = program.argument("--version").run("", PATIENCE).unwrap();
        assert!(printed.to_lowercase().contains(name), "{printed}");
    }
}

#[test]
fn a_run_gives_what_was_printed_or_says_why_it_failed() {
    let program = shell("cat; echo $GIVEN$TAKEN").environment("GIVEN", "given").without_environment("TAKEN");
    assert_eq!(program.run("input ", PATIENCE).unwrap(), "input given\n");
    let told = shell("echo broken >&2; exit 3").run("", PATIENCE).unwrap_err();
    assert_eq!(told, "sh ended with exit status: 3: broken");
    let told = shell("echo slow >&2; exec sleep 600").run("", Duration::from_millis(300)).unwrap_err();
    assert_eq!(told, "sh has not ended within 300ms; it wrote: slow");
    let told = Program::new("/nowhere/program").run("", PATIENCE).unwrap_err();
    assert!(told.contains("/nowhere/program"), "{told}");
}

#[test]
fn a_program_at_work_writes_a_log_takes_signals_and_ends_when_it_is_dropped() {
    let folder = Folder::new("pylon-it-", None);
    let log = folder.path().join("log");
    let written = |text: &str| (std::fs::read_to_string(&log).unwrap_or_default() == text).then_some(());
    let mut running = shell("trap 'echo asked; exit 4' TERM; echo began; while :; do sleep 0.01; done").start(&log);
    eventually("it has begun", || written("began\n"));
    assert!(running.ended().is_none());
    running.signal(Signal::TERM);
    assert_eq!(running.wait(PATIENCE).and_then(|status| status.code()), Some(4));
    eventually("it has written", || written("began\nasked\n"));
    let running = shell("exec sleep 600").start(&log);
    let process = format!("/proc/{}", running.id());
    assert!(std::fs::exists(&process).unwrap());
    drop(running);
    assert!(!std::fs::exists(&process).unwrap());
    let path = folder.path().to_owned();
    drop(folder);
    assert!(!path.exists());
}
