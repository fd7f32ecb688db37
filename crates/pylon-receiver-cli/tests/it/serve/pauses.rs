//! Destinations that ask to be left alone.

use super::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the app asks to be left alone.
const PAUSE: Duration = Duration::from_secs(3);

/// Answers so at first, and takes everything after that; tells when requests arrived.
fn asking(answer: &'static str) -> (Destination, Arc<Mutex<Vec<Instant>>>) {
    let arrivals = Arc::<Mutex<Vec<Instant>>>::default();
    let kept = arrivals.clone();
    let destination = Destination::start(move |_, number| {
        kept.lock().unwrap().push(Instant::now());
        if number == 0 { Reply::Close(answer) } else { Reply::OK }
    });
    (destination, arrivals)
}

#[test]
fn a_destination_that_names_a_time_gets_it_and_a_429_costs_no_attempt() {
    let cases = [
        ("HTTP/1.1 429 -\r\nRetry-After: 3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 1, 429),
        ("HTTP/1.1 503 -\r\nRetry-After: 3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 2, 503),
    ];
    for (answer, attempts, status) in cases {
        let (destination, arrivals) = asking(answer);
        let scene = Scene::new(&format!(
            "[[destination]]\nname = \"app\"\nurl = \"{}\"\n[destination.retry]\nattempts = {attempts}\n",
            destination.url
        ));
        let running = scene.start();
        let first = running.webhook(&body(0)).id();
        running.logs(&["leaving it alone", "\"pause_seconds\":3", &format!("answered {status}"), &destination.url]);
        let stats = running.get("/api/stats").json()["destinations"][0].take();
        assert_eq!(stats["circuit"], "open", "{stats}");
        assert!(stats["open_for_seconds"].as_f64().is_some_and(|left| (0.0..=3.0).contains(&left)), "{stats}");
        let others: Vec<_> = (1..15).map(|number| running.webhook(&body(number)).id()).collect();
        for id in others.iter().chain([&first]) {
            assert_eq!(running.ended(id), ["delivered"], "{status}");
        }
        let arrivals = arrivals.lock().unwrap();
        let soonest = arrivals[1..].iter().min().unwrap().duration_since(arrivals[0]);
        assert!(soonest >= PAUSE - Duration::from_millis(10), "{status}: a request came after {soonest:?}");
        assert_eq!(destination.attempts_of(&first), [1, 2], "{status}");
        let tells = running.log().lines().filter(|line| line.contains("leaving it alone")).count();
        assert_eq!(tells, 1, "{status}: once");
    }
}

#[test]
fn a_destination_that_is_busy_again_and_again_is_not_hammered_and_kills_nothing() {
    let destination = Destination::start(|_, number| if number < 6 { Reply::status(429) } else { Reply::OK });
    let pauses =
        "[destination.retry]\nattempts = 1\nfirst_delay = \"10ms\"\n[destination.circuit]\nfirst_pause = \"100ms\"\n";
    let scene = Scene::new(&format!(
        "[[destination]]\nname = \"app\"\nurl = \"{}\"\nconcurrency = 2\n{pauses}",
        destination.url
    ));
    let running = scene.start();
    let ids: Vec<_> = (0..20).map(|number| running.webhook(&body(number)).id()).collect();
    for id in &ids {
        assert_eq!(running.ended(id), ["delivered"]);
    }
    assert!(!running.log().contains("\"the destination is down"), "it answers");
    assert!(running.log().contains("the destination asks for fewer events"));
}

#[test]
fn the_log_tells_why_something_was_not_delivered_and_where_to() {
    let refusing = Destination::start(|_, _| Reply::status(418));
    let nowhere = Destination::nowhere();
    let scene = Scene::new(&format!(
        "[[destination]]\nname = \"app\"\nurl = \"{}?key=sesame\"\n\
         [[destination]]\nname = \"away\"\nurl = \"http://{nowhere}/hook\"\n\
         [[destination]]\nname = \"script\"\ncommand = [\"sh\", \"-c\", \"echo sesame >&2; exit 3\", \"--\", \"sesame\"]\n\
         [[destination]]\nname = \"archive\"\njsonl = \"{{}}/none/events.jsonl\"\n",
        refusing.url
    ));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    let file = scene.path("none/events.jsonl").display().to_string();
    for (destination, address, cause) in [
        ("app", refusing.url.as_str(), "answered 418"),
        ("away", &format!("http://{nowhere}/hook"), "connection refused"),
        ("script", "sh", "exit code 3"),
        ("archive", &file, "not written: No such file or directory (os error 2)"),
    ] {
        let of = |name: &str, value: &str| format!("\"{name}\":\"{value}\"");
        running.logs(&[
            "\"not delivered\"",
            &id,
            &of("destination", destination),
            &of("address", address),
            &of("cause", cause),
        ]);
    }
    assert!(!running.log().contains("sesame"), "{}", running.log());
}
