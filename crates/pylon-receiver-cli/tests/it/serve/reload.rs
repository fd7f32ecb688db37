//! Asked to read its configuration again.

use super::*;
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

const RELOADED: &str = "\"reloaded\"";
const REFUSED: &str = "not reloaded: the old configuration stays";

#[test]
fn new_destinations_and_endpoints_are_taken_over() {
    let (old, new) = (Destination::well(), Destination::well());
    let scene = Scene::new(&app(&old.url, ""));
    let running = scene.start();
    assert_eq!(running.ended(&running.webhook(&body(1)).id()), ["delivered"]);
    let endpoints = "[[endpoint]]\npath = \"/other\"\nsecrets = [{ file = \"{}/app-secret\" }]\n";
    let moved = app(&new.url, "");
    scene.configure(&format!("{moved}{}{endpoints}", moved.replace("\"app\"", "\"second\"")));
    running.reload(RELOADED);
    assert_eq!(running.webhook(&body(2)).status, 404);
    let headers = process::signed(APP_SECRET, &body(3));
    let id = running.try_webhook("/other", &headers, &body(3)).unwrap().id();
    assert_eq!(running.ended(&id), ["delivered", "delivered"]);
    assert_eq!((old.arrived().len(), new.arrived().len()), (1, 2));
}

#[test]
fn what_waits_goes_where_its_destination_has_moved() {
    let (ill, well) = (Destination::start(|_, _| destination::FAILS), Destination::well());
    let scene = Scene::new(&app(&ill.url, ""));
    let running = scene.start();
    let ids: Vec<_> = (0..5).map(|number| running.webhook(&body(number)).id()).collect();
    running.logs(&["not delivered"]);
    scene.configure(&app(&well.url, ""));
    running.reload(RELOADED);
    for id in ids {
        assert_eq!(running.ended(&id), ["delivered"]);
        assert_eq!(well.attempts_of(&id).len(), 1);
    }
}

#[test]
fn a_rotated_secret_is_taken_over() {
    let scene = Scene::new("");
    let running = scene.start();
    running.webhook(&body(1)).id();
    scene.write("secret", "another secret of the sender\n");
    let rotated = |number| {
        let body = body(number);
        running.try_webhook("/webhook", &process::signed("another secret of the sender", &body), &body).unwrap().status
    };
    assert_eq!(rotated(2), 401);
    running.reload(RELOADED);
    assert_eq!(rotated(3), 200);
    assert_eq!(running.webhook(&body(4)).status, 401);
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_stays() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    let running = scene.start();
    let bad = [
        ("[[destination]]\nname = app\n", "not TOML: string values must be quoted"),
        ("listen = 127.0.0.1:0\n", "; put text in quotes"),
        ("lisen = \"127.0.0.1:0\"\n", "unknown key `lisen`: did you mean `listen`?"),
        ("[[destination]]\nname = \"app\"\n", "expected one of `url`, `command`, `jsonl` and `nats`, found none"),
        (
            "[[destination]]\nname = \"app\"\nurl = \"http://127.0.0.1:1\"\nsecret = { file = \"{}/none\" }\n",
            "destination app: no secret: expected one in file {}/none, found that it cannot be read (entity not found)",
        ),
    ];
    for (number, (lines, fault)) in bad.into_iter().enumerate() {
        scene.configure(lines);
        running.reload(REFUSED);
        running.logs(&[REFUSED, "ERROR", &fault.replace("{}", scene.folder.path().to_str().unwrap())]);
        assert_eq!(running.ended(&running.webhook(&body(number)).id()), ["delivered"]);
        assert_eq!(running.unmet(), [""; 0]);
    }
    std::fs::remove_file(scene.path("receiver.toml")).unwrap();
    running.reload(REFUSED);
    assert_eq!(running.ended(&running.webhook(&body(9)).id()), ["delivered"]);
}

#[test]
fn a_key_that_holds_from_start_to_end_is_refused_by_its_name() {
    let scene = Scene::new("");
    let running = scene.start();
    let fixed = [
        ("listen", "listen = \"127.0.0.1:1\"\n"),
        ("admin", "admin = \"127.0.0.1:1\"\n"),
        ("admin_token", "admin_token = { file = \"{}/secret\" }\n"),
        ("ledger", "ledger = \"sqlite:{}/other.db\"\n"),
        ("log", "log = \"text\"\n"),
        ("traces", "traces = \"http://127.0.0.1:1\"\n"),
        ("tls", "[tls]\ncertificate = \"{}/certificate\"\nkey = \"{}/key\"\n"),
        ("limits.connections", "[limits]\nconnections = 7\n"),
        ("limits.header_timeout", "[limits]\nheader_timeout = \"7s\"\n"),
        ("limits.keep_alive_requests", "[limits]\nkeep_alive_requests = 7\n"),
        ("limits.queue", "[limits]\nqueue = 7\n"),
        ("limits.shutdown_timeout", "[limits]\nshutdown_timeout = \"7s\"\n"),
        ("retention.refused", "[retention]\nrefused = 7\n"),
    ];
    for (key, lines) in fixed {
        scene.configure(lines);
        running.reload(REFUSED);
        running.logs(&[REFUSED, &format!("`{key}` cannot change while the receiver runs: restart it")]);
    }
    running.webhook(&body(1)).id();
}

#[test]
fn a_missing_secret_is_told_and_waited_for() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, "secret = { file = \"{}/app-secret\" }"));
    std::fs::remove_file(scene.path("secret")).unwrap();
    std::fs::remove_file(scene.path("app-secret")).unwrap();
    let running = scene.start();
    assert_eq!(running.get("/livez").status, 200);
    let missing = |owner: &str, file: &str| {
        let path = scene.path(file);
        format!(
            "{owner}: no secret: expected one in file {}, found that it cannot be read (entity not found)",
            path.display()
        )
    };
    let expected = [missing("endpoint \"webhook\"", "secret"), missing("destination app", "app-secret")];
    assert_eq!(running.unmet(), expected);
    assert_unavailable(&running.webhook(&body(1)));
    running.logs(&["a request was refused", "no_secret"]);
    scene.write("secret", SECRET);
    running.reload(RELOADED);
    assert_eq!(running.unmet(), expected[1..]);
    let id = running.webhook(&body(2)).id();
    assert_eq!(process::states(&running.event(&id)), ["waiting"]);
    scene.write("app-secret", APP_SECRET);
    running.reload(RELOADED);
    assert_eq!(running.unmet(), [""; 0]);
    assert_eq!(running.ended(&id), ["delivered"]);
}

#[test]
fn a_secret_that_was_there_and_is_gone_is_no_reason_to_forget_it() {
    let scene = Scene::new("");
    let running = scene.start();
    std::fs::remove_file(scene.path("secret")).unwrap();
    running.reload(REFUSED);
    running.webhook(&body(1)).id();
    assert_eq!(running.unmet(), [""; 0]);
}

#[test]
fn an_attempt_under_way_outlives_the_reload_and_is_waited_for_at_the_end() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let destination = Destination::start(move |_, _| {
        let _ = released.lock().unwrap().recv();
        Reply::OK
    });
    let lines = app(&destination.url, "").replace("200ms", "1m");
    let scene = Scene::new(&lines);
    let mut running = scene.start();
    running.webhook(&body(1)).id();
    eventually("the attempt is under way", || (destination.arrived().len() == 1).then_some(()));
    running.reload(RELOADED);
    running.signal(Signal::TERM);
    running.logs(&["\"stopping\""]);
    release.send(()).unwrap();
    assert_eq!(running.exit(), Some(0));
    assert_eq!(scene.texts("SELECT state || ' ' || attempts FROM deliveries"), ["20 1"]);
}

/// A new certificate and its key, in their files.
fn certify(scene: &Scene) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    scene.write("certificate.pem", &made.cert.pem());
    scene.write("key.pem", &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

/// The status of the answer to a webhook over TLS, which trusts this certificate alone; none when it is not presented.
fn over_tls(running: &Running, trusted: &CertificateDer<'static>, body: &str) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(running.webhooks).unwrap());
    let mut request = "POST /webhook HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".to_owned();
    for (name, value) in process::signed(SECRET, body) {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).ok()?;
    Answer::read(&mut stream).map(|answer| answer.status)
}

#[test]
fn a_certificate_is_exchanged() {
    let scene = Scene::new("[tls]\ncertificate = \"{}/certificate.pem\"\nkey = \"{}/key.pem\"\n");
    let old = certify(&scene);
    let running = scene.start();
    assert_eq!(over_tls(&running, &old, &body(1)), Some(200));
    let new = certify(&scene);
    assert_eq!(over_tls(&running, &old, &body(2)), Some(200));
    running.reload(RELOADED);
    assert_eq!(over_tls(&running, &old, &body(3)), None);
    assert_eq!(over_tls(&running, &new, &body(4)), Some(200));
    scene.write("key.pem", "no key");
    running.reload(REFUSED);
    running.logs(&[REFUSED, "no TLS: expected a private key as PEM"]);
    assert_eq!(over_tls(&running, &new, &body(5)), Some(200));
}
