//! `serve` in a folder of its own, on free ports.

use pylon_webhooks::Secret;
use pylon_webhooks::testing::signed_headers;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

pub(super) const SECRET: &str = "secret-of-the-tests";
/// How long nothing of what is waited for ever takes.
const LONG: Duration = Duration::from_secs(30);

pub(super) struct Serve {
    child: Child,
    /// A message lets the reader of the log go on.
    reading: Sender<Reading>,
    lines: Receiver<String>,
    seen: Vec<String>,
    _folder: tempfile::TempDir,
}

enum Reading {
    Pause,
    GoOn,
}

impl Serve {
    /// Starts it with this configuration and environment, on free ports, with a ledger in its folder.
    pub(super) fn start(config: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";
        std::fs::write(folder.path().join("receiver.toml"), format!("{ports}{config}")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"))
            .args(["serve", "--config", "receiver.toml"])
            .env_clear()
            .env("PYLON_WEBHOOK_SECRET", SECRET)
            .envs(environment.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (reading, orders) = mpsc::channel();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || read(stderr, &orders, &sender));
        Self { child, reading, lines, seen: Vec::new(), _folder: folder }
    }

    /// The address of the endpoints, as the log tells it.
    fn address(&mut self) -> SocketAddr {
        let told = self.line(|line| line.contains("listening"));
        let address = told.split("webhooks").nth(1).unwrap().trim_start_matches(['=', '"', ':']);
        address.split([' ', '"']).next().unwrap().parse().unwrap()
    }

    pub(super) fn connect(&mut self) -> Connection {
        // Told once; what was seen stays.
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Connection(BufReader::new(stream))
    }

    /// The first line that is such, waited for.
    pub(super) fn line(&mut self, is_such: impl Fn(&str) -> bool) -> String {
        loop {
            if let Some(found) = self.seen.iter().find(|line| is_such(line)) {
                return found.clone();
            }
            let line = self.lines.recv_timeout(LONG).unwrap_or_else(|_| panic!("it is not told: {:?}", self.seen));
            self.seen.push(line);
        }
    }

    /// Reads no further line, once the first is read, until it is stopped.
    pub(super) fn leave_the_log(&mut self) {
        self.line(|line| line.contains("listening"));
        self.reading.send(Reading::Pause).unwrap();
    }

    /// Its exit code and all that it logged, after SIGTERM.
    pub(super) fn stop(self) -> (Option<i32>, Vec<String>) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let _ = self.reading.send(Reading::GoOn);
        self.ended()
    }

    /// How long it takes to end after SIGTERM while nobody reads its log.
    pub(super) fn stop_unread(mut self) -> Duration {
        let begin = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
        begin.elapsed()
    }

    /// Its exit code and all that it logged, once it has ended by itself.
    pub(super) fn ended(mut self) -> (Option<i32>, Vec<String>) {
        while let Ok(line) = self.lines.recv_timeout(LONG) {
            self.seen.push(line);
        }
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // After a test that failed half-way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stderr: ChildStderr, orders: &Receiver<Reading>, lines: &Sender<String>) {
    for line in BufReader::new(stderr).lines() {
        if lines.send(line.unwrap()).is_err() {
            return;
        }
        if let Ok(Reading::Pause) = orders.try_recv() {
            let _ = orders.recv();
        }
    }
}

/// A connection that stays open.
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// The status of the answer, and its body.
    pub(super) fn ask(&mut self, request: &[u8]) -> (u16, String) {
        self.0.get_ref().write_all(request).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

/// An authentic webhook at the endpoint that there is by default.
pub(super) fn signed(body: &str) -> Vec<u8> {
    let headers = signed_headers(&Secret::new(SECRET).unwrap(), body.as_bytes(), None);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    request("/webhook", &headers, body)
}

/// A request with a signature that is none.
#[cfg(feature = "otlp")]
pub(super) fn forged(path: &str, body: &str) -> Vec<u8> {
    request(path, &format!("X-Pylon-Signature: {}\r\n", "0".repeat(64)), body)
}

fn request(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: receiver\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}
