//! When a destination is left alone.

use pylon_receiver::config::CircuitPolicy;
use pylon_receiver::internals::{Circuit, CircuitState};
use pylon_receiver::{EventId, Moment};
use std::time::{Duration, Instant};

fn event(number: u8) -> EventId {
    EventId::new(Moment::from_unix_milliseconds(0), [number; 10])
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn circuit() -> Circuit {
    Circuit::new(CircuitPolicy::default().failures(3).first_pause(seconds(10)).longest_pause(seconds(35)))
}

fn open(circuit: &mut Circuit, now: Instant) {
    assert_eq!(circuit.failed(event(1), now), None);
    assert_eq!(circuit.failed(event(2), now), None);
    assert_eq!(circuit.failed(event(3), now), Some(seconds(10)));
}

#[test]
fn three_different_events_that_fail_in_a_row_open_it() {
    let (mut circuit, now) = (circuit(), Instant::now());
    assert_eq!(circuit.admit(8, now), 8);
    open(&mut circuit, now);
    assert_eq!(circuit.state(now), CircuitState::Open(seconds(10)));
    assert_eq!(circuit.admit(8, now + seconds(9)), 0);
}

#[test]
fn one_event_that_always_fails_does_not() {
    let (mut circuit, now) = (circuit(), Instant::now());
    for _ in 0..100 {
        assert_eq!(circuit.failed(event(1), now), None);
    }
    assert_eq!(circuit.state(now), CircuitState::Closed);
}

#[test]
fn a_success_in_between_begins_the_count_anew() {
    let (mut circuit, now) = (circuit(), Instant::now());
    circuit.failed(event(1), now);
    circuit.failed(event(2), now);
    assert!(!circuit.succeeded(), "it was never open");
    assert_eq!(circuit.failed(event(3), now), None);
}

#[test]
fn after_the_pause_one_goes_out_as_a_probe_and_no_second() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    let later = now + seconds(10);
    assert_eq!(circuit.admit(8, later), 1);
    assert_eq!(circuit.state(later), CircuitState::Probing);
    assert_eq!(circuit.admit(8, later), 0);
}

#[test]
fn a_probe_that_arrives_closes_it() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    circuit.admit(1, now + seconds(10));
    assert!(circuit.succeeded(), "it was open");
    assert_eq!(circuit.admit(8, now + seconds(10)), 8);
}

#[test]
fn each_probe_that_fails_doubles_the_pause_up_to_its_limit() {
    let (mut circuit, mut now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    for (pause, next) in [(10, 20), (20, 35), (35, 35)] {
        now += seconds(pause);
        assert_eq!(circuit.admit(8, now), 1);
        assert_eq!(circuit.failed(event(4), now), Some(seconds(next)));
    }
}

#[test]
fn those_under_way_when_it_opened_do_not_lengthen_the_pause() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    assert_eq!(circuit.failed(event(4), now + seconds(1)), None);
    assert_eq!(circuit.state(now), CircuitState::Open(seconds(10)));
}

#[test]
fn where_nothing_was_there_to_be_the_probe_the_next_one_is() {
    let (mut circuit, now) = (circuit(), Instant::now());
    open(&mut circuit, now);
    let later = now + seconds(10);
    assert_eq!(circuit.admit(8, later), 1);
    circuit.no_probe(later);
    assert_eq!(circuit.admit(8, later), 1);
}
