//! When a failed delivery is tried again.

use pylon_receiver::config::RetryPolicy;
use pylon_receiver::internals::{Backoff, Failure};
use pylon_receiver::ledger::Verdict;
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn backoff() -> Backoff {
    Backoff::new(
        RetryPolicy::default().attempts(5).age(seconds(1000)).first_delay(seconds(10)).longest_delay(seconds(60)),
    )
}

/// Jitter that takes the whole of what it may, or none of it: `part_of` takes the number modulo the longest, plus one.
fn most(longest: Duration) -> impl Fn(&mut [u8]) {
    move |bytes: &mut [u8]| bytes.copy_from_slice(&(longest.as_millis() as u64).to_le_bytes())
}

fn failure(number: u32, age: u64, retry_after: Option<Duration>) -> Failure {
    Failure { number, counted: number, counts: true, age: seconds(age), retry_after }
}

fn again(after: Duration) -> Verdict {
    Verdict::Retry { after, counts: true }
}

#[test]
fn the_longest_wait_doubles_up_to_its_limit() {
    let longest: Vec<u64> = (1..=6).map(|attempt| backoff().longest_delay(attempt).as_secs()).collect();
    assert_eq!(longest, [10, 20, 40, 60, 60, 60]);
    assert_eq!(backoff().longest_delay(u32::MAX), seconds(60));
}

#[test]
fn the_wait_is_anything_from_nothing_to_the_longest() {
    let none = |bytes: &mut [u8]| bytes.fill(0);
    assert_eq!(backoff().verdict(failure(2, 0, None), &none), again(Duration::ZERO));
    let all = most(seconds(20));
    assert_eq!(backoff().verdict(failure(2, 0, None), &all), again(seconds(20)));
}

#[test]
fn a_destination_that_asks_for_time_gets_it_up_to_the_limit() {
    let none = |bytes: &mut [u8]| bytes.fill(0);
    for (asked, waits) in [(0, 0), (7, 7), (60, 60), (61, 60), (1_000_000, 60)] {
        let verdict = backoff().verdict(failure(1, 0, Some(seconds(asked))), &none);
        assert_eq!(verdict, again(seconds(waits)), "asked for {asked} s");
    }
    let jitter = most(seconds(10));
    let verdict = backoff().verdict(failure(1, 0, Some(seconds(7))), &jitter);
    assert_eq!(verdict, again(seconds(10)), "the longer of the two");
}

#[test]
fn the_last_attempt_is_followed_by_none() {
    let none = |bytes: &mut [u8]| bytes.fill(0);
    assert_eq!(backoff().verdict(failure(5, 0, None), &none), Verdict::Dead("gave up after 5 attempts".into()));
    assert_eq!(backoff().verdict(failure(9, 0, None), &none), Verdict::Dead("gave up after 9 attempts".into()));
}

#[test]
fn what_is_older_than_its_age_is_dead_once_it_has_had_some_attempts() {
    let none = |bytes: &mut [u8]| bytes.fill(0);
    assert_eq!(backoff().verdict(failure(1, 1000, None), &none), again(Duration::ZERO));
    let patient = Backoff::new(backoff().policy().clone().attempts(100));
    let verdict = |attempt, after| patient.verdict(failure(attempt, after, None), &none);
    assert_eq!(verdict(4, 5000), again(Duration::ZERO), "it may have grown old in the queue");
    assert_eq!(verdict(5, 1000), Verdict::Dead("gave up after 5 attempts, older than 16m40s".into()));
    assert_eq!(verdict(5, 999), again(Duration::ZERO));
}

#[test]
fn a_wait_that_is_longer_than_the_age_ends_with_it_in_a_last_attempt() {
    let none = |bytes: &mut [u8]| bytes.fill(0);
    let verdict = backoff().verdict(failure(2, 990, Some(seconds(30))), &none);
    assert_eq!(verdict, again(seconds(10)));
}

#[test]
fn a_destination_may_ask_for_an_hour_at_most() {
    let day = Backoff::new(RetryPolicy::default().longest_delay(seconds(24 * 3600)));
    for (asked, gets) in [(None, None), (Some(0), Some(0)), (Some(3599), Some(3599)), (Some(3601), Some(3600))] {
        assert_eq!(day.asked(asked.map(seconds)), gets.map(seconds));
    }
    assert_eq!(day.asked(Some(Duration::MAX)), Some(seconds(3600)));
    assert_eq!(backoff().asked(Some(Duration::MAX)), Some(seconds(60)), "no longer than the longest wait");
}

#[test]
fn what_does_not_count_ends_by_age_alone() {
    let none = |bytes: &mut [u8]| bytes.fill(0);
    let verdict = |number, counted, age| {
        let failure = Failure { number, counted, counts: false, age: seconds(age), retry_after: None };
        backoff().verdict(failure, &none)
    };
    let again = Verdict::Retry { after: Duration::ZERO, counts: false };
    assert_eq!(verdict(1000, 0, 999), again);
    assert_eq!(verdict(1000, 4, 999), again, "the fourth one counted");
    assert_eq!(verdict(4, 0, 1000), again, "it may have grown old in the queue");
    assert_eq!(verdict(5, 0, 1000), Verdict::Dead("gave up after 5 attempts, older than 16m40s".into()));
}
