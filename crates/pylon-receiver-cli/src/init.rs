//! What the first process of a container has to do: it inherits the children of processes that have ended, and reaps them.
//!
//! The receiver runs as a child of a small process that reaps and passes signals on. Within the receiver, reaping every child would
//! take the exit codes of commands from those who wait for them.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getppid, kill_process, wait};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code for an end by a signal is this much more than the signal's number, as in a shell.
const BY_SIGNAL: i32 = 128;

/// Says in the environment of the child who its parent is.
const PARENT: &str = "PYLON_RECEIVER_PARENT";

/// Whether this process inherits children: it is the first of its namespace, or a subreaper.
pub(crate) fn is_needed() -> bool {
    std::process::id() == 1 || is_subreaper()
}

/// Runs this command again as a child, passes signals on and reaps until it ends. Ends this process with the child's exit code.
/// Returns only if the child cannot be started, and says why.
pub(crate) fn run() -> io::Error {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(watch())) {
        Ok(code) => std::process::exit(code),
        Err(error) => error,
    }
}

/// As the child of [`run`], ends when its parent is killed: nobody else would end it, and it has the ports and the ledger.
pub(crate) fn end_with_parent() {
    let parent = || getppid().map(|parent| parent.as_raw_nonzero().to_string());
    let is_child = || std::env::var(PARENT).is_ok_and(|meant| parent().is_some_and(|parent| parent == meant));
    if is_child() {
        die_with_parent();
        // It may have ended before.
        if !is_child() {
            std::process::exit(BY_SIGNAL + Signal::KILL.as_raw());
        }
    }
}

async fn watch() -> io::Result<i32> {
    // Before the child starts, so that no signal is lost.
    let mut ended = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let child = Pid::from_child(&command()?.spawn()?);
    loop {
        let passed_on = tokio::select! {
            _ = ended.recv() => match reap(child) {
                Some(code) => return Ok(code),
                None => continue,
            },
            _ = terminate.recv() => Signal::TERM,
            _ = interrupt.recv() => Signal::INT,
            _ = hang_up.recv() => Signal::HUP,
        };
        // It has not been reaped, so the number is still its own.
        let _ = kill_process(child, passed_on);
    }
}

fn command() -> io::Result<Command> {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(own_program()?);
    command.arg0(arguments.next().unwrap_or_default()).args(arguments).env(PARENT, std::process::id().to_string());
    // Sockets that were meant for this process are meant for the child.
    if std::env::var("LISTEN_PID").is_ok_and(|meant| meant == std::process::id().to_string()) {
        command.env_remove("LISTEN_PID");
    }
    Ok(command)
}

/// Reaps every process that has ended, and gives the exit code of this child if it is among them.
fn reap(child: Pid) -> Option<i32> {
    let mut code = None;
    // An error means that there are no children.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            code = Some(exit_code(status));
        }
    }
    code
}

fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, signal) => BY_SIGNAL + signal.unwrap_or_default(),
    }
}

#[cfg(target_os = "linux")]
fn own_program() -> io::Result<PathBuf> {
    // Also where the file was replaced meanwhile.
    let link = PathBuf::from("/proc/self/exe");
    // Without /proc there is the name by which it was called.
    Ok(if link.exists() { link } else { std::env::args_os().next().unwrap_or_default().into() })
}

#[cfg(not(target_os = "linux"))]
fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

#[cfg(target_os = "linux")]
fn is_subreaper() -> bool {
    rustix::process::child_subreaper().is_ok_and(|subreaper| subreaper.is_some())
}

#[cfg(not(target_os = "linux"))]
fn is_subreaper() -> bool {
    false
}

#[cfg(target_os = "linux")]
fn die_with_parent() {
    // Refused, it outlives its parent.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent() {}
