//! A NATS server with JetStream, from Debian's package, and a client that asks it what it has stored. Both block.

use crate::wait::{PATIENCE, eventually};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Where `tools/debian_programs.sh` unpacks what the machine lacks.
const UNPACKED: &str = "PYLON_DEBIAN_PROGRAMS";
/// With this, a program that is missing is a failure.
const DEMANDED: &str = "PYLON_DEMAND_PROGRAMS";
/// Where the client gets its answers.
const INBOX: &str = "_INBOX.test";

/// A server on a free port of loopback, with a store of its own. It is killed on drop.
#[derive(Debug)]
pub struct NatsServer {
    /// Where it listens, also after a restart.
    pub address: SocketAddr,
    program: PathBuf,
    folder: TempDir,
    process: Child,
}

impl NatsServer {
    /// Starts a server with JetStream and these further settings. None: the machine has no `nats-server`, which is said in one line.
    ///
    /// # Panics
    /// If the server does not start, or if it is missing and demanded.
    pub fn start(settings: &str) -> Option<Self> {
        Self::start_without_jetstream(&format!("jetstream {{ store_dir: \"FOLDER/store\" }}\n{settings}"))
    }

    /// Starts a server with these settings alone; `FOLDER` in them is the server's own.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_without_jetstream(settings: &str) -> Option<Self> {
        let program = program("nats-server")?;
        let folder = tempfile::tempdir().expect("a folder can be made");
        write_settings(&folder, settings);
        let process = run(&program, &folder, &format!("{}:-1", own_address()));
        let ports = folder.path().join(format!("nats-server_{}.ports", process.id()));
        // Made before the wait, so that the server ends if it is in vain.
        let mut server = Self { address: ([127, 0, 0, 1], 0).into(), program, folder, process };
        server.address = eventually("the server says its port", || {
            if let Ok(Some(status)) = server.process.try_wait() {
                let log = fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
                panic!("the server ended: {status}\n{log}");
            }
            let ports: Value = serde_json::from_slice(&fs::read(&ports).ok()?).ok()?;
            ports["nats"][0].as_str()?.rsplit_once('/')?.1.parse().ok()
        });
        server.wait();
        Some(server)
    }

    /// Starts a server that is no longer there, with the same port and the same store.
    pub fn restart(&mut self) {
        self.process = run(&self.program, &self.folder, &self.address.to_string());
        self.wait();
    }

    /// The same with other settings.
    pub fn restart_with(&mut self, settings: &str) {
        write_settings(&self.folder, settings);
        self.restart();
    }

    /// Ends it at once, as a crash does, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().expect("it was not waited for yet");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it is there");
    }

    /// Holds it still: it keeps its connections and does nothing more.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        // A thread may go on for a moment.
        let threads = format!("/proc/{}/task", self.process.id());
        eventually("the server stands still", || {
            let mut threads = fs::read_dir(&threads).into_iter().flatten().flatten();
            threads.all(|thread| is_still(&thread.path().join("stat"))).then_some(())
        });
    }

    /// The URL, without a user.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// The folder that is called `FOLDER` in settings.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn wait(&self) {
        eventually("the server listens", || TcpStream::connect(self.address).ok());
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a thread is stopped, or gone.
fn is_still(stat: &Path) -> bool {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with('T'))
}

/// An address of loopback that no other server of these tests has: nobody takes its port before a restart.
fn own_address() -> Ipv4Addr {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // The third byte is another one in each process, mostly.
    Ipv4Addr::from_bits(0x7f53_0000 | std::process::id() << 8 & 0xff00 | number & 0xff)
}

fn write_settings(folder: &TempDir, settings: &str) {
    let path = folder.path().display().to_string();
    let settings = format!("ports_file_dir: \"{path}\"\n{}\n", settings.replace("FOLDER", &path));
    fs::write(folder.path().join("nats.conf"), settings).expect("a file can be written");
}

fn run(program: &Path, folder: &TempDir, address: &str) -> Child {
    let (host, port) = address.rsplit_once(':').expect("it has a port");
    let log = fs::File::options().create(true).append(true).open(folder.path().join("log"));
    Command::new(program)
        .args(["--config", "nats.conf", "--addr", host, "--port", port])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("a file can be written"))
        .spawn()
        .expect("it can be started")
}

/// A program of a Debian package, where it can be had.
fn program(name: &str) -> Option<PathBuf> {
    const FOLDERS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];
    let path = env::var_os("PATH").unwrap_or_default();
    let unpacked = env::var_os(UNPACKED).map(|folder| Path::new(&folder).join("root"));
    let roots = [Some(PathBuf::from("/")), unpacked].into_iter().flatten();
    let of_roots = roots.flat_map(|root| FOLDERS.map(|folder| root.join(folder)));
    let found = env::split_paths(&path).chain(of_roots).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        assert!(env::var_os(DEMANDED).is_none(), "no {name}, which {DEMANDED} demands");
        eprintln!("not tested with {name}: it is not there; as root: apt-get install {name}");
    }
    found
}

/// A client of the server, which knows its text protocol and the API of JetStream.
#[derive(Debug)]
pub struct NatsClient(BufReader<TcpStream>);

/// A message as a stream has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its subject.
    pub subject: String,
    /// Its headers, sorted.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Stored {
    /// The values of the headers of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl NatsClient {
    /// Connects; `login` makes what `CONNECT` says of the user, of the text that the server wants to have signed.
    ///
    /// # Panics
    /// If the server does not let it in.
    pub fn connect(address: SocketAddr, login: impl FnOnce(&str) -> Value) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
        let mut client = Self(BufReader::new(stream));
        let info = client.line();
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").expect("it is NATS")).expect("it is JSON");
        let login = login(info["nonce"].as_str().unwrap_or_default());
        let mut connect = json!({ "verbose": false, "pedantic": false, "lang": "test", "version": "1" });
        connect.as_object_mut().expect("it is one").extend(login.as_object().cloned().unwrap_or_default());
        client.send(&format!("CONNECT {connect}\r\nSUB {INBOX} 1\r\nPING\r\n"));
        assert_eq!(client.line(), "PONG");
        client
    }

    /// Makes a stream of these subjects, with further settings.
    ///
    /// # Panics
    /// If the server refuses it.
    pub fn create_stream(&mut self, name: &str, subjects: &[&str], settings: &Value) {
        let mut stream = json!({
            "name": name, "subjects": subjects, "retention": "limits", "storage": "file", "num_replicas": 1,
        });
        stream.as_object_mut().expect("it is one").extend(settings.as_object().cloned().unwrap_or_default());
        let answer = self.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &stream.to_string());
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// All messages of a stream, in their order.
    pub fn messages(&mut self, stream: &str) -> Vec<Stored> {
        let info = self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), "");
        let state = &info["state"];
        let number = |key: &str| state[key].as_u64().unwrap_or_else(|| panic!("no {key} in {info}"));
        let all = if number("messages") == 0 { 0..0 } else { number("first_seq")..number("last_seq") + 1 };
        all.map(|number| self.message(stream, number)).collect()
    }

    fn message(&mut self, stream: &str, number: u64) -> Stored {
        let request = json!({ "seq": number }).to_string();
        let answer = self.ask(&format!("$JS.API.STREAM.MSG.GET.{stream}"), &request);
        let message = &answer["message"];
        let decoded = |key: &str| BASE64.decode(message[key].as_str().unwrap_or_default()).expect("it is base64");
        let headers = String::from_utf8(decoded("hdrs")).expect("they are UTF-8");
        let headers = headers.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let mut headers: Vec<_> =
            headers.map(|(name, value)| (name.to_owned(), value.trim_start().to_owned())).collect();
        headers.sort();
        let subject = message["subject"].as_str().unwrap_or_else(|| panic!("no message in {answer}")).to_owned();
        Stored { subject, headers, body: decoded("data") }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Panics
    /// If there is none.
    pub fn ask(&mut self, subject: &str, body: &str) -> Value {
        self.send(&format!("PUB {subject} {INBOX} {}\r\n{body}\r\n", body.len()));
        let (_, body) = self.next();
        serde_json::from_slice(&body).expect("it is JSON")
    }

    /// Answers messages of a subject with a text until the connection ends.
    pub fn answer(mut self, subject: &str, answer: &str) {
        self.send(&format!("SUB {subject} 2\r\nPING\r\n"));
        assert_eq!(self.line(), "PONG");
        let answer = answer.to_owned();
        std::thread::spawn(move || {
            while let Some((Some(reply), _)) = self.next_or_end() {
                self.send(&format!("PUB {reply} {}\r\n{answer}\r\n", answer.len()));
            }
        });
    }

    fn next(&mut self) -> (Option<String>, Vec<u8>) {
        self.next_or_end().expect("there is a message")
    }

    /// Where the next message wants its answer, and its body.
    fn next_or_end(&mut self) -> Option<(Option<String>, Vec<u8>)> {
        loop {
            let line = self.line();
            let mut words = line.split(' ');
            let kind = words.next()?;
            if kind == "PING" {
                self.send("PONG\r\n");
            }
            if kind.is_empty() {
                return None;
            }
            if kind != "MSG" && kind != "HMSG" {
                continue;
            }
            let words: Vec<_> = words.collect();
            let length: usize = words.last()?.parse().ok()?;
            let mut body = vec![0; length + 2];
            self.0.read_exact(&mut body).ok()?;
            body.truncate(length);
            let reply = (words.len() > if kind == "MSG" { 3 } else { 4 }).then(|| words[2].to_owned());
            return Some((reply, body));
        }
    }

    /// The next line; empty at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.0.read_line(&mut line);
        line.trim_end().to_owned()
    }

    fn send(&mut self, text: &str) {
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }
}
