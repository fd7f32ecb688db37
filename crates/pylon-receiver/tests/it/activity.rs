//! What one process remembers of its endpoints and destinations.

use pylon_receiver::internals::{AttemptOutcome, LastAccepted, LastRefused, Recorder};
use pylon_receiver::wire::{EndpointSeen, MinuteCount};
use pylon_receiver::{DeliveryId, EventId, Moment};
use std::sync::Arc;
use std::time::Duration;

/// 2026-11-23T08:00:00Z: a minute begins.
const START: Moment = Moment::from_unix_milliseconds(1_795_420_800_000);

fn minute(number: u64) -> Moment {
    START.after(Duration::from_secs(60 * number))
}

fn outcome(at: Moment, number: u32, delivered: bool) -> AttemptOutcome {
    let delivery = DeliveryId { event: EventId::new(at, [7; 10]), number };
    let (status, detail) = if delivered { (204, "answered 204") } else { (500, "answered 500") };
    AttemptOutcome {
        at,
        delivery,
        attempt: 1,
        delivered,
        status: Some(status),
        detail: detail.to_owned(),
        took_milliseconds: 3,
    }
}

fn app() -> Arc<str> {
    "app".into()
}

/// A recorder that was told of these attempts, one a second.
fn after(attempts: &[bool]) -> Recorder {
    let recorder = Recorder::new();
    for (number, delivered) in (1..).zip(attempts) {
        recorder.ended(&app(), outcome(START.after(Duration::from_secs(number.into())), number, *delivered));
    }
    recorder
}

#[test]
fn each_minute_of_the_last_hour_is_counted_and_older_ones_are_forgotten() {
    let recorder = Recorder::new();
    for number in 0..=64 {
        recorder.ended(&app(), outcome(minute(number), 1, true));
        let last = minute(number).after(Duration::from_millis(59_999));
        if number % 2 == 1 {
            recorder.ended(&app(), outcome(last, 2, false));
        }
    }
    let now = minute(64).after(Duration::from_secs(30));
    let counted = recorder.destination("app", now).minutes;
    let expected: Vec<_> =
        (5..=64).map(|number| MinuteCount { at: minute(number), delivered: 1, failed: (number % 2) as u32 }).collect();
    assert_eq!(counted, expected);
    let later = minute(64 + 58);
    assert_eq!(recorder.destination("app", later).minutes.len(), 2);
    assert_eq!(recorder.destination("app", minute(64 + 60)).minutes, []);
}

#[test]
fn a_clock_that_goes_back_is_followed() {
    let recorder = Recorder::new();
    recorder.ended(&app(), outcome(minute(30), 1, true));
    recorder.ended(&app(), outcome(minute(2), 1, false));
    let counted = recorder.destination("app", minute(2)).minutes;
    assert_eq!(counted, [MinuteCount { at: minute(2), delivered: 0, failed: 1 }]);
}

#[test]
fn a_destination_is_failing_when_its_latest_three_attempts_failed_or_all_of_fewer() {
    for (attempts, is_failing) in [
        (&[][..], false),
        (&[true], false),
        (&[false], true),
        (&[false, false], true),
        (&[true, false, false], false),
        (&[true, false, false, false], true),
        (&[true, false, false, false, true], false),
        (&[false, false, false, false, true, false], false),
    ] {
        let recorder = after(attempts);
        assert_eq!(recorder.is_failing("app"), is_failing, "{attempts:?}");
        assert_eq!(recorder.destination("app", minute(1)).failing, is_failing, "{attempts:?}");
        assert!(!recorder.is_failing("another"));
    }
}

#[test]
fn the_latest_ten_attempts_are_kept_the_newest_first() {
    let seen = after(&[[true].as_slice(), &[false; 30]].concat()).destination("app", minute(1));
    let numbers: Vec<u32> = seen.latest.iter().map(|outcome| outcome.delivery.number).collect();
    assert_eq!(numbers, (22..=31).rev().collect::<Vec<_>>());
    assert_eq!(seen.last_delivered_at, Some(START.after(Duration::from_secs(1))));
    assert_eq!(after(&[false]).destination("app", minute(1)).last_delivered_at, None);
}

#[test]
fn a_refusal_stands_until_something_is_accepted() {
    let recorder = Recorder::new();
    let support: Arc<str> = "support".into();
    let refused = |at| LastRefused { at, code: "no_secret".to_owned(), reason: "no secret".to_owned() };
    let accepted = |at| LastAccepted { at, event: EventId::new(at, [7; 10]), kind: None, duplicate: false };
    assert_eq!(recorder.endpoint("support"), EndpointSeen::default());
    recorder.refused(Some(&support), refused(minute(1)));
    assert_eq!(recorder.endpoint("support").unresolved(), Some(&refused(minute(1))));
    recorder.accepted(&support, accepted(minute(2)));
    assert_eq!(recorder.endpoint("support").unresolved(), None);
    recorder.refused(Some(&support), refused(minute(3)));
    let seen = recorder.endpoint("support");
    assert_eq!((seen.unresolved(), &seen.accepted), (Some(&refused(minute(3))), &Some(accepted(minute(2)))));
    assert_eq!(recorder.elsewhere(), None);
    recorder.refused(None, refused(minute(4)));
    assert_eq!(recorder.elsewhere(), Some(refused(minute(4))));
}

#[test]
fn a_name_that_stays_keeps_what_is_known_of_it() {
    let recorder = after(&[false]);
    let archive: Arc<str> = "archive".into();
    recorder.ended(&archive, outcome(START, 1, false));
    recorder.keep_only(|_| false, |name| name == "app");
    assert!(recorder.is_failing("app") && !recorder.is_failing("archive"));
}
