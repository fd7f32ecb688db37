//! Many copies of one request at once, under each rule of deduplication.

use super::*;
use std::collections::HashSet;
use std::sync::Barrier;

/// The answers to so many copies, all sent at once.
fn at_once(running: &Running, copies: usize) -> Vec<Answer> {
    let (headers, body) = (process::signed(SECRET, &body(1)), body(1));
    let barrier = Barrier::new(copies);
    std::thread::scope(|scope| {
        let send = || {
            barrier.wait();
            running.try_webhook("/webhook", &headers, &body).expect("an answer")
        };
        let senders: Vec<_> = (0..copies).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    })
}

fn scene(deduplication: &str, destination: &Destination) -> Scene {
    let endpoint = format!(
        "[[endpoint]]\npath = \"/webhook\"\nsecrets = [{{ file = \"{{}}/secret\" }}]\ndeduplication = {deduplication}\n"
    );
    Scene::new(&format!("{}{endpoint}", app(&destination.url, "")))
}

#[test]
fn sixty_four_copies_at_once_are_one_event() {
    for rule in ["\"exact\"", "{ pointer = \"/issue_id\" }", "{ body_window = \"1h\" }"] {
        let destination = Destination::well();
        let scene = scene(rule, &destination);
        let running = scene.start();
        let answers = at_once(&running, 64);
        let ids: HashSet<_> = answers.iter().map(Answer::id).collect();
        assert_eq!(ids.len(), 1, "{rule}");
        let accepted = answers.iter().filter(|answer| answer.json()["status"] == "accepted").count();
        assert_eq!(accepted, 1, "{rule}");
        let id = ids.into_iter().next().unwrap();
        assert_eq!(running.ended(&id), ["delivered"], "{rule}");
        assert_eq!(destination.attempts_of(&id), [1], "{rule}");
        assert_eq!(scene.kept(), [id], "{rule}");
    }
}

#[test]
fn without_a_rule_each_copy_is_an_event() {
    let destination = Destination::well();
    let scene = scene("\"off\"", &destination);
    let running = scene.start();
    let ids: HashSet<_> = at_once(&running, 64).iter().map(Answer::id).collect();
    assert_eq!(ids.len(), 64);
    eventually("all arrive", || (destination.arrived().len() == 64).then_some(()));
}

#[test]
fn a_duplicate_is_known_after_a_restart() {
    let destination = Destination::well();
    let scene = scene("\"exact\"", &destination);
    let running = scene.start();
    let headers = process::signed(SECRET, &body(1));
    let id = running.try_webhook("/webhook", &headers, &body(1)).unwrap().id();
    running.ended(&id);
    drop(running);
    let running = scene.start();
    assert_eq!(running.try_webhook("/webhook", &headers, &body(1)).unwrap().id(), id);
    assert_eq!(destination.arrived().len(), 1);
}
