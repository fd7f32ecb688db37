//! Destinations that fail, in every way they can: the event stays until they are well again.

use super::*;

/// The failure of an app, and what is told of an attempt that met it.
const FAILURES: [(&str, Reply, &str); 8] = [
    ("500", Reply::Close("HTTP/1.1 500 -\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwhy?"), "answered 500"),
    (
        "302",
        Reply::Close("HTTP/1.1 302 -\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        "answered 302, which is not followed",
    ),
    (
        "429",
        Reply::Close("HTTP/1.1 429 -\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        "answered 429",
    ),
    (
        "429 for an hour, which counts up to the longest delay",
        Reply::Close("HTTP/1.1 429 -\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        "answered 429",
    ),
    (
        "half a body",
        Reply::Close("HTTP/1.1 200 -\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf"),
        "the answer broke off after 4 of 10 bytes",
    ),
    ("half a head", Reply::Close("HTTP/1.1 200"), "the connection was closed without an answer"),
    ("no HTTP", Reply::Close("hello\r\n\r\n"), "the answer is not HTTP"),
    ("silence", Reply::Hang, "no answer within 200ms"),
];

#[test]
fn an_event_waits_for_an_app_that_fails_and_arrives_when_it_is_well() {
    let mut threads = Vec::new();
    for (what, failure, detail) in FAILURES {
        threads.push(std::thread::spawn(move || {
            let destination = Destination::start(move |_, number| match (&failure, number) {
                (Reply::Close(bytes), 0..2) => Reply::Close(bytes),
                (Reply::Hang, 0..2) => Reply::Hang,
                _ => Reply::OK,
            });
            let scene = Scene::new(&app(&destination.url, ""));
            let running = scene.start();
            let id = running.webhook(&body(1)).id();
            assert_eq!(running.ended(&id), ["delivered"], "{what}");
            assert_eq!(destination.attempts_of(&id), [1, 2, 3], "{what}");
            let log = running.event(&id)["deliveries"][0]["log"].take();
            let details: Vec<_> = log.as_array().unwrap().iter().map(|told| told["detail"].as_str().unwrap()).collect();
            assert_eq!(details, [detail, detail, "answered 200"], "{what}");
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn an_event_waits_for_an_app_that_is_not_there() {
    let address = Destination::nowhere();
    let scene = Scene::new(&app(&format!("http://{address}/hook"), ""));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    running.logs(&["not delivered", &id, "\"attempt\":3"]);
    let destination = Destination::at(address, |_, _| Reply::OK);
    assert_eq!(running.ended(&id), ["delivered"]);
    assert_eq!(destination.arrived().len(), 1);
    assert_eq!(running.event(&id)["deliveries"][0]["log"][0]["detail"], "connection refused");
}

#[test]
fn an_event_waits_for_a_name_that_does_not_resolve() {
    let destination = Destination::well();
    let scene = Scene::new(&app("http://nosuch.invalid/hook", "").replace("200ms", "5s"));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    let log = || running.event(&id)["deliveries"][0]["log"][0]["detail"].as_str().map(str::to_owned);
    assert_eq!(eventually("an attempt has failed", log), "the name does not resolve");
    scene.configure(&app(&destination.url, ""));
    running.reload("reloaded");
    assert_eq!(running.ended(&id), ["delivered"]);
}

#[test]
fn a_command_that_fails_or_hangs_is_run_again() {
    let scene = Scene::new(&format!(
        "[[destination]]\nname = \"app\"\ntimeout = \"300ms\"\n\
         command = [\"sh\", \"-c\", 'case $PYLON_ATTEMPT in 1) echo no >&2; exit 3;; 2) sleep 60;; 3) kill -9 $$;; *) cat > {{}}/taken;; esac']\n{HASTE}"
    ));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&id), ["delivered"]);
    let log = running.event(&id)["deliveries"][0]["log"].take();
    let details: Vec<_> = log.as_array().unwrap().iter().map(|told| told["detail"].as_str().unwrap()).collect();
    assert_eq!(details, ["exit code 3: no", "no exit within 300ms: killed", "ended by signal 9", "exit code 0"]);
    assert_eq!(std::fs::read_to_string(scene.path("taken")).unwrap(), body(1));
}

#[test]
fn a_destination_that_fails_holds_up_no_other() {
    let (ill, well) = (Destination::start(|_, _| Reply::Hang), Destination::well());
    let other = app(&well.url, "").replace("\"app\"", "\"other\"");
    let scene = Scene::new(&format!("{}{other}", app(&ill.url, "concurrency = 1")));
    let running = scene.start();
    let ids: Vec<_> = (0..20).map(|number| running.webhook(&body(number)).id()).collect();
    eventually("everything is at the one that is well", || (well.arrived().len() == ids.len()).then_some(()));
    eventually("it is known to have arrived", || {
        (process::states(&running.event(&ids[19]))[1] == "delivered").then_some(())
    });
}
