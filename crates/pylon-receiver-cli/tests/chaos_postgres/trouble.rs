//! What goes wrong.

use crate::house::House;
use crate::load::Load;
use crate::receivers::{COUNT, Receivers};
use pylon_test_support::proxy::Way;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// After it, all receivers take new events again by then.
const OVER_WITHIN: Duration = Duration::from_secs(60);
/// How long connections are cut, or lead nowhere, at most.
const LONGEST_CUT: Duration = Duration::from_secs(6);
/// How long nobody gets a connection, and how long the disk is full, at most.
const LONGEST_FULL: Duration = Duration::from_secs(4);
/// Longer than a lease at a destination with a time-out of a second.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(33);
/// How long a receiver is frozen when the clock is set ahead instead.
const FROZEN: Duration = Duration::from_millis(1500);
/// As if the server's clock were set ahead by more than a lease.
const SET_AHEAD: &str = "UPDATE clock SET ahead_ms = ahead_ms + 40000";

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A receiver is killed, and started again.
    Kill,
    /// The primary stops at once, its standby is promoted, and gets a standby of its own.
    FailOver,
    /// All connections end, and there are no new ones for a while.
    Cut,
    /// The same, and meanwhile a receiver is killed; with a spool it is started again before there are connections.
    CutAndKill,
    /// Nothing comes through for a while, and nothing says so.
    Swallow,
    /// A receiver is frozen until its leases have run out.
    Freeze,
    /// The same, but the ledger's time jumps, so that all other leases run out as well.
    Jump,
    /// All connections end, and others take their places.
    Crowd,
    /// The disk of the primary is full.
    FullDisk,
}

impl Trouble {
    /// All of them; those that take long or need a small disk only if asked for.
    pub(crate) fn all(is_long: bool, has_small_disk: bool) -> Vec<Self> {
        let mut all =
            vec![Self::Kill, Self::FailOver, Self::Cut, Self::CutAndKill, Self::Swallow, Self::Jump, Self::Crowd];
        all.extend(is_long.then_some(Self::Freeze));
        all.extend(has_small_disk.then_some(Self::FullDisk));
        if let Ok(only) = std::env::var("CHAOS_ONLY") {
            all.retain(|trouble| trouble.name().contains(&only));
            assert!(!all.is_empty(), "expected a part of the name of a trouble in CHAOS_ONLY, found {only}");
        }
        all
    }

    /// What it is called.
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "a receiver is killed",
            Self::FailOver => "the primary dies",
            Self::Cut => "connections are cut",
            Self::CutAndKill => "a receiver is killed while connections are cut",
            Self::Swallow => "connections lead nowhere",
            Self::Freeze => "a receiver is frozen",
            Self::Jump => "a receiver is frozen and the clock jumps",
            Self::Crowd => "no connection is free",
            Self::FullDisk => "the disk is full",
        }
    }

    /// Goes wrong, and is over when this returns. Returns what is to be told of it.
    pub(crate) fn happen(
        self,
        house: &mut House,
        receivers: &Receivers,
        load: &mut Load,
        random: &mut fastrand::Rng,
        faults: &mut Vec<String>,
    ) -> String {
        load.label(self.name());
        let place = random.usize(..COUNT);
        let part = random.f64();
        let mut told = String::new();
        match self {
            Self::Kill => {
                receivers.kill(place);
                std::thread::sleep(Duration::from_secs(1).mul_f64(part));
                receivers.start_again(place);
            }
            Self::FailOver => told = format!(" (promoted in {:.1} s)", house.fail_over().as_secs_f64()),
            Self::Cut | Self::Swallow => {
                house.turn(if self == Self::Cut { Way::Cut } else { Way::Swallow });
                std::thread::sleep(LONGEST_CUT.mul_f64(part));
                house.turn(Way::Pass);
            }
            Self::CutAndKill => {
                house.turn(Way::Cut);
                std::thread::sleep(LONGEST_CUT.mul_f64(part) / 2);
                receivers.kill(place);
                if load.has_spools() {
                    receivers.start_again(place);
                    std::thread::sleep(LONGEST_CUT.mul_f64(part) / 2);
                }
                house.turn(Way::Pass);
                if !load.has_spools() {
                    receivers.start_again(place);
                }
            }
            Self::Freeze => {
                receivers.freeze(place);
                std::thread::sleep(LONGER_THAN_A_LEASE);
                receivers.thaw(place);
            }
            Self::Jump => {
                receivers.freeze(place);
                house.sql(SET_AHEAD);
                std::thread::sleep(FROZEN);
                receivers.thaw(place);
            }
            Self::Crowd => {
                let crowd = crowd(house, LONGEST_FULL.mul_f64(part));
                told = format!(" ({crowd} connections)");
            }
            Self::FullDisk => {
                let has_crashed = fill(house, LONGEST_FULL.mul_f64(part), random.bool());
                told = format!(" (the server {})", if has_crashed { "had to be started" } else { "is up" });
            }
        }
        let is_over = Instant::now();
        match load.probe(OVER_WITHIN) {
            Ok(took) => {
                let took = took.map(|took| format!("{:.2}", took.as_secs_f64())).join(", ");
                told += &format!("; then the first 200 of each receiver after {took} s");
            }
            Err(error) => faults.push(format!("after \"{}\": {error}", self.name())),
        }
        if self == Self::FailOver {
            house.add_standby();
        }
        house.wait_for_standby();
        // With the standby there is what a 200 means here.
        if let Err(error) = load.probe(OVER_WITHIN) {
            faults.push(format!("{:?} after \"{}\": {error}", is_over.elapsed(), self.name()));
        }
        load.label("peace");
        format!("{}{told}", self.name())
    }
}

/// Takes all connections that the server has, first those that are free and then those of the receivers, and holds them so long.
/// Returns how many.
fn crowd(house: &House, hold: Duration) -> usize {
    let mut held = Vec::new();
    let port = house.primary().port();
    while let Some(stream) = connect_half(port) {
        held.push(stream);
    }
    house.cut_once();
    let begin = Instant::now();
    while begin.elapsed() < hold {
        match connect_half(port) {
            Some(stream) => held.push(stream),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    held.len()
}

/// A connection that has a place at the server, which waits for the password; none if it has no place.
fn connect_half(port: u16) -> Option<TcpStream> {
    const VERSION: u32 = 3 << 16;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(OVER_WITHIN)).ok()?;
    let named = b"user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(8 + named.len()).ok()?;
    stream.write_all(&[&length.to_be_bytes(), &VERSION.to_be_bytes(), &named[..]].concat()).ok()?;
    let mut kind = [0];
    stream.read_exact(&mut kind).ok()?;
    (kind == *b"R").then_some(stream)
}

/// Fills the disk of the primary for so long. Returns whether it had to be started afterwards.
fn fill(house: &House, hold: Duration, needs_log: bool) -> bool {
    let disk = house.disk().expect("only chosen with such a disk");
    let ballast = disk.fill();
    let begin = Instant::now();
    while begin.elapsed() < hold {
        ballast.grow();
        if needs_log {
            // Each time a new file of the log, until there is no room for one, which ends the server. That is meant.
            let _ = house.try_sql("SELECT pg_switch_wal(); CREATE TABLE IF NOT EXISTS filler (); DROP TABLE filler");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(ballast);
    house.revive()
}
