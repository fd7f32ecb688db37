//! Delivers to the standard input of a command.
//!
//! The command runs in a process group of its own, without a shell. Its environment has the configured variables, `PATH`, `HOME`,
//! `LANG`, `TZ`, and `PYLON_EVENT_ID`, `PYLON_DELIVERY_ID`, `PYLON_ATTEMPT` (from 1), `PYLON_NAME` (the event's name as it was sent; empty
//! if it is longer than 256 bytes or has a NUL), `PYLON_KIND` (the known kind; empty if there is none), `PYLON_ENDPOINT` and
//! `PYLON_RECEIVED_AT` (RFC 3339).
//!
//! Exit code 0 means that the event arrived, even if the command did not read all of it. At the time-out, or when the future is
//! dropped, the whole group is killed, except processes that left the group. When the command exits, its children run on.
//!
//! The standard output is discarded. The last line of the standard error goes, shortened, into the report of a failure, and so into
//! the ledger, for the operator to see; where there is more than that line, the last 2 KiB go with it, because the end says why a
//! program failed. They may hold anything, so they are never logged.

use super::attempt::Attempt;
use super::code::Code;
use super::contract::{Transport, TransportFuture};
use super::line::{LastLine, Tail};
use super::report::{Delivered, Report};
use super::shortage::Shortage;
use crate::config::DestinationConfig;
use crate::text::show_duration;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr};
use tokio::runtime::Handle;

/// The variables of the receiver's environment that every command sees.
const ALWAYS_SEEN: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// The longest name in the environment, in bytes.
const LONGEST_NAME: usize = 256;
/// How much is read at a time, in bytes.
const PIECE: usize = 4096;
/// Maximum number of pieces that are read after the exit: more than a pipe holds.
const LAST_PIECES: usize = 32;

/// One command.
pub(super) struct Command {
    program: String,
    arguments: Vec<String>,
    environment: Vec<String>,
    timeout: Duration,
    /// Whether the standard error of failed attempts is kept beyond its last line.
    keeps_answers: bool,
}

/// What a command has said so far.
#[derive(Default)]
struct Said {
    last_line: LastLine,
    tail: Tail,
}

impl Said {
    fn push(&mut self, bytes: &[u8]) {
        self.last_line.push(bytes);
        self.tail.push(bytes);
    }
}

impl Command {
    /// Runs this program with these arguments. The program sees these variables.
    pub(super) fn new(command: &[String], environment: &[String], destination: &DestinationConfig) -> Self {
        let (program, arguments) =
            command.split_first().map(|(first, rest)| (first.clone(), rest.to_vec())).unwrap_or_default();
        let DestinationConfig { timeout, keep_answer: keeps_answers, .. } = *destination;
        Self { program, arguments, environment: environment.to_vec(), timeout, keeps_answers }
    }

    fn start(&self, attempt: &Attempt) -> io::Result<Group> {
        let seen = ALWAYS_SEEN.into_iter().chain(self.environment.iter().map(String::as_str));
        let seen = seen.filter_map(|name| Some((name, std::env::var_os(name)?)));
        let name = if attempt.name.len() > LONGEST_NAME || attempt.name.contains('\0') { "" } else { &*attempt.name };
        let of_event: [(&str, OsString); 7] = [
            ("PYLON_EVENT_ID", attempt.event().to_string().into()),
            ("PYLON_DELIVERY_ID", attempt.delivery.to_string().into()),
            ("PYLON_ATTEMPT", attempt.number.to_string().into()),
            ("PYLON_NAME", name.into()),
            ("PYLON_KIND", attempt.kind.map(|kind| kind.name()).unwrap_or_default().into()),
            ("PYLON_ENDPOINT", OsString::from(&*attempt.endpoint)),
            ("PYLON_RECEIVED_AT", attempt.event().received_at().to_string().into()),
        ];
        let child = tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(seen)
            .envs(of_event)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Group(Some(child)))
    }

    async fn run(&self, attempt: &Attempt, said: &mut Said) -> Report {
        let mut group = match self.start(attempt) {
            Ok(group) => group,
            Err(error) => return not_started(&error),
        };
        match group.exit(&attempt.body, said).await {
            Ok(status) => report(status, &said.last_line),
            Err(error) => {
                Report::failed(Code::FAILED, None, format!("the command cannot be waited for: {}", error.kind()))
            }
        }
    }
}

impl Transport for Command {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let mut said = Said::default();
            let report = match tokio::time::timeout(self.timeout, self.run(attempt, &mut said)).await {
                Ok(report) => report,
                // The future was dropped, and the group with it.
                Err(_) => {
                    let sentence = format!("no exit within {}: killed", show_duration(self.timeout));
                    let detail = said.last_line.after(&sentence);
                    Report::failed(Code::TIMEOUT, None, sentence).with_detail(detail)
                }
            };
            match report.delivered {
                Delivered::Yes => report,
                _ => report.with_answer(said.tail.answer().filter(|_| self.keeps_answers)),
            }
        })
    }
}

/// A running command and its children. If it is dropped before the exit, all of them are killed.
struct Group(Option<Child>);

impl Group {
    /// Writes the body to the command, reads its standard error, and waits for its exit.
    async fn exit(&mut self, body: &[u8], said: &mut Said) -> io::Result<ExitStatus> {
        let child = self.0.as_mut().expect("only drop takes it out");
        let (mut stdin, mut stderr) = (child.stdin.take(), child.stderr.take());
        // Only the exit code counts, not whether the command reads everything.
        let mut feeding = pin!(async move {
            if let Some(stdin) = &mut stdin {
                let _ = stdin.write_all(body).await;
            }
            drop(stdin);
        });
        let (mut feeds, mut piece) = (true, [0; PIECE]);
        loop {
            tokio::select! {
                () = &mut feeding, if feeds => feeds = false,
                read = next(&mut stderr, &mut piece) => match read {
                    Ok(length @ 1..) => said.push(&piece[..length]),
                    Ok(0) | Err(_) => stderr = None,
                },
                status = child.wait() => {
                    drain(stderr, said);
                    return status;
                }
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // After the wait it has no number: by then the number may be another process's.
        let Some(number) = child.id() else { return };
        if let Some(group) = i32::try_from(number).ok().and_then(Pid::from_raw) {
            // An error means that the group is gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { child.wait().await });
        }
    }
}

/// The next bytes; pending for ever after the end.
async fn next(stderr: &mut Option<ChildStderr>, piece: &mut [u8]) -> io::Result<usize> {
    match stderr {
        Some(stderr) => stderr.read(piece).await,
        None => std::future::pending().await,
    }
}

/// Takes what is in the pipe and does not wait for more: a child of the command may hold the other end open.
fn drain(stderr: Option<ChildStderr>, said: &mut Said) {
    let Some(stderr) = stderr else { return };
    let mut piece = [0; PIECE];
    for _ in 0..LAST_PIECES {
        match rustix::io::read(&stderr, &mut piece) {
            Ok(length @ 1..) => said.push(&piece[..length]),
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

fn report(status: ExitStatus, last_line: &LastLine) -> Report {
    let (code, sentence) = match (status.code(), status.signal().unwrap_or_default()) {
        (Some(0), _) => return Report::delivered(Some(0), "exit code 0"),
        (Some(code), _) => (Code::Exit(code), format!("exit code {code}")),
        (None, signal) => (Code::Signal(signal), format!("ended by signal {signal}")),
    };
    let detail = last_line.after(&sentence);
    Report::refused(code, status.code(), sentence).with_detail(detail)
}

fn not_started(error: &io::Error) -> Report {
    if let Some(shortage) = Shortage::of_start(error) {
        return Report::not_tried(shortage);
    }
    match error.kind() {
        ErrorKind::NotFound => Report::failed(
            Code::NOT_FOUND,
            None,
            "the command, or the interpreter that its first line names, is not found",
        ),
        ErrorKind::PermissionDenied => Report::failed(Code::DENIED, None, "the command may not be executed"),
        _ => Report::failed(Code::NOT_STARTED, None, format!("the command cannot be started: {error}")),
    }
}
