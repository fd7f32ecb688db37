//! A receiver as a process of its own, with its files; a sender, an operator, and a reader of its log.

use super::{APP_SECRET, SECRET, WORDS};
use pylon_test_support::http::{Answer, ask};
pub(super) use pylon_test_support::wait::eventually;
use pylon_webhooks::{Secret, sign};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_pylon-receiver");
/// The files of a receiver: its configuration, its ledger, its secrets.
pub(super) struct Scene {
    pub(super) folder: TempDir,
}

impl Scene {
    /// A configuration with these lines; `{}` in them is the folder. Without an endpoint among them there is one at `/webhook`.
    pub(super) fn new(lines: &str) -> Self {
        let scene = Self { folder: TempDir::new().unwrap() };
        scene.write("secret", SECRET);
        scene.write("app-secret", APP_SECRET);
        scene.configure(lines);
        scene
    }

    /// Another configuration.
    pub(super) fn configure(&self, lines: &str) {
        let mut text = String::new();
        for (key, value) in
            [("listen", "127.0.0.1:0"), ("admin", "127.0.0.1:0"), ("ledger", "sqlite:{}/pylon.db"), ("log", "json")]
        {
            if !lines.lines().any(|line| line.starts_with(&format!("{key} = "))) {
                text += &format!("{key} = \"{value}\"\n");
            }
        }
        text += lines;
        if !lines.contains("[[endpoint]]") {
            text += "\n[[endpoint]]\npath = \"/webhook\"\nsecrets = [{ file = \"{}/secret\" }]\n";
        }
        self.write("receiver.toml", &text.replace("{}", self.folder.path().to_str().unwrap()));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn ledger(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("pylon.db")).unwrap()
    }

    /// The ids of all events in the ledger, in the order of their arrival.
    pub(super) fn kept(&self) -> Vec<String> {
        self.texts("SELECT lower(hex(id)) FROM events ORDER BY seq")
            .iter()
            .map(|hex| [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
            .collect()
    }

    pub(super) fn texts(&self, query: &str) -> Vec<String> {
        let ledger = self.ledger();
        let mut statement = ledger.prepare(query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// The command that serves this configuration.
    pub(super) fn serve(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--config").arg(self.path("receiver.toml"));
        command
    }

    /// The same, as `$@` of a script.
    pub(super) fn serve_by(&self, wrapper: &[&str]) -> Command {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(BINARY).arg("serve").arg("--config").arg(self.path("receiver.toml"));
        command
    }

    pub(super) fn start(&self) -> Running {
        Running::start(self.serve())
    }

    /// It does not start, for this reason and with this exit code.
    #[track_caller]
    pub(super) fn assert_refuses(&self, code: i32, sentence: &str) {
        self.assert_refuses_by(self.serve(), code, sentence);
    }

    #[track_caller]
    pub(super) fn assert_refuses_by(&self, command: Command, code: i32, sentence: &str) {
        let mut refusing = Running::spawn(command);
        let ended = refusing.exit();
        let sentence = sentence.replace("{}", self.folder.path().to_str().unwrap());
        assert_eq!((refusing.log(), ended), (format!("error: {sentence}\n"), Some(code)));
    }
}

/// A receiver at work. Once it has ended, however that was, its log is held to what every log promises.
pub(super) struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    pub(super) webhooks: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Running {
    /// Starts it, whether or not it will listen.
    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::<Mutex<String>>::default();
        let (stderr, written) = (child.stderr.take().unwrap(), log.clone());
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                written.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, log, reader: Some(reader), webhooks: nowhere, admin: nowhere }
    }

    /// Starts it, though it will not listen.
    pub(super) fn start_in_vain(command: Command) -> Self {
        Self::spawn(command)
    }

    /// Starts it, and waits until it listens.
    #[track_caller]
    pub(super) fn start(command: Command) -> Self {
        let mut running = Self::spawn(command);
        (running.webhooks, running.admin) = eventually("it listens", || {
            let log = running.log();
            let line = log.lines().find(|line| line.contains("listening"));
            assert!(line.is_some() || running.child.try_wait().unwrap().is_none(), "it did not start: {log}");
            line.map(|line| (address(line, "webhooks"), address(line, "admin")))
        });
        running
    }

    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until a line of the log has all these texts.
    #[track_caller]
    pub(super) fn logs(&self, texts: &[&str]) {
        eventually(&format!("{texts:?} in the log {}", self.log()), || {
            self.log().lines().any(|line| texts.iter().all(|text| line.contains(text))).then_some(())
        });
    }

    /// The answer to an authentic webhook.
    #[track_caller]
    pub(super) fn webhook(&self, body: &str) -> Answer {
        self.webhook_at("/webhook", body)
    }

    #[track_caller]
    pub(super) fn webhook_at(&self, path: &str, body: &str) -> Answer {
        self.try_webhook(path, &signed(SECRET, body), body).expect("an answer")
    }

    pub(super) fn try_webhook(&self, path: &str, headers: &[(String, String)], body: &str) -> Option<Answer> {
        ask(self.webhooks, "POST", path, headers, body.as_bytes())
    }

    /// What the admin API answers.
    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Answer {
        ask(self.admin, "GET", path, &[], b"").expect("an answer")
    }

    /// The promises that are not met at present.
    #[track_caller]
    pub(super) fn unmet(&self) -> Vec<String> {
        let answer = self.get("/readyz");
        if answer.status == 200 {
            return Vec::new();
        }
        assert_eq!(answer.status, 503);
        serde_json::from_value(answer.json()["unmet"].take()).unwrap()
    }

    /// What the admin API tells of an event.
    #[track_caller]
    pub(super) fn event(&self, id: &str) -> Value {
        self.get(&format!("/api/events/{id}")).json()
    }

    /// Waits until all of the event's deliveries have come to their end, and gives their states.
    #[track_caller]
    pub(super) fn ended(&self, id: &str) -> Vec<String> {
        eventually(&format!("event {id} comes to its end"), || {
            let states = states(&self.event(id));
            let is_under_way = |state: &String| ["waiting", "held", "delivering"].contains(&state.as_str());
            (!states.iter().any(is_under_way)).then_some(states)
        })
    }

    /// What an operator's command prints as JSON.
    #[track_caller]
    pub(super) fn command(&self, arguments: &[&str]) -> Value {
        let admin = format!("http://{}", self.admin);
        let output = Command::new(BINARY).args(arguments).args(["--json", "--admin-url", &admin]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the admin API answers to an order.
    #[track_caller]
    pub(super) fn order(&self, path: &str, order: &str) -> Value {
        let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
        let answer = ask(self.admin, "POST", path, &headers, order.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Has it read its configuration again, and waits until it has told what came of it.
    #[track_caller]
    pub(super) fn reload(&self, outcome: &str) {
        let told = || self.log().lines().filter(|line| line.contains(outcome)).count();
        let before = told();
        self.signal(Signal::HUP);
        eventually(&format!("{outcome:?} in the log {}", self.log()), || (told() > before).then_some(()));
    }

    /// Asks it to end, and gives the exit code and the log.
    #[track_caller]
    pub(super) fn stop(mut self) -> (Option<i32>, String) {
        self.signal(Signal::TERM);
        let code = self.exit();
        (code, self.log())
    }

    /// Waits for its end, and gives the exit code.
    #[track_caller]
    pub(super) fn exit(&mut self) -> Option<i32> {
        let code = eventually("it ends", || self.child.try_wait().unwrap()).code();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("{log}");
        } else {
            check_log(&log);
        }
    }
}

/// The headers of an authentic webhook that is signed now.
pub(super) fn signed(secret: &str, body: &str) -> Vec<(String, String)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let signature = sign(&Secret::new(secret).unwrap(), body.as_bytes(), Some(&now));
    vec![("X-Pylon-Signature".to_owned(), signature), ("X-Pylon-Timestamp".to_owned(), now)]
}

/// The states of an event's deliveries.
pub(super) fn states(event: &Value) -> Vec<String> {
    let deliveries = event["deliveries"].as_array().unwrap();
    deliveries.iter().map(|delivery| delivery["state"].as_str().unwrap().to_owned()).collect()
}

/// An address in a line of the log; none where it is a Unix socket, or where nothing listens.
fn address(line: &str, name: &str) -> SocketAddr {
    let found = line.split_once(&format!(" {name}=")).or_else(|| line.split_once(&format!("\"{name}\":\"")));
    let Some((_, rest)) = found else { return SocketAddr::from(([127, 0, 0, 1], 0)) };
    let address = &rest[..rest.find([' ', '"']).unwrap_or(rest.len())];
    if address.starts_with("unix:") { SocketAddr::from(([127, 0, 0, 1], 0)) } else { address.parse().unwrap() }
}

/// What is told of events, in the words of the log.
const ABOUT_EVENTS: [&str; 7] = [
    "a webhook was accepted",
    "a duplicate of",
    "delivered",
    "not delivered",
    "dead",
    "the lease had run out",
    "an attempt could not be settled",
];

/// No secret, no signature, no body; and an id wherever an event is told of.
#[track_caller]
fn check_log(log: &str) {
    for line in log.lines() {
        for secret in [SECRET, APP_SECRET, WORDS, "issue_title"] {
            assert!(!line.contains(secret), "{secret:?} is logged: {line}");
        }
        let digits = line.split(|character: char| !character.is_ascii_hexdigit()).map(str::len).max();
        assert!(digits < Some(64), "a signature or a key is logged: {line}");
        let is_told = |told: &&str| match serde_json::from_str::<Value>(line) {
            Ok(fields) => fields["message"].as_str().unwrap().starts_with(*told),
            Err(_) => line.contains(&format!(": {told}")),
        };
        let is_about_an_event = ABOUT_EVENTS.iter().any(is_told);
        assert!(!is_about_an_event || line.contains("event_id"), "of which event? {line}");
    }
}
