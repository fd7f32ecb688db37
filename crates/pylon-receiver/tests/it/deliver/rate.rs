//! How many a second.

use pylon_receiver::internals::Rate;
use std::time::{Duration, Instant};

#[test]
fn a_second_s_worth_may_go_at_once_and_then_as_many_as_come_in() {
    let now = Instant::now();
    let mut rate = Rate::new(10.0, now);
    assert_eq!(rate.available(now), 10);
    rate.take(10);
    assert_eq!(rate.available(now), 0);
    assert_eq!(rate.available(now + Duration::from_millis(150)), 1);
    assert_eq!(rate.available(now + Duration::from_secs(100)), 10, "no more than a second's worth gathers");
}

#[test]
fn it_tells_how_long_until_the_next() {
    let now = Instant::now();
    let mut rate = Rate::new(10.0, now);
    assert_eq!(rate.wait(now), Duration::ZERO);
    rate.take(10);
    assert_eq!(rate.wait(now), Duration::from_millis(100));
    assert_eq!(rate.wait(now + Duration::from_millis(60)), Duration::from_millis(40));
}

#[test]
fn less_than_one_a_second_is_one_now_and_then() {
    let now = Instant::now();
    let mut rate = Rate::new(0.1, now);
    assert_eq!(rate.available(now), 1);
    rate.take(1);
    assert_eq!(rate.available(now + Duration::from_millis(9_900)), 0);
    assert_eq!(rate.available(now + Duration::from_millis(10_100)), 1);
}

#[test]
fn a_moment_that_lies_back_gives_nothing() {
    let now = Instant::now() + Duration::from_secs(10);
    let mut rate = Rate::new(10.0, now);
    rate.take(10);
    assert_eq!(rate.available(now - Duration::from_secs(5)), 0);
}

#[test]
fn a_burst_is_made_up_for_in_a_second() {
    let now = Instant::now();
    // A rate, how many go at once, and when there is one again.
    for (per_second, burst, seconds) in
        [(5.0, 78, 1.2), (5.0, 6, 0.4), (5.0, 10, 1.2), (1000.0, 100_000, 1.001), (0.1, 9, 20.0)]
    {
        let mut rate = Rate::new(per_second, now);
        assert!(rate.available(now) > 0);
        (0..burst).for_each(|_| rate.take(1));
        let due = now + Duration::from_secs_f64(seconds);
        assert_eq!(rate.available(due - Duration::from_micros(100)), 0, "{per_second} {burst}");
        assert_eq!(rate.available(due + Duration::from_micros(100)), 1, "{per_second} {burst}");
    }
}
