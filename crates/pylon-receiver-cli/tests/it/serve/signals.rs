//! Asked to end.

use super::*;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// `waiting`, `delivering` and `delivered` in the ledger's tables.
const DELIVERING: &str = "SELECT count(*) || '' FROM leases";

#[test]
fn under_load_it_ends_in_order_and_keeps_what_it_has_acknowledged() {
    let destination = Destination::start(|_, _| {
        // Some attempts are under way at any time.
        std::thread::sleep(Duration::from_millis(20));
        Reply::OK
    });
    let scene = Scene::new(&app(&destination.url, "").replace("200ms", "10s"));
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
        eventually("it is at work", || (destination.arrived().len() > 50).then_some(()));
        running.signal(Signal::TERM);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(running.exit(), Some(0));
    let log = running.log();
    assert!(log.contains("\"stopping\"") && log.contains("\"stopped\""), "{log}");
    let mut kept = scene.kept();
    for id in acknowledged {
        assert!(kept.contains(&id), "{id} was acknowledged and is not kept");
    }
    // What was begun was finished: whatever arrived is known to have arrived.
    assert_eq!(scene.texts(DELIVERING), ["0"]);
    let delivered = scene.texts("SELECT count(*) || '' FROM deliveries WHERE state = 20 AND attempts = 1");
    assert_eq!(delivered, [destination.arrived().len().to_string()]);
    assert!(!scene.path("pylon.db-wal").exists());
    let running = scene.start();
    // Everything else goes out now.
    kept.retain(|id| destination.attempts_of(id).is_empty());
    for id in kept.iter().take(20) {
        assert_eq!(running.ended(id), ["delivered"]);
    }
}

#[test]
fn an_app_that_hangs_holds_it_no_longer_than_it_may_and_the_attempt_does_not_count() {
    let destination = Destination::start(|_, number| if number == 0 { Reply::Hang } else { Reply::OK });
    let lines = app(&destination.url, "").replace("200ms", "1m");
    let scene = Scene::new(&format!("{lines}[limits]\nshutdown_timeout = \"1s\"\n"));
    let mut running = scene.start();
    let id = running.webhook(&body(1)).id();
    eventually("the attempt is under way", || (destination.arrived().len() == 1).then_some(()));
    let began = Instant::now();
    running.signal(Signal::TERM);
    let unmet = "shutting down: webhooks are stored until the attempts under way have ended";
    eventually("it is not ready", || (running.unmet() == [unmet]).then_some(()));
    // What comes in meanwhile is stored, for the next start to deliver.
    let mut ids = vec![id];
    while let Some(answer) = running.try_webhook("/webhook", &process::signed(SECRET, &body(2)), &body(2)) {
        ids.extend((!ids.contains(&answer.id())).then(|| answer.id()));
        if began.elapsed() < Duration::from_millis(500) {
            assert_eq!(answer.header("connection"), Some("close"), "asked for by the sender");
        }
    }
    assert!(ids.len() > 1);
    let refused_after = began.elapsed();
    assert_eq!(running.exit(), Some(0));
    let took = began.elapsed();
    assert!((Duration::from_millis(800)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert!(refused_after >= Duration::from_millis(800), "the port closes last: {refused_after:?}");
    assert!(running.log().contains("attempts were broken off"));
    assert_eq!(scene.kept(), ids);
    assert_eq!(destination.arrived().len(), 1, "no further attempt has begun");
    let running = scene.start();
    for id in &ids {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    assert_eq!(destination.attempts_of(&ids[0]), [1, 1]);
}

#[test]
fn an_idle_receiver_ends_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let scene = Scene::new("");
        let mut running = scene.start();
        let began = Instant::now();
        running.signal(signal);
        assert_eq!(running.exit(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_command_under_way_is_ended_with_the_receiver() {
    let scene = Scene::new(
        "[[destination]]\nname = \"app\"\ncommand = [\"sh\", \"-c\", \"echo $$ > {}/pid; exec sleep 60\"]\n\
         [limits]\nshutdown_timeout = \"200ms\"\n",
    );
    let running = scene.start();
    running.webhook(&body(1)).id();
    let number = || std::fs::read_to_string(scene.path("pid")).ok()?.trim().parse().ok();
    let pid: i32 = eventually("the command runs", number);
    assert_eq!(running.stop().0, Some(0));
    eventually("the command ends", || {
        // A process that has ended and that nobody has waited for yet has no command line either.
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty().then_some(())
    });
}
