//! Kills the real binary under load, again and again on one ledger, and compares what it acknowledged with what it kept
//! and what arrived.
//!
//! `kill -9` ends the process and not the machine, so that this shows that nothing is acknowledged before it was handed to the
//! kernel, and that a start on whatever was left behind recovers it. That it was handed on to the disk is shown by `it::trace`.
//!
//! CHAOS_ROUNDS: how often (5 unless given). CHAOS_SEED: of the moments, the answers of the app and the bodies; it is printed,
//! but threads run as they will, so that a seed repeats the plan and not the run.

mod app;
mod compare;
mod load;
#[path = "../process/mod.rs"]
mod process;

use app::App;
use load::{Acknowledged, Load};
use process::Process;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const ROUNDS: u64 = 5;
/// A round ends at a random moment up to this after the load began.
const LONGEST_ROUND: Duration = Duration::from_millis(400);
/// Before one round in four the receiver is killed once more, up to this after its start, so that it may be at recovering what
/// the kill before left behind.
const LONGEST_START: Duration = Duration::from_millis(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Called as a test among others: by a name that is not this one's, or to say what there is.
    if arguments.iter().any(|argument| argument == "--list") {
        println!("chaos: test");
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| !argument.starts_with('-') && !"chaos".contains(argument.as_str())) {
        return ExitCode::SUCCESS;
    }
    let rounds = number("CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..u64::from(u32::MAX)));
    println!("chaos: {rounds} rounds, CHAOS_SEED={seed}");
    let begin = Instant::now();
    let found = run(rounds, seed);
    println!("chaos: {found} in {:.1} s", begin.elapsed().as_secs_f64());
    if found.faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("chaos: FAILED with CHAOS_SEED={seed}");
    for fault in found.faults.iter().take(50) {
        eprintln!("  {fault}");
    }
    if found.faults.len() > 50 {
        eprintln!("  and {} more", found.faults.len() - 50);
    }
    ExitCode::FAILURE
}

/// All rounds, and the comparison after them.
fn run(rounds: u64, seed: u64) -> compare::Found {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("the system has room for temporary files");
    let app = App::start(random.fork());
    let config = write_config(folder.path(), &app);
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        if random.u8(..4) == 0 {
            process::start_and_kill(&config, LONGEST_START.mul_f64(random.f64()));
        }
        let mut receiver = Process::start(&config);
        let load = Load::start(receiver.webhooks, seed as u32, round as u16);
        std::thread::sleep(LONGEST_ROUND.mul_f64(random.f64()));
        receiver.kill();
        acknowledged.extend(load.end());
    }
    compare::compare(&config, &app, acknowledged)
}

/// Short delays everywhere, since what is compared is what arrived in the end.
fn write_config(folder: &Path, app: &App) -> PathBuf {
    let secret = process::SECRET_VARIABLE;
    let text = format!(
        r#"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
ledger = "sqlite:{ledger}"
log = "json"

[[endpoint]]
path = "{plain}"
secrets = [{{ env = "{secret}" }}]

[[endpoint]]
path = "{by_pointer}"
secrets = [{{ env = "{secret}" }}]
deduplication = {{ pointer = "/issue_id" }}

[[destination]]
name = "app"
url = "http://{app}/webhook"
concurrency = 16
retry = {{ attempts = 1000, first_delay = "5ms", longest_delay = "50ms" }}
circuit = {{ failures = 1000, first_pause = "5ms", longest_pause = "50ms" }}
"#,
        ledger = folder.join("pylon.db").display(),
        plain = load::PLAIN,
        by_pointer = load::BY_POINTER,
        app = app.address,
    );
    let path = folder.join("pylon.toml");
    std::fs::write(&path, text).expect("the folder is ours");
    path
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("expected a number in {variable}, found {text}")))
}
