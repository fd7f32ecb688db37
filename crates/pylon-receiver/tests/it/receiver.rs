//! The library API: a receiver within a program.

use crate::ledger::memory::MemoryLedger;
use crate::transports::secure::Authority;
use crate::wait::{LONGEST, until, within};
use pylon_receiver::config::{
    Config, DestinationConfig, EndpointConfig, HttpTransport, LedgerAddress, RetryPolicy, SecretSource, Tls,
    TransportConfig,
};
use pylon_receiver::ledger::{EventFilter, Ledger, Order, Owner, Page, Prune, Pruned};
use pylon_receiver::wire::{Activity, EndpointSeen};
use pylon_receiver::{
    DeliveredEvent, EventId, Moment, Receiver, ReceiverBuilder, ReloadFault, StartFault, SystemWallClock, handlers_of,
};
use pylon_test_support::log::logged;
use pylon_webhooks::{IssueNewEvent, Secret, Verifier, WebhookHandler, sign};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const SECRET: &str = "the-secret-of-the-sender";
const BODY: &str = r#"{"event_type":"issue_new","issue_id":"1"}"#;
/// In Unix seconds.
const NOW: i64 = 1_700_000_000;

fn endpoint() -> EndpointConfig {
    EndpointConfig::signed("/webhook", [SecretSource::given(SECRET)])
}

/// On free ports, with a ledger in the memory.
fn builder(ledger: &Arc<MemoryLedger>) -> ReceiverBuilder {
    builder_on(ledger.clone())
}

/// On free ports, with this ledger.
pub(crate) fn builder_on(ledger: Arc<dyn Ledger>) -> ReceiverBuilder {
    builder_with(Config::default(), ledger)
}

/// The same, with everything else as this configuration has it.
pub(crate) fn builder_with(config: Config, ledger: Arc<dyn Ledger>) -> ReceiverBuilder {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    Receiver::builder().config(config).listen(anywhere).admin(anywhere).ledger(ledger).endpoint(endpoint())
}

fn memory() -> Arc<MemoryLedger> {
    Arc::new(MemoryLedger::new(5, Arc::new(SystemWallClock)))
}

fn webhooks_of(receiver: &Receiver) -> SocketAddr {
    receiver.webhooks().unwrap().ip().unwrap()
}

fn admin_of(receiver: &Receiver) -> SocketAddr {
    receiver.admin().ip().unwrap()
}

/// Status and body of the answer to a webhook that is signed at this moment; none when nobody answers.
pub(crate) async fn webhook(receiver: SocketAddr, unix_seconds: i64) -> Option<(u16, String)> {
    let timestamp = unix_seconds.to_string();
    let signature = sign(&Secret::new(SECRET).unwrap(), BODY.as_bytes(), Some(&timestamp));
    let request = format!(
        "POST /webhook HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Pylon-Signature: {signature}\r\n\
         X-Pylon-Timestamp: {timestamp}\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let answer = ask(receiver, &request).await?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().unwrap(), body.to_owned()))
}

/// The answer to a request that has the connection closed; none if nobody answers.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> Option<String> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    within("the receiver answers and closes", asking).await
}

pub(crate) fn now() -> i64 {
    pylon_receiver::WallClock::now(&pylon_receiver::SystemWallClock).unix_seconds() as i64
}

#[track_caller]
pub(crate) fn id_of(answer: Option<(u16, String)>) -> EventId {
    let (status, body) = answer.expect("an answer");
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_gets_each_event_again_until_it_has_taken_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handlers = {
        let seen = seen.clone();
        handlers_of(move |event: DeliveredEvent| {
            let number = event.attempt.number;
            seen.lock().unwrap().push((event.attempt.event(), event.event_type().to_owned(), number));
            async move { if number < 3 { Err("not yet".into()) } else { Ok(()) } }
        })
    };
    let mut destination = DestinationConfig::new("app", TransportConfig::InProcess);
    destination.retry.first_delay = Duration::from_millis(1);
    let receiver = within("it starts", builder(&memory()).destination(destination).handlers("app", handlers).start())
        .await
        .unwrap();
    let id = id_of(webhook(webhooks_of(&receiver), now()).await);
    until("it is taken", || seen.lock().unwrap().len() == 3).await;
    within("it shuts down", receiver.shutdown()).await.unwrap();
    let kind = || "issue_new".to_owned();
    assert_eq!(*seen.lock().unwrap(), [(id, kind(), 1), (id, kind(), 2), (id, kind(), 3)]);
}

/// What the receiver says that it has seen.
async fn activity(receiver: &Receiver) -> Activity {
    let request = "GET /api/activity HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = ask(admin_of(receiver), request).await.unwrap();
    assert!(!answer.contains(SECRET));
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_are_told_what_the_receiver_has_seen_and_a_reload_forgets_only_what_is_gone() {
    let folder = TempDir::new().unwrap();
    let handlers = || handlers_of(|_| async { Err("not yet".into()) });
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = |endpoint: EndpointConfig| {
        let slow = RetryPolicy::default().first_delay(LONGEST).longest_delay(LONGEST);
        let destination = DestinationConfig::new("app", TransportConfig::InProcess).retry(slow);
        let config = Config::default().listen(anywhere.into()).admin(anywhere.into());
        let ledger = LedgerAddress::Sqlite(folder.path().join("pylon.db"));
        config.ledger(ledger).endpoints(vec![endpoint]).destinations(vec![destination])
    };
    let receiver = Receiver::builder().config(config(endpoint())).handlers("app", handlers()).start();
    let receiver = within("it starts", receiver).await.unwrap();
    let before = activity(&receiver).await;
    let webhooks = webhooks_of(&receiver);
    assert_eq!(before.addresses, [format!("http://{webhooks}")]);
    let of = |before: &Activity| before.endpoints[0].clone();
    assert_eq!((&*of(&before).path, of(&before).can_authenticate), ("/webhook", true));
    assert_eq!((of(&before).seen, before.destinations[0].seen.failing), (EndpointSeen::default(), false));

    let id = id_of(webhook(webhooks, now()).await);
    let (status, _) = webhook(webhooks, now() - 100_000).await.unwrap();
    assert_eq!(status, 401);
    let missing = "POST /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(ask(webhooks, missing).await.unwrap().contains("404"));
    let mut seen = activity(&receiver).await;
    let deadline = Instant::now() + LONGEST;
    while seen.destinations[0].seen.latest.is_empty() && Instant::now() < deadline {
        seen = activity(&receiver).await;
    }
    let accepted = of(&seen).seen.accepted.unwrap();
    assert_eq!((accepted.event, accepted.kind.as_deref(), accepted.duplicate), (id, Some("issue_new"), false));
    let refused = of(&seen).seen.refused.unwrap();
    assert_eq!(refused.code, "timestamp_stale");
    assert!(refused.reason.starts_with("stale timestamp"), "{}", refused.reason);
    assert_eq!(seen.elsewhere.as_ref().unwrap().code, "unknown_path");
    let there = &seen.destinations[0].seen;
    let latest = &there.latest[0];
    assert_eq!((latest.delivery.event, latest.attempt, latest.delivered), (id, 1, false));
    assert!(latest.detail.contains("not yet"), "{}", latest.detail);
    let counted: u32 = there.minutes.iter().map(|minute| minute.failed).sum();
    assert_eq!((there.failing, counted), (true, 1));

    assert_eq!(id_of(webhook(webhooks, accepted.at.unix_seconds() as i64).await), id, "it is a duplicate");
    within("it reloads", receiver.reload(config(endpoint()))).await.unwrap();
    let after = activity(&receiver).await;
    assert!(of(&after).seen.accepted.unwrap().duplicate);
    assert_eq!((of(&after).seen.refused, after.elsewhere), (of(&seen).seen.refused, seen.elsewhere));
    assert_eq!(after.destinations[0].seen.latest, seen.destinations[0].seen.latest);
    within("it reloads", receiver.reload(config(endpoint().name("renamed".into())))).await.unwrap();
    within("it reloads", receiver.reload(config(endpoint()))).await.unwrap();
    assert_eq!(of(&activity(&receiver).await).seen, EndpointSeen::default());
    within("it shuts down", receiver.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handlers_of_the_library_get_typed_events() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut handler = WebhookHandler::new("a secret that is not asked for").unwrap();
    let ids = seen.clone();
    handler.on(move |event: IssueNewEvent| ids.lock().unwrap().push(event.issue_id().to_string()));
    let receiver = within("it starts", builder(&memory()).handlers("app", handler).start()).await.unwrap();
    id_of(webhook(webhooks_of(&receiver), now()).await);
    until("it is handled", || !seen.lock().unwrap().is_empty()).await;
    within("it shuts down", receiver.shutdown()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_stay_when_a_new_configuration_does_not_name_them() {
    let folder = TempDir::new().unwrap();
    let seen = Arc::new(Mutex::new(0));
    let counted = seen.clone();
    let handlers = handlers_of(move |_| {
        *counted.lock().unwrap() += 1;
        async { Ok(()) }
    });
    let receiver = Receiver::builder().config(config(&folder)).handlers("app", handlers).start().await.unwrap();
    id_of(webhook(webhooks_of(&receiver), now()).await);
    receiver.reload(config(&folder)).await.unwrap();
    // Another second, so that it is another event.
    id_of(webhook(webhooks_of(&receiver), now() + 1).await);
    until("both are handled", || *seen.lock().unwrap() == 2).await;
    receiver.shutdown().await.unwrap();
}

#[tokio::test]
async fn handlers_and_destinations_of_this_process_go_together() {
    let handlers = || handlers_of(|_| async { Ok(()) });
    let in_process = DestinationConfig::new("app", TransportConfig::InProcess);
    let url = "http://127.0.0.1:3000/".parse().unwrap();
    let elsewhere = DestinationConfig::new("app", TransportConfig::Http(HttpTransport::new(url)));
    let cases = [
        (
            builder(&memory()).destination(in_process.clone()),
            "destination app: expected handlers of the program, found none",
        ),
        (
            builder(&memory()).destination(in_process).handlers("ap", handlers()),
            "destination app: expected handlers of the program, found none",
        ),
        (
            builder(&memory()).destination(elsewhere).handlers("app", handlers()),
            "destination app: expected no other transport beside handlers, found one",
        ),
    ];
    for (builder, expected) in cases {
        assert_eq!(builder.start().await.unwrap_err().to_string(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_and_chance_are_those_that_are_given() {
    let ledger = memory();
    let starting = builder(&ledger)
        .clock(|| Moment::from_unix_milliseconds(NOW * 1000 + 250))
        .randomness(|bytes: &mut [u8]| bytes.fill(7))
        .start();
    let receiver = within("it starts", starting).await.unwrap();
    assert_eq!(webhook(webhooks_of(&receiver), now()).await.map(|(status, _)| status), Some(401));
    let id = id_of(webhook(webhooks_of(&receiver), NOW).await);
    assert_eq!(id, EventId::new(Moment::from_unix_milliseconds(NOW * 1000 + 250), [7; 10]));
    let page = Page { after: None, limit: 10, order: Order::OldestFirst };
    assert_eq!(ledger.events(EventFilter::default(), page).await.unwrap()[0].id, id);
    within("it shuts down", receiver.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_verifies_a_delivery_that_comes_an_hour_late() {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = app.local_addr().unwrap();
    let (late, began) = (Arc::new(AtomicI64::new(0)), Instant::now());
    let seconds_late = late.clone();
    let arrived = tokio::spawn(async move {
        let mut requests = Vec::new();
        for status in [500, 200] {
            let (mut stream, _) = app.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(BODY.as_bytes()) {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the delivery ends too early");
            }
            seconds_late.store(3600, Ordering::SeqCst);
            let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            requests.push(String::from_utf8(request).unwrap());
        }
        requests
    });
    let url = format!("http://{address}/").parse().unwrap();
    let signing = pylon_receiver::config::Signing::Pylon(SecretSource::given("app"));
    let transport = TransportConfig::Http(HttpTransport::new(url).signing(signing));
    let mut destination = DestinationConfig::new("app", transport);
    destination.retry.first_delay = Duration::from_millis(1);
    let starting = builder(&memory())
        .clock(move || {
            let seconds = NOW + late.load(Ordering::SeqCst);
            Moment::from_unix_milliseconds(seconds * 1000).after(began.elapsed())
        })
        .destination(destination)
        .start();
    let receiver = within("it starts", starting).await.unwrap();
    id_of(webhook(webhooks_of(&receiver), NOW).await);
    let requests = within("the app gets it twice", arrived).await.unwrap();
    let mut timestamps = Vec::new();
    for request in &requests {
        let head = request.split("\r\n\r\n").next().unwrap();
        let headers: Vec<_> = head.lines().filter_map(|line| line.split_once(": ")).collect();
        let timestamp = headers.iter().find(|(name, _)| *name == "x-pylon-timestamp").unwrap().1.parse().unwrap();
        let verifier = Verifier::builder().secret("app").clock(move || timestamp).build().unwrap();
        assert!(verifier.verify_headers(BODY.as_bytes(), headers).is_ok());
        timestamps.push(timestamp);
    }
    assert!(timestamps[1] >= NOW as u64 + 3600, "{timestamps:?}");
    within("it shuts down", receiver.shutdown()).await.unwrap();
}

/// The app's certificate comes from another authority from now on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_reads_the_authorities_of_a_destination_again() {
    let (before, after) = (Authority::new(), Authority::new());
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = app.local_addr().unwrap();
    let (server, refusals) = (after.server(), Arc::new(AtomicI64::new(0)));
    let refused = refusals.clone();
    let arrived = tokio::spawn(async move {
        loop {
            let (stream, _) = app.accept().await.unwrap();
            let Ok(mut stream) = server.accept(stream).await else {
                refused.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(BODY.as_bytes()) {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the delivery ends too early");
            }
            return stream.write_all(b"HTTP/1.1 204 -\r\n\r\n").await.unwrap();
        }
    });
    let folder = TempDir::new().unwrap();
    let mut destination = DestinationConfig::new("app", before.to(address));
    destination.retry.first_delay = Duration::from_millis(1);
    let config = config(&folder).destinations(vec![destination]);
    let receiver = Receiver::builder().config(config.clone()).start().await.unwrap();
    id_of(webhook(webhooks_of(&receiver), now()).await);
    until("it is not trusted", || refusals.load(Ordering::SeqCst) > 0).await;
    std::fs::copy(after.file(), before.file()).unwrap();
    within("it reloads", receiver.reload(config.clone())).await.unwrap();
    within("it arrives", arrived).await.unwrap();
    std::fs::write(before.file(), "damaged").unwrap();
    let fault = receiver.reload(config).await.unwrap_err().to_string();
    let path = before.file();
    let expected = format!(
        "destination app: no TLS: expected certificates of authorities as PEM in {}, found none in it",
        path.display()
    );
    assert_eq!(fault, expected);
    receiver.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_ends_everything_and_a_drop_does_so_at_once() {
    let folder = TempDir::new().unwrap();
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let start = || {
        let builder = Receiver::builder().listen(anywhere).admin(anywhere).sqlite(folder.path().join("pylon.db"));
        let hangs = handlers_of(|_| std::future::pending());
        builder.endpoint(endpoint()).handlers("app", hangs)
    };
    let receiver = within("it starts", start().start()).await.unwrap();
    let (webhooks, admin) = (webhooks_of(&receiver), admin_of(&receiver));
    let id = id_of(webhook(webhooks, now()).await);
    drop(receiver);
    let mut again = within("it starts", start().start()).await;
    let began = Instant::now();
    // What was under way lets go of the ledger soon.
    while let Err(StartFault::Ledger(error)) = &again {
        assert_eq!(error.code(), "in_use");
        assert!(began.elapsed() < LONGEST);
        tokio::time::sleep(Duration::from_millis(2)).await;
        again = within("it starts", start().start()).await;
    }
    let again = again.unwrap();
    assert!(TcpStream::connect(webhooks).await.is_err() || webhooks == webhooks_of(&again));
    assert!(TcpStream::connect(admin).await.is_err() || admin == admin_of(&again));
    assert_eq!(again.unmet(), [""; 0]);
    let request = format!("GET /api/events/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let listed = ask(admin_of(&again), &request).await.unwrap();
    assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_receiver_can_prune_once_one_has_stopped() {
    let ledger = Arc::new(MemoryLedger::new(5, Arc::new(SystemWallClock)).endless());
    let mut config = Config::default().endpoints(vec![endpoint()]);
    config.limits.shutdown_timeout = Duration::from_millis(400);
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let builder = Receiver::builder().config(config).listen(anywhere).admin(anywhere).ledger(ledger.clone());
    let receiver = within("it starts", builder.start()).await.unwrap();
    let prune = Prune { owner: Owner::random(&|bytes: &mut [u8]| bytes.fill(1)), kept_for: None };
    // Whether another could prune is asked of a copy.
    let can_prune = async || matches!(ledger.crashed().prune(prune).await, Ok(Pruned::Here { .. }));
    within("it prunes", async {
        while can_prune().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // A request that does not end holds up the end of the shutdown, but not the release.
    let mut stream = TcpStream::connect(webhooks_of(&receiver)).await.unwrap();
    let head = "POST /webhook HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    within("its body is awaited", stream.read_exact(&mut [0; 12])).await.unwrap();
    within("it shuts down", receiver.shutdown()).await.unwrap();
    assert!(can_prune().await);
}

/// A fault of a configuration, and what is told of it; `{}` is the folder.
type Case<F> = (fn(&mut Config, &TempDir), fn(&F) -> bool, &'static str);

fn tls(folder: &TempDir) -> Option<Tls> {
    Some(Tls::new(folder.path().join("certificate.pem"), folder.path().join("key.pem")))
}

const START_FAULTS: [Case<StartFault>; 5] = [
    (
        |config, _| config.endpoints.clear(),
        |fault| matches!(fault, StartFault::Config(_)),
        "`endpoint`: expected at least one, found none",
    ),
    (
        |config, folder| config.admin_token = Some(SecretSource::File(folder.path().join("none"))),
        |fault| matches!(fault, StartFault::Token { .. }),
        "admin_token: no secret: expected one in file {}/none, found that it cannot be read (entity not found)",
    ),
    (
        |config, folder| config.tls = tls(folder),
        |fault| matches!(fault, StartFault::Tls(_)),
        "no TLS: expected PEM in {}/certificate.pem, cannot read it (entity not found)",
    ),
    (
        |config, _| config.listen = ([192, 0, 2, 1], 80).into(),
        |fault| matches!(fault, StartFault::Bind { key: "listen", .. }),
        "`listen`: expected to listen at 192.0.2.1:80, found that it cannot be (address not available); choose another address",
    ),
    (
        |config, folder| config.ledger = LedgerAddress::Sqlite(folder.path().join("none/pylon.db")),
        |fault| matches!(fault, StartFault::Ledger(_)),
        "the ledger failed: expected a folder {}/none, found none; make it",
    ),
];

fn config(folder: &TempDir) -> Config {
    Config::default()
        .listen(([127, 0, 0, 1], 0).into())
        .admin(([127, 0, 0, 1], 0).into())
        .ledger(LedgerAddress::Sqlite(folder.path().join("pylon.db")))
        .endpoints(vec![endpoint()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_not_to_start_is_told() {
    for (spoil, is_it, expected) in START_FAULTS {
        let folder = TempDir::new().unwrap();
        let mut config = config(&folder);
        spoil(&mut config, &folder);
        let fault = within("it starts", Receiver::builder().config(config).start()).await.unwrap_err();
        assert_eq!(fault.to_string(), expected.replace("{}", folder.path().to_str().unwrap()));
        assert!(is_it(&fault), "{fault:?}");
    }
}

const RELOAD_FAULTS: [Case<ReloadFault>; 4] = [
    (
        |config, _| config.endpoints.clear(),
        |fault| matches!(fault, ReloadFault::Config(_)),
        "`endpoint`: expected at least one, found none",
    ),
    (
        |config, _| config.limits.queue = 7,
        |fault| *fault == ReloadFault::NeedsRestart(vec!["limits.queue".into()]),
        "`limits.queue` cannot change while the receiver runs: restart it",
    ),
    (
        |config, folder| {
            config.endpoints = vec![EndpointConfig::signed("/a", [SecretSource::File(folder.path().join("none"))])]
        },
        |fault| matches!(fault, ReloadFault::Missing(missing) if missing.len() == 1),
        "endpoint \"a\": no secret: expected one in file {}/none, found that it cannot be read (entity not found)",
    ),
    (
        |_, folder| std::fs::write(folder.path().join("key.pem"), "no key").unwrap(),
        |fault| matches!(fault, ReloadFault::Tls(_)),
        "no TLS: expected a private key as PEM in {}/key.pem, found none in it",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_not_to_reload_is_told() {
    let folder = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let config = config(&folder).tls(tls(&folder));
    let receiver = within("it starts", Receiver::builder().config(config.clone()).start()).await.unwrap();
    within("it reloads", receiver.reload(config.clone())).await.unwrap();
    for (spoil, is_it, expected) in RELOAD_FAULTS {
        let mut config = config.clone();
        spoil(&mut config, &folder);
        let fault = within("it reloads", receiver.reload(config)).await.unwrap_err();
        assert_eq!(fault.to_string(), expected.replace("{}", folder.path().to_str().unwrap()));
        assert!(is_it(&fault), "{fault:?}");
        assert_eq!(receiver.unmet(), [""; 0]);
    }
    within("it shuts down", receiver.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reloads_at_once_leave_one_configuration_whole() {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = |name: &str, secret: SecretSource| {
        let url = "http://127.0.0.1:9/".parse().unwrap();
        Config::default()
            .listen(anywhere.into())
            .admin(anywhere.into())
            .endpoints(vec![EndpointConfig::signed(format!("/{name}"), [secret])])
            .destinations(vec![DestinationConfig::new(name, TransportConfig::Http(HttpTransport::new(url)))])
    };
    let folder = TempDir::new().unwrap();
    let first = config("first", SecretSource::File(folder.path().join("none")));
    let second = config("second", SecretSource::given(SECRET));
    let starting = Receiver::builder().config(first.clone()).ledger(memory()).start();
    let receiver = within("it starts", starting).await.unwrap();

    // The first reload warns of its secret after its destinations are in place and before its endpoints are. There it waits
    // whether the second overtakes it.
    let (in_the_middle, begin) = channel();
    let (second_is_done, overtaken) = channel();
    let halt = Halt { in_the_middle, overtaken: Mutex::new(overtaken) };
    let runtime = tokio::runtime::Handle::current();
    let reload = &|config| runtime.block_on(within("it reloads", receiver.reload(config))).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || tracing::subscriber::with_default(halt, || reload(first)));
        threads.spawn(move || {
            begin.recv_timeout(LONGEST).unwrap();
            reload(second);
            // The first one waits no more if it was not overtaken.
            let _ = second_is_done.send(());
        });
    });

    let request = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let stats =
        ask(admin_of(&receiver), &request("GET /api/stats").replace("Host: a", "Host: localhost")).await.unwrap();
    assert!(stats.contains(r#""destination":"second""#) && !stats.contains(r#""destination":"first""#), "{stats}");
    for (path, status) in [("first", "404"), ("second", "401")] {
        let answer = ask(webhooks_of(&receiver), &request(&format!("POST /{path}"))).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    within("it shuts down", receiver.shutdown()).await.unwrap();
}

/// A log whose writer halts at the warning of an endpoint without secrets, for a moment or until it was overtaken.
struct Halt {
    in_the_middle: Sender<()>,
    overtaken: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Subscriber for Halt {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("pylon_receiver::accept") && metadata.is_event()
    }

    fn event(&self, _: &Event<'_>) {
        let _ = self.in_the_middle.send(());
        let _ = self.overtaken.lock().unwrap().recv_timeout(Duration::from_millis(300));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_compared_by_its_value_and_not_by_its_place() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, token: &str| std::fs::write(folder.path().join(name), token).unwrap();
    let source = |name: &str| Some(SecretSource::File(folder.path().join(name)));
    write("token", "one\n");
    let config = config(&folder).admin_token(source("token"));
    let receiver = within("it starts", Receiver::builder().config(config.clone()).start()).await.unwrap();
    within("it reloads", receiver.reload(config.clone())).await.unwrap();
    let needs_restart = Err(ReloadFault::NeedsRestart(vec!["admin_token".into()]));
    write("token", "other\n");
    assert_eq!(within("it reloads", receiver.reload(config.clone())).await, needs_restart);
    write("moved", "one");
    within("it reloads", receiver.reload(config.clone().admin_token(source("moved")))).await.unwrap();
    assert_eq!(within("it reloads", receiver.reload(config.clone().admin_token(None))).await, needs_restart);
    let given = config.clone().admin_token(Some(SecretSource::given("other")));
    assert_eq!(within("it reloads", receiver.reload(given)).await, needs_restart);
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let missing = within("it reloads", receiver.reload(config)).await.unwrap_err();
    assert!(matches!(&missing, ReloadFault::Missing(missing) if missing.len() == 1), "{missing:?}");
    within("it shuts down", receiver.shutdown()).await.unwrap();
}

#[test]
fn an_admin_address_that_the_network_reaches_is_warned_of_and_who_guesses_there_is_logged() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = |admin: [u8; 4]| {
        let token = Some(SecretSource::given("the-token-of-the-operators"));
        let folder = TempDir::new().unwrap();
        let config = config(&folder).admin((admin, 0).into()).admin_token(token);
        let (peer, lines) = logged(|| {
            runtime.block_on(async {
                let receiver = within("it starts", Receiver::builder().config(config).start()).await.unwrap();
                let address = SocketAddr::from(([127, 0, 0, 1], admin_of(&receiver).port()));
                let mut stream = TcpStream::connect(address).await.unwrap();
                let peer = stream.local_addr().unwrap();
                let request =
                    "GET /api/stats HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer s3cret\r\nConnection: close\r\n\r\n";
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                within("the answer ends", stream.read_to_string(&mut answer)).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
                within("it shuts down", receiver.shutdown()).await.unwrap();
                peer
            })
        });
        let warnings: Vec<_> = lines.into_iter().filter(|line| line.starts_with("WARN")).collect();
        let guess = |line: &String| line.contains("another token") && line.contains(&peer.to_string());
        assert_eq!(warnings.iter().filter(|line| guess(line)).count(), 1, "{warnings:?}");
        assert!(!warnings.concat().contains("s3cret"));
        warnings.iter().any(|line| line.contains("the admin API is open to the network without TLS"))
    };
    assert!(start([0, 0, 0, 0]));
    assert!(!start([127, 0, 0, 1]));
}
