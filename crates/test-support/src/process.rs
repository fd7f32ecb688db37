//! Other programs, which end with this process, and are waited for with a bound.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The number of the user.
    pub id: u32,
    /// The number of its group.
    pub group: u32,
}

impl User {
    /// The first of these names that the machine knows.
    pub fn named(names: &[&str]) -> Option<Self> {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        let find = |name: &&str| {
            let mut fields = users.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'))?.split(':');
            Some(Self { id: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
        };
        names.iter().find_map(find)
    }
}

/// A program with its arguments, yet to be run.
///
/// It is run by `setpriv` of util-linux, which lets it get a signal when we end, however we end.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    cleared: Vec<String>,
    user: Option<User>,
    last_signal: &'static str,
}

impl Program {
    /// The program at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            cleared: Vec::new(),
            user: None,
            last_signal: "KILL",
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::argument)
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes the variables from its environment whose names begin so.
    #[must_use]
    pub fn without_environment(mut self, prefix: &str) -> Self {
        self.cleared.push(prefix.to_owned());
        self
    }

    /// Runs it as this user; only root can.
    #[must_use]
    pub fn user(mut self, user: Option<User>) -> Self {
        self.user = user;
        self
    }

    /// The signal that it gets when we end, as `setpriv` names it; KILL unless this says another.
    #[must_use]
    pub fn last_signal(mut self, name: &'static str) -> Self {
        self.last_signal = name;
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", self.last_signal]);
        if let Some(user) = &self.user {
            command.arg(format!("--reuid={}", user.id)).arg(format!("--regid={}", user.group)).arg("--clear-groups");
        }
        command.arg(&self.path).args(&self.arguments).current_dir("/").stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if self.cleared.iter().any(|prefix| name.to_string_lossy().starts_with(prefix.as_str())) {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end with this input. Returns what it printed.
    ///
    /// # Errors
    /// What it wrote to standard error, if it fails, cannot be started, or takes longer than this.
    pub fn run(&self, input: &str, within: Duration) -> Result<String, String> {
        let name = self.path.display();
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot run {name} by setpriv: {error}"))?;
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
        // It may end before it has read all of it, which its status says.
        std::thread::spawn(move || _ = stdin.write_all(input.as_bytes()));
        let outputs = [read_all(child.stdout.take().unwrap()), read_all(child.stderr.take().unwrap())];
        let status = wait(&mut child, within);
        if status.is_none() {
            // It cannot fail: the process is ours and has not been waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
        let [output, errors] = outputs.map(|reader| reader.join().unwrap());
        match status {
            Some(status) if status.success() => Ok(output),
            Some(status) => Err(format!("{name} ended with {status}: {}", errors.trim_end())),
            None => Err(format!("{name} has not ended within {within:?}; it wrote: {}", errors.trim_end())),
        }
    }

    /// Starts it, and appends to this file what it writes.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn start(&self, log: &Path) -> Running {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = self.command();
        // Keys pressed in the terminal of the tests are not for it.
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let child = spawn_on_a_lasting_thread(command);
        Running {
            child: child.unwrap_or_else(|error| panic!("cannot run {} by setpriv: {error}", self.path.display())),
        }
    }
}

/// A program at work; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        // Until it has been waited for, nobody else has its number.
        if self.ended().is_none() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// How it ends, if it does in this time.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        wait(&mut self.child, within)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        let status = child.try_wait().expect("a child can be waited for");
        if status.is_some() || began.elapsed() > within {
            return status;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Linux sends the last signal when the thread ends that started the program, and each test is run by a thread of its own.
fn spawn_on_a_lasting_thread(command: Command) -> std::io::Result<Child> {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static THREAD: OnceLock<Sender<Order>> = OnceLock::new();
    let thread = THREAD.get_or_init(|| {
        let (send, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        send
    });
    let (answer, child) = channel();
    thread.send((command, answer)).expect("the thread ends with the process");
    child.recv().expect("the thread answers each order")
}
