//! Ended without a warning.

use super::*;
use rustix::process::Signal;

#[test]
fn an_attempt_that_was_cut_short_is_made_again() {
    let destination = Destination::start(|arrived, _| if arrived.attempt() == 1 { Reply::Hang } else { Reply::OK });
    let scene = Scene::new(&app(&destination.url, "").replace("200ms", "1m"));
    let mut running = scene.start();
    let id = running.webhook(&body(1)).id();
    eventually("the attempt is under way", || (destination.arrived().len() == 1).then_some(()));
    running.signal(Signal::KILL);
    assert_eq!(running.exit(), None);
    let running = scene.start();
    assert_eq!(running.ended(&id), ["delivered"]);
    assert_eq!(destination.attempts_of(&id), [1, 2]);
}

#[test]
fn everything_that_was_acknowledged_is_there_afterwards() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    let mut running = scene.start();
    let acknowledged = std::thread::scope(|scope| {
        let running = &running;
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                scope.spawn(move || {
                    let send = |number| {
                        let body = body(sender * 100_000 + number);
                        running.try_webhook("/webhook", &process::signed(SECRET, &body), &body)
                    };
                    (0_usize..).map_while(send).map(|answer| answer.id()).collect::<Vec<_>>()
                })
            })
            .collect();
        eventually("it is at work", || (destination.arrived().len() > 100).then_some(()));
        running.signal(Signal::KILL);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect::<Vec<_>>()
    });
    running.exit();
    let running = scene.start();
    assert!(acknowledged.len() > 100);
    for id in &acknowledged {
        assert_eq!(running.ended(id), ["delivered"]);
        assert!(!destination.attempts_of(id).is_empty());
    }
}
