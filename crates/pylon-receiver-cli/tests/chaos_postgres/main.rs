//! Three receivers on one PostgreSQL with a synchronous standby, under load, while one thing after the other goes wrong; then
//! what they acknowledged is compared with what is kept and what arrived.
//!
//! CHAOS_ROUNDS: how many things go wrong (3 unless given). The first half without spools, the other half with one each.
//! CHAOS_SEED: of what goes wrong and when, the answers of the app and the bodies; it is printed, but threads run as they will, so
//! that a seed repeats the plan and not the run. CHAOS_ONLY: this trouble and no other, by a part of its name.
//! CHAOS_LOGS: a folder, which is kept, for what the receivers write.

mod app;
mod compare;
mod disk;
mod house;
mod load;
#[path = "../process/mod.rs"]
mod process;
mod receivers;
mod trouble;

use app::App;
use house::House;
use load::Load;
use receivers::Receivers;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trouble::Trouble;

const ROUNDS: u64 = 3;
/// From so many rounds on, a receiver is also frozen for as long as a lease lasts, which takes half a minute.
const LONG: u64 = 10;
/// Something goes wrong up to this after all was well.
const LONGEST_PEACE: Duration = Duration::from_millis(800);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Called as a test among others: by a name that is not this one's, or to say what there is.
    if arguments.iter().any(|argument| argument == "--list") {
        println!("chaos_postgres: test");
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| !argument.starts_with('-') && !"chaos_postgres".contains(argument.as_str())) {
        return ExitCode::SUCCESS;
    }
    disk::have_mounts_of_our_own();
    let rounds = number("CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..u64::from(u32::MAX)));
    let Some(house) = House::start() else { return ExitCode::SUCCESS };
    println!("chaos on PostgreSQL: {rounds} rounds, CHAOS_SEED={seed}");
    if let Some(why) = house.why_no_small_disk() {
        println!("chaos on PostgreSQL: the disk is never full here, since {why}");
    }
    let begin = Instant::now();
    let found = run(house, rounds, seed);
    println!("chaos on PostgreSQL: {found} in {:.1} s", begin.elapsed().as_secs_f64());
    if found.faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("chaos on PostgreSQL: FAILED with CHAOS_SEED={seed}");
    for fault in found.faults.iter().take(50) {
        eprintln!("  {fault}");
    }
    if found.faults.len() > 50 {
        eprintln!("  and {} more", found.faults.len() - 50);
    }
    ExitCode::FAILURE
}

/// All rounds, and the comparison after them.
fn run(mut house: House, rounds: u64, seed: u64) -> compare::Found {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("the system has room for temporary files");
    let logs = std::env::var_os("CHAOS_LOGS").map_or_else(|| folder.path().to_owned(), PathBuf::from);
    let app = App::start(random.fork());
    let configs = |has_spools: bool| -> Vec<PathBuf> {
        (0..receivers::COUNT).map(|place| write_config(folder.path(), &app, &house.url(), place, has_spools)).collect()
    };
    let (plain, spooled) = (configs(false), configs(true));
    let receivers = Arc::new(Receivers::start(&plain, &logs, house.password()));
    let mut bag = Vec::new();
    let mut load = Load::start(&receivers, seed as u32, 0, false);
    let mut acknowledged = load::Acknowledged::default();
    let mut faults = Vec::new();
    for round in 0..rounds {
        if round == rounds / 2 {
            acknowledged.extend(load.end());
            receivers.stop_all(&mut faults);
            receivers.start_all(&spooled);
            load = Load::start(&receivers, seed as u32, 1, true);
        }
        std::thread::sleep(LONGEST_PEACE.mul_f64(random.f64()));
        if bag.is_empty() {
            bag = Trouble::all(rounds >= LONG, house.why_no_small_disk().is_none());
            random.shuffle(&mut bag);
        }
        let trouble = bag.pop().expect("it has just been filled");
        let report = trouble.happen(&mut house, &receivers, &mut load, &mut random, &mut faults);
        println!("chaos on PostgreSQL: round {}: {report}", round + 1);
    }
    acknowledged.extend(load.end());
    let mut found = compare::compare(&house, &receivers, &app, acknowledged);
    found.faults.append(&mut faults);
    found
}

/// Short delays everywhere, since what is compared is what arrived in the end.
fn write_config(folder: &Path, app: &App, url: &str, place: usize, has_spool: bool) -> PathBuf {
    let secret = process::SECRET_VARIABLE;
    let spool = folder.join(format!("spool-{place}.db"));
    let spool = if has_spool { format!("spool = \"{}\"", spool.display()) } else { String::new() };
    let retry = r#"
timeout = "1s"
concurrency = 16
retry = { attempts = 1000, first_delay = "5ms", longest_delay = "50ms" }
circuit = { failures = 1000, first_pause = "5ms", longest_pause = "50ms" }"#;
    let text = format!(
        r#"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
ledger = "{url}"
ledger_password = {{ env = "{password}" }}
log = "json"
{spool}

[[endpoint]]
name = "plain"
path = "{plain}"
secrets = [{{ env = "{secret}" }}]

[[endpoint]]
name = "by_pointer"
path = "{by_pointer}"
secrets = [{{ env = "{secret}" }}]
deduplication = {{ pointer = "/issue_id" }}

[[endpoint]]
name = "in_order"
path = "{in_order}"
secrets = [{{ env = "{secret}" }}]
deduplication = {{ pointer = "/issue_id" }}

[[destination]]
name = "app"
url = "http://{app}/webhook"
endpoints = ["plain", "by_pointer"]
{retry}

[[destination]]
name = "lines"
url = "http://{app}/webhook"
endpoints = ["in_order"]
order_by = "/issue_account_id"
{retry}
"#,
        plain = load::PLAIN,
        by_pointer = load::BY_POINTER,
        in_order = load::IN_ORDER,
        app = app.address,
        password = receivers::PASSWORD_VARIABLE,
    );
    let path = folder.join(format!("pylon-{place}-{has_spool}.toml"));
    std::fs::write(&path, text).expect("the folder is ours");
    path
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("expected a number in {variable}, found {text}")))
}
