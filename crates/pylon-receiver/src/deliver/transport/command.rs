//! Delivers to the standard input of a command.
//!
//! The command runs in a process group of its own, without a shell, with an environment of its own: the configured variables, `PATH`,
//! `HOME`, `LANG`, `TZ`, and `PYLON_EVENT_ID`, `PYLON_DELIVERY_ID`, `PYLON_ATTEMPT` (from 1), `PYLON_KIND` (empty where the kind is longer
//! than 256 bytes or has a NUL), `PYLON_ENDPOINT` and `PYLON_RECEIVED_AT` (RFC 3339).
//!
//! Exit code 0 says that the event arrived, whether or not the command has read all of it. When the time is up, or whoever waits goes away,
//! the whole group is killed; a process that left the group is not. When the command exits, what it left behind runs on.
//!
//! Its standard output is thrown away. The last line of its standard error goes, shortened, into the report of a failure, and so into
//! the ledger, for the operator to see; it may say anything, and is for that reason never logged.

use super::attempt::{Attempt, Report, Transport, TransportFuture};
use super::line::LastLine;
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

/// What a command sees of the receiver's environment anyway.
const ALWAYS_SEEN: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// The longest kind that a command is told, in bytes.
const LONGEST_KIND: usize = 256;
/// How much is read at a time, in bytes.
const PIECE: usize = 4096;
/// How many pieces are read at most once the command has exited: more than a pipe holds.
const LAST_PIECES: usize = 32;

/// One command.
pub(super) struct Command {
    program: String,
    arguments: Vec<String>,
    environment: Vec<String>,
    timeout: Duration,
}

impl Command {
    /// Runs this program with these arguments, which sees these variables.
    pub(super) fn new(command: &[String], environment: &[String], timeout: Duration) -> Self {
        let (program, arguments) =
            command.split_first().map(|(first, rest)| (first.clone(), rest.to_vec())).unwrap_or_default();
        Self { program, arguments, environment: environment.to_vec(), timeout }
    }

    fn start(&self, attempt: &Attempt) -> io::Result<Group> {
        let seen = ALWAYS_SEEN.into_iter().chain(self.environment.iter().map(String::as_str));
        let seen = seen.filter_map(|name| Some((name, std::env::var_os(name)?)));
        let kind = attempt.kind_or_name();
        let kind = if kind.len() > LONGEST_KIND || kind.contains('\0') { "" } else { kind };
        let told: [(&str, OsString); 6] = [
            ("PYLON_EVENT_ID", attempt.event().to_string().into()),
            ("PYLON_DELIVERY_ID", attempt.delivery.to_string().into()),
            ("PYLON_ATTEMPT", attempt.number.to_string().into()),
            ("PYLON_KIND", kind.into()),
            ("PYLON_ENDPOINT", OsString::from(&*attempt.endpoint)),
            ("PYLON_RECEIVED_AT", attempt.event().received_at().to_string().into()),
        ];
        let child = tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(seen)
            .envs(told)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Group(Some(child)))
    }

    async fn run(&self, attempt: &Attempt, last_line: &mut LastLine) -> Report {
        let mut group = match self.start(attempt) {
            Ok(group) => group,
            Err(error) => return Report::failed(None, not_started(&error)),
        };
        match group.exit(&attempt.body, last_line).await {
            Ok(status) => report(status, last_line),
            Err(error) => Report::failed(None, format!("the command cannot be waited for: {}", error.kind())),
        }
    }
}

impl Transport for Command {
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let mut last_line = LastLine::default();
            match tokio::time::timeout(self.timeout, self.run(attempt, &mut last_line)).await {
                Ok(report) => report,
                // What ran was dropped, and the group with it.
                Err(_) => {
                    let sentence = format!("no exit within {}, hence killed", show_duration(self.timeout));
                    Report::failed(None, last_line.after(&sentence))
                }
            }
        })
    }
}

/// A command that runs, and all it started; dropped before it has exited, all of it is killed.
struct Group(Option<Child>);

impl Group {
    /// Feeds the command, listens to it, and waits until it has exited.
    async fn exit(&mut self, body: &[u8], last_line: &mut LastLine) -> io::Result<ExitStatus> {
        let child = self.0.as_mut().expect("it is taken out on drop alone");
        let (mut stdin, mut stderr) = (child.stdin.take(), child.stderr.take());
        // Whether it has read everything is its own affair: its exit code tells.
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
                    Ok(length @ 1..) => last_line.push(&piece[..length]),
                    Ok(0) | Err(_) => stderr = None,
                },
                status = child.wait() => {
                    drain(stderr, last_line);
                    return status;
                }
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // It has no number once it was waited for; the number may be another process's then.
        let Some(number) = child.id() else { return };
        if let Some(group) = i32::try_from(number).ok().and_then(Pid::from_raw) {
            // It fails when there is no such group, which is as well.
            let _ = kill_process_group(group, Signal::KILL);
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { child.wait().await });
        }
    }
}

/// The next bytes; never, once there are none.
async fn next(stderr: &mut Option<ChildStderr>, piece: &mut [u8]) -> io::Result<usize> {
    match stderr {
        Some(stderr) => stderr.read(piece).await,
        None => std::future::pending().await,
    }
}

/// Takes what is in the pipe and does not wait for more: something that the command left behind may hold its other end.
fn drain(stderr: Option<ChildStderr>, last_line: &mut LastLine) {
    let Some(stderr) = stderr else { return };
    let mut piece = [0; PIECE];
    for _ in 0..LAST_PIECES {
        match rustix::io::read(&stderr, &mut piece) {
            Ok(length @ 1..) => last_line.push(&piece[..length]),
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

fn report(status: ExitStatus, last_line: &LastLine) -> Report {
    match (status.code(), status.signal()) {
        (Some(0), _) => Report::delivered(Some(0), "exit code 0"),
        (Some(code), _) => Report::failed(Some(code), last_line.after(&format!("exit code {code}"))),
        (None, signal) => {
            Report::failed(None, last_line.after(&format!("ended by signal {}", signal.unwrap_or_default())))
        }
    }
}

fn not_started(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "the command, or the interpreter that its first line names, is not found".to_owned(),
        ErrorKind::PermissionDenied => "the command may not be executed".to_owned(),
        _ => format!("the command cannot be started: {error}"),
    }
}
