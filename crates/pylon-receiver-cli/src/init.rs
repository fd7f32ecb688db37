//! What the first process of a container has to do: it inherits the children of processes that have ended, and reaps them.
//!
//! The receiver runs as a child of a small process that reaps and passes signals on. Within the receiver, reaping every child would
//! take the exit codes of commands from those who wait for them.

use crate::fault::Fault;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code for an end by a signal is this much more than the signal's number, as in a shell.
const BY_SIGNAL: i32 = 128;

/// Whether this process inherits children: it is the first of its namespace, or a subreaper.
pub(crate) fn is_needed() -> bool {
    std::process::id() == 1 || is_subreaper()
}

/// Runs this command again as a child, passes signals on and reaps until it ends. Ends this process with the child's exit code.
///
/// # Errors
/// The child cannot be started.
pub(crate) fn run() -> Result<(), Fault> {
    let fault = |error| Fault::failed(format!("the receiver cannot be started as a child of PID 1: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
    let code = runtime.block_on(watch()).map_err(fault)?;
    std::process::exit(code)
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
    command.arg0(arguments.next().unwrap_or_default()).args(arguments);
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
    Ok("/proc/self/exe".into())
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
