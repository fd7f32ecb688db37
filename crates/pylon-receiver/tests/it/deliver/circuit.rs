//! When a destination is left alone.

use pylon_receiver::config::CircuitPolicy;
use pylon_receiver::internals::{Admitted, Circuit, CircuitState, Role};
use pylon_receiver::{EventId, Moment};
use std::time::{Duration, Instant};

const USUAL: Role = Role::Usual { is_repeat: false };
const USUAL_REPEAT: Role = Role::Usual { is_repeat: true };
const PROBE: Role = Role::Probe { is_repeat: false };
const REPEAT: Role = Role::Probe { is_repeat: true };
const ALL: Admitted = Admitted::All { most_repeats: None };
/// A probe may begin, with whatever there is.
const ANY: Admitted = Admitted::Probe { may_repeat: true };
/// A probe may begin, with something new.
const NEW: Admitted = Admitted::Probe { may_repeat: false };

fn event(number: u8) -> EventId {
    EventId::new(Moment::from_unix_milliseconds(0), [number; 10])
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn circuit() -> Circuit {
    Circuit::new(CircuitPolicy::default().failures(3).first_pause(seconds(10)).longest_pause(seconds(35)))
}

fn fails(circuit: &mut Circuit, number: u8, now: Instant) -> Option<Duration> {
    circuit.failed(event(number), USUAL, None, now)
}

fn open(circuit: &mut Circuit, now: Instant) {
    assert_eq!(fails(circuit, 1, now), None);
    assert_eq!(fails(circuit, 2, now), None);
    assert_eq!(fails(circuit, 3, now), Some(seconds(10)));
}

/// A probe begins and fails.
fn probe(circuit: &mut Circuit, role: Role, now: Instant) -> Option<Duration> {
    circuit.probe_begins(role == REPEAT);
    circuit.failed(event(9), role, None, now)
}

#[test]
fn three_different_events_that_fail_in_a_row_open_it() {
    let (mut circuit, now) = (circuit(), Instant::now());
    assert_eq!(circuit.admit(now), ALL);
    open(&mut circuit, now);
    assert_eq!(circuit.state(now), CircuitState::Open(seconds(10)));
    assert_eq!(circuit.admit(now + seconds(9)), Admitted::Nothing);
    assert_eq!(circuit.admits_more_at(now), Some(now + seconds(10)));
}

#[test]
fn one_event_that_always_fails_does_not() {
    let (mut circuit, now) = (circuit(), Instant::now());
    for _ in 0..100 {
        assert_eq!(fails(&mut circuit, 1, now), None);
    }
    assert_eq!(circuit.state(now), CircuitState::Closed);
    assert_eq!(circuit.admits_more_at(now), None);
}

#[test]
fn an_answer_in_between_begins_the_count_anew() {
    let (mut circuit, now) = (circuit(), Instant::now());
    fails(&mut circuit, 1, now);
    fails(&mut circuit, 2, now);
    assert!(!circuit.answered(USUAL, now), "it was never open");
    assert_eq!(fails(&mut circuit, 3, now), None);
}

#[test]
fn after_the_pause_one_goes_out_as_a_probe_and_no_second() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    let later = now + seconds(10);
    assert_eq!(circuit.admit(later), ANY);
    assert_eq!(circuit.admit(later), ANY, "there was nothing to send the first time");
    circuit.probe_begins(false);
    assert_eq!(circuit.state(later), CircuitState::Probing);
    assert_eq!((circuit.admit(later), circuit.admits_more_at(later)), (Admitted::Nothing, None));
}

#[test]
fn a_probe_that_is_answered_closes_it() {
    for role in [PROBE, REPEAT] {
        let (mut circuit, now) = (circuit(), Instant::now());
        open(&mut circuit, now);
        circuit.probe_begins(role == REPEAT);
        assert!(circuit.answered(role, now + seconds(10)), "it was open");
        assert_eq!(circuit.admit(now + seconds(10)), ALL);
    }
}

#[test]
fn each_new_one_that_fails_as_a_probe_doubles_the_pause_up_to_its_limit() {
    let (mut circuit, mut now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    for (pause, next) in [(10, 20), (20, 35), (35, 35)] {
        now += seconds(pause);
        assert_eq!(circuit.admit(now), ANY);
        assert_eq!(probe(&mut circuit, PROBE, now), Some(seconds(next)));
        assert_eq!(circuit.admit(now), Admitted::Nothing);
    }
}

#[test]
fn a_repeat_that_fails_as_a_probe_delays_repeats_only() {
    let (mut circuit, mut now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    for (pause, next) in [(10, 20), (20, 35), (35, 35)] {
        now += seconds(pause);
        assert_eq!(circuit.admit(now), ANY);
        assert_eq!(probe(&mut circuit, REPEAT, now), Some(seconds(next)));
        assert_eq!((circuit.admit(now), circuit.admits_more_at(now)), (NEW, Some(now + seconds(next))));
        assert_eq!(circuit.state(now), CircuitState::Open(seconds(next)));
    }
    assert_eq!(probe(&mut circuit, PROBE, now), Some(seconds(35)));
    assert_eq!(circuit.admit(now + seconds(34)), Admitted::Nothing, "both are put off by what is new");
    assert_eq!(circuit.admit(now + seconds(35)), ANY);
}

#[test]
fn a_repeat_that_hangs_as_a_probe_does_not_hold_up_what_is_new() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    let later = now + seconds(10);
    circuit.probe_begins(true);
    assert_eq!((circuit.admit(later), circuit.admits_more_at(later)), (NEW, None));
    circuit.probe_begins(false);
    assert_eq!(circuit.admit(later), Admitted::Nothing);
    assert!(circuit.answered(PROBE, later));
    assert_eq!(circuit.failed(event(9), REPEAT, None, later), None, "by then it is one of many");
}

#[test]
fn those_under_way_when_it_opened_do_not_lengthen_the_pause() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    assert_eq!(fails(&mut circuit, 4, now + seconds(1)), None);
    assert_eq!(circuit.state(now), CircuitState::Open(seconds(10)));
}

#[test]
fn an_answer_to_one_that_was_under_way_when_it_opened_closes_it() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    assert!(circuit.answered(USUAL, now + seconds(1)));
    assert_eq!(circuit.admit(now + seconds(1)), ALL);
}

#[test]
fn a_probe_of_which_nothing_was_learned_is_followed_by_another() {
    for role in [PROBE, REPEAT] {
        let (mut circuit, now) = (circuit(), Instant::now());
        open(&mut circuit, now);
        let later = now + seconds(10);
        circuit.probe_begins(role == REPEAT);
        circuit.learned_nothing(role);
        assert_eq!(circuit.admit(later), ANY);
    }
}

#[test]
fn a_destination_that_asks_for_time_is_left_alone_for_it() {
    let (mut asked_by_429, mut asked_by_503, now) = (circuit(), circuit(), Instant::now());
    assert_eq!(asked_by_429.busy(USUAL, Some(seconds(20)), now), Some(seconds(20)));
    assert_eq!(asked_by_503.failed(event(1), USUAL, Some(seconds(20)), now), Some(seconds(20)));
    for mut circuit in [asked_by_429, asked_by_503] {
        assert!(!circuit.answered(USUAL, now + seconds(1)), "answers to what was under way change nothing");
        assert_eq!(fails(&mut circuit, 2, now + seconds(1)), None);
        assert_eq!(circuit.state(now + seconds(1)), CircuitState::Open(seconds(19)));
        assert_eq!(circuit.admit(now + seconds(19)), Admitted::Nothing);
        assert_eq!(circuit.admit(now + seconds(20)), ANY, "one first");
        circuit.probe_begins(false);
        assert!(circuit.answered(PROBE, now + seconds(21)));
        assert_eq!(circuit.admit(now + seconds(21)), ALL);
    }
}

#[test]
fn the_longest_time_that_was_asked_for_counts() {
    let (mut circuit, now) = (circuit(), Instant::now());
    assert_eq!(circuit.busy(USUAL, Some(seconds(20)), now), Some(seconds(20)));
    for (asked, left) in [(5, 20), (30, 30), (20, 30)] {
        assert_eq!(circuit.busy(USUAL, Some(seconds(asked)), now), None, "it is paused already");
        assert_eq!(circuit.state(now), CircuitState::Open(seconds(left)));
    }
}

#[test]
fn a_pause_that_is_asked_for_during_a_probe_outlasts_its_answer() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    let later = now + seconds(10);
    circuit.probe_begins(false);
    assert_eq!(circuit.busy(USUAL, Some(seconds(20)), later), None);
    assert!(!circuit.answered(PROBE, later + seconds(1)));
    assert_eq!(circuit.state(later), CircuitState::Open(seconds(20)));
}

#[test]
fn a_destination_that_asks_for_fewer_events_and_names_no_time_has_a_pause_of_its_own() {
    let (mut circuit, mut now) = (circuit(), Instant::now());
    assert_eq!(circuit.busy(USUAL, None, now), Some(seconds(10)));
    assert_eq!(circuit.busy(USUAL, None, now), None, "what was under way");
    for (role, pause, asked, next) in
        [(PROBE, 10, None, 20), (PROBE, 20, Some(0), 35), (PROBE, 35, Some(100), 100), (PROBE, 100, Some(1), 35)]
    {
        now += seconds(pause);
        assert_eq!(circuit.admit(now), ANY);
        circuit.probe_begins(false);
        assert_eq!(circuit.busy(role, asked.map(seconds), now), Some(seconds(next)));
        assert_eq!(circuit.admit(now), Admitted::Nothing);
    }
}

/// How many repeats may be under way beside everything new.
fn repeats(most: usize) -> Admitted {
    Admitted::All { most_repeats: Some(most) }
}

#[test]
fn what_is_asked_for_in_answer_to_a_repeat_puts_off_repeats_alone() {
    let (mut by_429, mut by_503, now) = (circuit(), circuit(), Instant::now());
    assert_eq!(by_429.busy(USUAL_REPEAT, Some(seconds(20)), now), Some(seconds(20)));
    assert_eq!(by_503.failed(event(1), USUAL_REPEAT, Some(seconds(20)), now), Some(seconds(20)));
    for mut circuit in [by_429, by_503] {
        assert_eq!(circuit.state(now), CircuitState::Closed);
        assert_eq!((circuit.admit(now), circuit.admits_more_at(now)), (repeats(0), Some(now + seconds(20))));
        assert_eq!(circuit.busy(USUAL_REPEAT, Some(seconds(30)), now), None, "they wait already");
        assert!(!circuit.answered(USUAL_REPEAT, now + seconds(1)), "it was under way before");
        assert!(!circuit.answered(USUAL, now + seconds(30)), "it says nothing about repeats");
        assert_eq!(circuit.admit(now + seconds(29)), repeats(0));
        let later = now + seconds(30);
        assert_eq!((circuit.admit(later), circuit.admits_more_at(later)), (repeats(1), None), "one first");
        assert_eq!(circuit.busy(USUAL_REPEAT, None, later), Some(seconds(10)));
        assert_eq!(circuit.admit(later + seconds(9)), repeats(0));
        assert!(!circuit.answered(USUAL_REPEAT, later + seconds(10)), "the destination was up");
        assert_eq!(circuit.admit(later + seconds(10)), ALL);
    }
}

#[test]
fn repeats_that_are_unavailable_and_name_a_time_pause_what_is_new_as_others_do_that_fail() {
    let (mut circuit, now) = (circuit(), Instant::now());
    for (number, begins) in [(1, Some(1000)), (2, None), (3, Some(10))] {
        assert_eq!(circuit.failed(event(number), USUAL_REPEAT, Some(seconds(1000)), now), begins.map(seconds));
    }
    assert_eq!((circuit.admit(now), circuit.admits_more_at(now)), (Admitted::Nothing, Some(now + seconds(10))));
    assert_eq!(circuit.admit(now + seconds(10)), NEW);
    assert_eq!(circuit.admit(now + seconds(1000)), ANY);
    circuit.probe_begins(false);
    assert!(circuit.answered(PROBE, now + seconds(10)));
    assert_eq!(circuit.admit(now + seconds(10)), repeats(0));
}

#[test]
fn a_repeat_that_is_asked_to_wait_as_a_probe_delays_repeats_only_even_when_something_new_is_answered() {
    let (mut circuit, now) = (circuit(), Instant::now());
    assert_eq!(circuit.busy(USUAL, Some(seconds(10)), now), Some(seconds(10)));
    assert_eq!(circuit.busy(USUAL_REPEAT, Some(seconds(15)), now), None, "it was under way");
    let later = now + seconds(15);
    assert_eq!(circuit.admit(now + seconds(10)), NEW);
    assert_eq!(circuit.admit(later), ANY);
    circuit.probe_begins(true);
    assert_eq!(circuit.busy(REPEAT, Some(seconds(60)), later), Some(seconds(60)));
    assert_eq!(circuit.admit(later), NEW);
    circuit.probe_begins(false);
    assert!(circuit.answered(PROBE, later));
    assert_eq!((circuit.admit(later), circuit.admits_more_at(later)), (repeats(0), Some(later + seconds(60))));
}

#[test]
fn it_is_in_doubt_from_a_failure_to_the_next_answer_or_the_pause() {
    let (mut circuit, now) = (circuit(), Instant::now());
    assert!(!circuit.is_in_doubt());
    fails(&mut circuit, 1, now);
    assert!(circuit.is_in_doubt());
    circuit.answered(USUAL, now);
    assert!(!circuit.is_in_doubt());
    open(&mut circuit, now);
    assert!(!circuit.is_in_doubt());
}

#[test]
fn an_unavailable_destination_that_asks_for_no_time_at_all_fails_as_others_do() {
    let (mut circuit, now) = (circuit(), Instant::now());
    assert_eq!(circuit.failed(event(1), USUAL, Some(Duration::ZERO), now), None);
    assert_eq!(circuit.state(now), CircuitState::Closed);
}
