//! The promises of order, leases, deduplication, idempotence and retention, raced: real threads, two handles of one ledger where it
//! allows two, schedules from a seed.
//!
//! A failure says its seed; `RACE_SEED` runs that one again.

use super::contract::{Ask, Draft, Hands, Subject, all, at, claim, event, owner};
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many seeds a test tries, unless one is given.
const ROUNDS: u64 = 3;
/// No race takes longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Threads of each kind.
const WRITERS: u64 = 3;
const COURIERS: u64 = 4;

/// Runs a race with several seeds; a failure names its seed.
pub(crate) fn race<S: Subject>(race: fn(Race)) {
    if !S::is_here() {
        return;
    }
    let seeds = match std::env::var("RACE_SEED") {
        Ok(seed) => vec![seed.parse().expect("RACE_SEED is a number")],
        Err(_) => (0..ROUNDS).map(|_| fastrand::u64(..)).collect(),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let clock = Hands::new();
        let subject = runtime.block_on(S::fresh(clock.clone()));
        let handles = [subject.ledger(), subject.second()];
        let course = Race { handles, clock, seed, until: Instant::now() + LONGEST };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| race(course)));
        if let Err(panic) = result {
            eprintln!("RACE_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// One race.
#[derive(Clone)]
pub(crate) struct Race {
    handles: [Arc<dyn Ledger>; 2],
    clock: Hands,
    seed: u64,
    until: Instant,
}

/// One thread of a race.
struct Runner {
    ledger: Arc<dyn Ledger>,
    random: fastrand::Rng,
    runtime: tokio::runtime::Runtime,
    number: u64,
}

impl Runner {
    /// Asks the ledger.
    fn ask<T>(&self, ask: impl for<'a> FnOnce(&'a dyn Ledger) -> LedgerFuture<'a, T>) -> T {
        self.runtime.block_on(ask(&*self.ledger)).unwrap()
    }

    /// Sometimes lets the others go first.
    fn dawdle(&mut self) {
        match self.random.u8(..8) {
            0 => std::thread::sleep(Duration::from_micros(self.random.u64(..300))),
            1 | 2 => std::thread::yield_now(),
            _ => {}
        }
    }
}

impl Race {
    /// Runs the same on this many threads at once, each with its own number; waits for all.
    fn run<T: Send>(&self, threads: u64, kind: u64, run: impl Fn(Runner) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let start = |number| {
                let run = &run;
                scope.spawn(move || run(self.runner(kind, number)))
            };
            let running: Vec<_> = (0..threads).map(start).collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    fn runner(&self, kind: u64, number: u64) -> Runner {
        Runner {
            ledger: self.handles[(number % 2) as usize].clone(),
            random: fastrand::Rng::with_seed(self.seed ^ (kind << 32 | number)),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            number,
        }
    }

    #[track_caller]
    fn goes_on(&self) -> bool {
        assert!(Instant::now() < self.until, "the race has no end");
        true
    }
}

/// An id that no other writer makes.
fn id_of(writer: u64, number: u64) -> EventId {
    EventId::new(at(0), [writer as u8, number as u8, 7, 7, 7, 7, 7, 7, 7, 7])
}

/// What couriers know of each other.
#[derive(Default)]
struct Yard {
    /// The line and delivery of each lease that is out.
    out: Mutex<HashMap<DeliveryId, Option<String>>>,
    tokens: Mutex<HashSet<u128>>,
    /// What was delivered, in its order.
    delivered: Mutex<Vec<DeliveryId>>,
    settled: AtomicUsize,
}

/// Delivers until this many deliveries are done; `line_of` tells the line of a delivery.
fn deliver(race: &Race, yard: &Yard, mut runner: Runner, all: usize, line_of: impl Fn(EventId) -> Option<String>) {
    let mut settlements: Vec<Settlement> = Vec::new();
    while yard.settled.load(Ordering::SeqCst) < all && race.goes_on() {
        runner.dawdle();
        let ask = Ask {
            owner: owner(runner.number as u8 + 1),
            lease: 3600,
            free: runner.random.usize(..4),
            ahead: runner.random.usize(..3),
            most_attempts: u32::MAX,
            ..claim(0)
        };
        let exchange = Exchange { settlements: std::mem::take(&mut settlements), ..ask.exchange() };
        // Gone from here before the ledger hears of it, for then others may have them.
        let ended: Vec<_> = exchange.settlements.iter().map(|settlement| settlement.lease.delivery).collect();
        {
            let mut out = yard.out.lock().unwrap();
            for id in &ended {
                assert!(out.remove(id).is_some());
            }
        }
        let verdicts: Vec<_> = exchange.settlements.iter().map(|settlement| settlement.verdict.clone()).collect();
        let Exchanged { settled, claimed } = runner.ask(|ledger| ledger.exchange(exchange));
        assert_eq!(settled, vec![Settled::Recorded; ended.len()], "no lease ended by itself");
        let done = verdicts.iter().filter(|verdict| **verdict == Verdict::Delivered).count();
        yard.settled.fetch_add(done, Ordering::SeqCst);
        for leased in claimed.deliveries {
            let id = leased.lease.delivery;
            let line = line_of(id.event);
            {
                let mut out = yard.out.lock().unwrap();
                assert!(!out.contains_key(&id), "{id} is leased twice");
                if line.is_some() {
                    assert!(!out.values().any(|other| *other == line), "two of line {line:?} are leased at once");
                }
                out.insert(id, line);
            }
            assert!(yard.tokens.lock().unwrap().insert(leased.lease.token), "a token was used twice");
            if runner.random.u8(..6) == 0 {
                let renewed = runner.ask(|ledger| ledger.renew(vec![leased.lease], Duration::from_secs(3600)));
                assert_eq!(renewed, [true]);
            }
            let verdict = match runner.random.u8(..5) {
                0 => Verdict::Retry { after: Duration::ZERO, counts: true },
                1 => Verdict::Released,
                _ => {
                    yard.delivered.lock().unwrap().push(id);
                    Verdict::Delivered
                }
            };
            settlements.push(Settlement { lease: leased.lease, verdict, attempt: None });
        }
    }
    // What it has still leased goes back.
    let mut out = yard.out.lock().unwrap();
    settlements.iter().for_each(|settlement| drop(out.remove(&settlement.lease.delivery)));
}

/// Order by key, with several writers and couriers, and leases that nobody else has.
pub(crate) fn order(race: Race) {
    const EACH: u64 = 30;
    let yard = Yard::default();
    // Every third of a writer is in no line; the lines are shared by all writers.
    let line_of = |id: EventId| {
        let number = number_of(id).1;
        (!number.is_multiple_of(3)).then(|| format!("line {}", number % 2))
    };
    let expected = (WRITERS * EACH) as usize;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            race.run(WRITERS, 1, |mut runner| {
                for number in 0..EACH {
                    runner.dawdle();
                    let id = id_of(runner.number, number);
                    let new = match line_of(id) {
                        Some(line) => event(0).in_line("app", &line),
                        None => event(0).to("app"),
                    };
                    assert_eq!(runner.ask(|ledger| ledger.record(NewEvent { id, ..new })), Recorded::Stored);
                }
            })
        });
        race.run(COURIERS, 2, |runner| deliver(&race, &yard, runner, expected, line_of));
    });
    // Each writer's events of one line arrived in its order.
    let mut last: HashMap<(u64, String), u64> = HashMap::new();
    for id in yard.delivered.lock().unwrap().iter() {
        let (writer, number) = number_of(id.event);
        if let Some(line) = line_of(id.event) {
            let before = last.insert((writer, line), number);
            assert!(
                before.is_none_or(|before| before < number),
                "event {number} of writer {writer} came after {before:?}"
            );
        }
    }
    assert_eq!(yard.delivered.lock().unwrap().len(), expected);
}

/// The writer and number of [`id_of`].
fn number_of(id: EventId) -> (u64, u64) {
    (0..8)
        .flat_map(|writer| (0..64).map(move |number| (writer, number)))
        .find(|&(writer, number)| id_of(writer, number) == id)
        .expect("a writer made it")
}

/// Of many events with one key, one is kept, and the others name it.
pub(crate) fn deduplication(race: Race) {
    const KEYS: u64 = 25;
    let answers = race.run(6, 1, |mut runner| {
        let mut keys: Vec<u64> = (0..KEYS).collect();
        runner.random.shuffle(&mut keys);
        let record = |key: u64| {
            runner.dawdle();
            let id = id_of(runner.number, key);
            let new = event(0).keyed(&format!("key {key}"), runner.random.bool().then_some(3600)).to("app");
            (key, id, runner.ask(|ledger| ledger.record(NewEvent { id, ..new })))
        };
        keys.into_iter().map(record).collect::<Vec<_>>()
    });
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    for key in 0..KEYS {
        let of_key = || answers.iter().filter(|(of, ..)| *of == key);
        let kept: Vec<_> = of_key().filter(|(.., answer)| *answer == Recorded::Stored).map(|(_, id, _)| *id).collect();
        assert_eq!(kept.len(), 1, "key {key}");
        let named = of_key().filter(|(.., answer)| *answer == Recorded::Duplicate(kept[0])).count();
        assert_eq!(named, 5, "key {key}");
    }
    let runner = race.runner(9, 0);
    assert_eq!(runner.ask(|ledger| ledger.stats()).events, KEYS);
}

/// The same events, recorded by several callers at once, are kept and delivered once.
pub(crate) fn idempotence(race: Race) {
    const EVENTS: u64 = 25;
    let yard = Yard::default();
    let line_of = |id: EventId| number_of(id).1.is_multiple_of(2).then(|| "line".to_owned());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            race.run(4, 1, |mut runner| {
                for number in 0..EVENTS {
                    runner.dawdle();
                    let id = id_of(0, number);
                    let new = match line_of(id) {
                        Some(line) => event(0).in_line("app", &line),
                        None => event(0).to("app"),
                    };
                    let new = if number % 5 == 0 { new.keyed(&number.to_string(), None) } else { new };
                    assert_eq!(runner.ask(|ledger| ledger.record(NewEvent { id, ..new })), Recorded::Stored);
                }
            })
        });
        race.run(3, 2, |runner| deliver(&race, &yard, runner, EVENTS as usize, line_of));
    });
    let mut delivered = yard.delivered.lock().unwrap().clone();
    delivered.sort_unstable();
    let expected: Vec<_> = (0..EVENTS).map(|number| DeliveryId { event: id_of(0, number), number: 1 }).collect();
    assert_eq!(delivered, expected);
}

/// What several owners prune at once is forgotten once, and only what is done.
pub(crate) fn retention(race: Race) {
    const EVENTS: u64 = 40;
    let yard = Yard::default();
    let (pruned, holder) = (AtomicU64::new(0), Mutex::new(None));
    let runner = race.runner(9, 0);
    for number in 0..EVENTS {
        let new = if number % 4 == 0 { event(0).to("other") } else { event(0).to("app") };
        runner.ask(|ledger| ledger.record(NewEvent { id: id_of(0, number), ..new }));
    }
    race.clock.set(at(10));
    let done = (EVENTS - EVENTS / 4) as usize;
    std::thread::scope(|scope| {
        scope.spawn(|| race.run(2, 2, |runner| deliver(&race, &yard, runner, done, |_| None)));
        race.run(3, 1, |mut runner| {
            let prune = Prune { owner: owner(100 + runner.number as u8), kept_for: Some(Duration::from_secs(5)) };
            while pruned.load(Ordering::SeqCst) < done as u64 && race.goes_on() {
                runner.dawdle();
                match runner.ask(|ledger| ledger.prune(prune)) {
                    Pruned::Here { events, .. } => {
                        let before = holder.lock().unwrap().replace(runner.number);
                        assert!(before.is_none_or(|before| before == runner.number), "two prune at once");
                        pruned.fetch_add(events, Ordering::SeqCst);
                        if runner.random.u8(..3) == 0 {
                            *holder.lock().unwrap() = None;
                            runner.ask(|ledger| ledger.release(prune.owner));
                        }
                    }
                    Pruned::Elsewhere => {}
                }
            }
        });
    });
    assert_eq!(pruned.load(Ordering::SeqCst), done as u64, "each is forgotten once");
    let left = runner.ask(|ledger| ledger.events(EventFilter::default(), all()));
    let left: Vec<_> = left.into_iter().map(|record| record.id).collect();
    let expected: Vec<_> = (0..EVENTS).filter(|number| number % 4 == 0).map(|number| id_of(0, number)).collect();
    assert_eq!(left, expected, "what waits is spared");
}
