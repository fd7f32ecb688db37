//! What goes first: nothing that fails again and again, and no redelivery of many, holds up what comes in.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A destination with everything as it is by default.
fn plain(url: &str, further: &str) -> String {
    format!("[[destination]]\nname = \"app\"\nurl = \"{url}\"\n{further}\n")
}

/// Sends this many events that the app never takes, and waits until each has been attempted.
fn poison(running: &Running, destination: &Destination, count: usize) {
    for number in 0..count {
        running.webhook(&format!(r#"{{"event_type":"issue_new","poison":{number}}}"#)).id();
    }
    eventually("each has been attempted, or the destination is paused", || {
        let is_paused = running.get("/api/stats").json()["destinations"][0]["circuit"] != "closed";
        (is_paused || destination.arrived().len() >= count).then_some(())
    });
}

#[test]
fn two_hundred_events_that_the_app_refuses_hold_up_nothing_new() {
    // An answer is a sign of life; without one, the destination is paused, and what is new finds out whether it is up again.
    let cases = [
        ("400", Some(400), ""),
        ("431", Some(431), "concurrency = 1"),
        ("500", Some(500), "concurrency = 2"),
        ("no answer", None, ""),
    ];
    let case = |(told, status, further): (&str, Option<u16>, &str)| {
        let destination = Destination::start(move |arrived, _| match (arrived.text().contains("poison"), status) {
            (false, _) => Reply::OK,
            (true, Some(status)) => Reply::status(status),
            (true, None) => Reply::Close(""),
        });
        let scene = Scene::new(&plain(&destination.url, further));
        let running = scene.start();
        poison(&running, &destination, 200);
        let genuine: Vec<_> = (0..5).map(|number| running.webhook(&body(number)).id()).collect();
        for id in genuine {
            assert_eq!(running.ended(&id), ["delivered"], "{told}");
        }
        if status.is_some() {
            assert_eq!(running.get("/api/stats").json()["destinations"][0]["circuit"], "closed", "{told}");
            assert!(!running.log().contains("the destination is down"), "{told}");
        }
    };
    std::thread::scope(|scope| {
        let case = &case;
        let threads: Vec<_> = cases.into_iter().map(|one| scope.spawn(move || case(one))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn redelivering_many_holds_up_nothing_new() {
    const OLD: usize = 300;
    let is_new_there = Arc::new(AtomicBool::new(false));
    let seen = is_new_there.clone();
    // Whatever is redelivered hangs until the new one is there.
    let destination = Destination::start(move |arrived, _| {
        if arrived.text().contains("new one") {
            seen.store(true, Ordering::SeqCst);
        }
        let began = Instant::now();
        while arrived.header("x-receiver-redelivery-of").is_some()
            && !seen.load(Ordering::SeqCst)
            && began.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        Reply::OK
    });
    let scene = Scene::new(&plain(&destination.url, "timeout = \"90s\""));
    let running = scene.start();
    for number in 0..OLD {
        running.webhook(&body(number)).id();
    }
    eventually("all are there", || (destination.arrived().len() == OLD).then_some(()));
    let answer = running.command(&["events", "redeliver", "--all"]);
    assert_eq!(answer["redelivered"], OLD, "{answer}");
    eventually("they are on their way", || (destination.arrived().len() > OLD).then_some(()));
    let new = running.webhook(r#"{"event_type":"issue_new","issue_title":"new one"}"#).id();
    assert_eq!(running.ended(&new), ["delivered"]);
    assert!(is_new_there.load(Ordering::SeqCst));
    eventually("all are there again", || (destination.arrived().len() == 2 * OLD + 1).then_some(()));
}

#[test]
fn an_order_that_fails_holds_up_no_other() {
    let destination =
        Destination::start(|arrived, _| if arrived.text().contains("poison") { Reply::status(400) } else { Reply::OK });
    let scene = Scene::new(&plain(&destination.url, "order_by = \"issue_id\"\nconcurrency = 2"));
    let running = scene.start();
    for number in 0..100 {
        running.webhook(&format!(r#"{{"event_type":"issue_new","issue_id":"{number}","poison":true}}"#)).id();
        running.webhook(&format!(r#"{{"event_type":"issue_new","issue_id":"{number}"}}"#)).id();
    }
    eventually("each order has failed", || (destination.arrived().len() >= 100).then_some(()));
    for number in 1000..1005 {
        let id = running.webhook(&body(number)).id();
        assert_eq!(running.ended(&id), ["delivered"]);
    }
    assert!(destination.arrived().iter().all(|arrived| {
        arrived.text().contains("poison") || arrived.json()["issue_id"].as_str().unwrap().len() == 4
    }));
}
