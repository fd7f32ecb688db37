//! The real binary as a process, and requests to it.

#![allow(dead_code, reason = "each of the test targets that share this uses a part of it")]

pub(crate) mod http;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver as Lines, channel};
use std::time::{Duration, Instant};

/// The environment variable that holds [`SECRET`] for the binary.
pub(crate) const SECRET_VARIABLE: &str = "PYLON_TEST_SECRET";
/// What requests are signed with.
pub(crate) const SECRET: &str = "your-webhook-secret";
/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// `pylon-receiver serve`, at work; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Where webhooks come in.
    pub(crate) webhooks: SocketAddr,
    /// Where operators ask.
    pub(crate) admin: SocketAddr,
}

impl Process {
    /// Starts it with this configuration, which has to ask for a log in JSON, and waits until it listens.
    ///
    /// # Panics
    /// When it ends or does not listen in time, with what it wrote.
    #[track_caller]
    pub(crate) fn start(config: &Path) -> Self {
        let mut child = serve(config).stderr(Stdio::piped()).spawn().expect("cargo has built the binary");
        let lines = read_lines(child.stderr.take().expect("it is piped"));
        let begin = Instant::now();
        let mut log = String::new();
        loop {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some((webhooks, admin)) = addresses(&line) {
                        return Self { child, webhooks, admin };
                    }
                    log += &format!("{line}\n");
                }
                Err(_) => {
                    // It may have ended already, which is what the panic is about.
                    let _ = child.kill();
                    panic!(
                        "the receiver does not listen after {:?}; it ended with {:?} and wrote:\n{log}",
                        begin.elapsed(),
                        child.wait()
                    );
                }
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a power cut would as far as the process is concerned.
    pub(crate) fn kill(&mut self) {
        // The process is ours and has not been waited for, so that the signal goes to nobody else.
        self.child.kill().expect("the receiver takes SIGKILL");
        self.child.wait().expect("what was killed ends");
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Panics
    /// When it takes longer than this.
    #[track_caller]
    pub(crate) fn stop(&mut self, bound: Duration) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("the receiver takes SIGTERM");
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(begin.elapsed() < bound, "the receiver has not ended {bound:?} after SIGTERM");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the receiver and ends it at once after so long, whether it listens by then or not.
pub(crate) fn start_and_kill(config: &Path, after: Duration) {
    let mut child = serve(config).stderr(Stdio::null()).spawn().expect("cargo has built the binary");
    std::thread::sleep(after);
    child.kill().expect("the receiver takes SIGKILL");
    child.wait().expect("what was killed ends");
}

fn serve(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
    command.args(["serve", "--config"]).arg(config).env(SECRET_VARIABLE, SECRET);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Where webhooks come in and where operators ask, if this is the line that says so.
pub(crate) fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    if fields.get("message")?.as_str()? != "listening" {
        return None;
    }
    let address = |name| fields.get(name)?.as_str()?.parse().ok();
    Some((address("webhooks")?, address("admin")?))
}

/// Reads what the process writes, to the end, so that it never waits for a reader.
fn read_lines(stderr: ChildStderr) -> Lines<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Nobody listens once the addresses are known.
            let _ = send.send(line);
        }
    });
    lines
}
