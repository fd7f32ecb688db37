//! The receivers, each a process of the real binary.

use crate::process::{SECRET, SECRET_VARIABLE, addresses};
use pylon_test_support::process::{Program, Running};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many there are.
pub(crate) const COUNT: usize = 3;
/// The environment variable that holds the password of PostgreSQL for the binary.
pub(crate) const PASSWORD_VARIABLE: &str = "PYLON_TEST_PASSWORD";
/// How long one may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// All receivers.
#[derive(Debug)]
pub(crate) struct Receivers {
    logs: PathBuf,
    password: String,
    all: [Mutex<Receiver>; COUNT],
}

#[derive(Debug)]
struct Receiver {
    config: PathBuf,
    running: Running,
    webhooks: SocketAddr,
    admin: SocketAddr,
}

impl Receivers {
    /// Starts them, each with its configuration, and waits until all listen. Each appends to a log in this folder.
    ///
    /// # Panics
    /// If one does not listen in time, with what it wrote.
    pub(crate) fn start(configs: &[PathBuf], logs: &Path, password: String) -> Self {
        let all = std::array::from_fn(|place| Mutex::new(start(&configs[place], &log_in(logs, place), &password)));
        Self { logs: logs.to_owned(), password, all }
    }

    fn with<T>(&self, place: usize, act: impl FnOnce(&mut Receiver) -> T) -> T {
        act(&mut self.all[place].lock().expect("nobody panics with it"))
    }

    /// Where webhooks come in.
    pub(crate) fn webhooks(&self, place: usize) -> SocketAddr {
        self.with(place, |receiver| receiver.webhooks)
    }

    /// Where operators ask.
    pub(crate) fn admin(&self, place: usize) -> SocketAddr {
        self.with(place, |receiver| receiver.admin)
    }

    /// Ends one at once, as a power cut would as far as the process is concerned.
    pub(crate) fn kill(&self, place: usize) {
        self.with(place, |receiver| end(&mut receiver.running, Signal::KILL));
    }

    /// Starts one that has ended.
    ///
    /// # Panics
    /// If it does not listen in time, with what it wrote.
    pub(crate) fn start_again(&self, place: usize) {
        let config = self.with(place, |receiver| receiver.config.clone());
        let started = start(&config, &log_in(&self.logs, place), &self.password);
        self.with(place, |receiver| *receiver = started);
    }

    /// Starts all, which have ended, with other configurations.
    pub(crate) fn start_all(&self, configs: &[PathBuf]) {
        for (place, config) in configs.iter().enumerate() {
            let started = start(config, &log_in(&self.logs, place), &self.password);
            self.with(place, |receiver| *receiver = started);
        }
    }

    /// Stops the time of one.
    pub(crate) fn freeze(&self, place: usize) {
        self.with(place, |receiver| receiver.running.signal(Signal::STOP));
    }

    /// Lets the time of one go on.
    pub(crate) fn thaw(&self, place: usize) {
        self.with(place, |receiver| receiver.running.signal(Signal::CONT));
    }

    /// Asks all to end, and waits for that.
    pub(crate) fn stop_all(&self, faults: &mut Vec<String>) {
        for place in 0..COUNT {
            self.with(place, |receiver| receiver.running.signal(Signal::TERM));
        }
        for place in 0..COUNT {
            let ended = self.with(place, |receiver| receiver.running.wait(STOPS_WITHIN));
            if !ended.is_some_and(|status| status.success()) {
                faults.push(format!(
                    "expected receiver {place} to end with 0 within {STOPS_WITHIN:?} after SIGTERM, found {ended:?}"
                ));
                self.kill(place);
            }
        }
    }

    /// What all have written that has this in it.
    pub(crate) fn logged(&self, part: &str) -> usize {
        let logs = (0..COUNT).map(|place| std::fs::read(log_in(&self.logs, place)).unwrap_or_default());
        logs.map(|log| String::from_utf8_lossy(&log).lines().filter(|line| line.contains(part)).count()).sum()
    }
}

fn log_in(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("receiver-{place}.log"))
}

fn end(running: &mut Running, signal: Signal) {
    running.signal(signal);
    assert!(running.wait(STOPS_WITHIN).is_some(), "what was killed ends");
}

fn start(config: &Path, log: &Path, password: &str) -> Receiver {
    let earlier = std::fs::metadata(log).map_or(0, |found| found.len() as usize);
    let program = Program::new(env!("CARGO_BIN_EXE_pylon-receiver")).arguments(["serve", "--config"]).argument(config);
    let program = program.environment(SECRET_VARIABLE, SECRET).environment(PASSWORD_VARIABLE, password);
    let mut running = program.start(log);
    let begin = Instant::now();
    loop {
        let ended = running.ended();
        let written = std::fs::read(log).unwrap_or_default().split_off(earlier);
        let written = String::from_utf8_lossy(&written);
        if let Some((webhooks, admin)) = written.lines().find_map(addresses) {
            return Receiver { config: config.to_owned(), running, webhooks, admin };
        }
        assert!(
            ended.is_none() && begin.elapsed() < LISTENS_WITHIN,
            "a receiver does not listen after {:?}; it ended with {ended:?} and wrote:\n{written}",
            begin.elapsed()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
