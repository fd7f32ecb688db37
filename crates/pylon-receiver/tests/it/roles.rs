//! Receivers that share a ledger and divide the work.

use crate::ledger::memory::MemoryLedger;
use crate::wait::{until, within};
use pylon_receiver::config::{
    Config, DestinationConfig, EndpointConfig, HttpTransport, JsonLinesTransport, LedgerAddress, ListenAddress,
    SecretSource, Signing, Tls, TransportConfig, parse, show,
};
use pylon_receiver::ledger::Ledger;
use pylon_receiver::{
    DeliveredEvent, Handlers, InheritedSocket, Preflight, Receiver, ReceiverBuilder, Role, SystemWallClock,
    descriptors, handlers_of,
};
use pylon_test_support::log::logged;
use pylon_webhooks::{Secret, sign};
use serde_json::{Value, json};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "the-secret-of-the-sender";

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn memory() -> Arc<MemoryLedger> {
    Arc::new(MemoryLedger::new(5, Arc::new(SystemWallClock)))
}

/// Of a receiver process of its own that shares the ledger.
fn builder(ledger: &Arc<MemoryLedger>, role: Role) -> ReceiverBuilder {
    let own: Arc<dyn Ledger> = Arc::new(ledger.another_process());
    Receiver::builder().listen(anywhere()).admin(anywhere()).ledger(own).role(role)
}

fn endpoint() -> EndpointConfig {
    EndpointConfig::signed("/webhook", [SecretSource::given(SECRET)])
}

/// A secret that is nowhere.
fn missing() -> SecretSource {
    SecretSource::File("/nonexistent/secret".into())
}

fn in_process() -> DestinationConfig {
    DestinationConfig::new("app", TransportConfig::InProcess)
}

/// Handlers that note the ids of what they are given.
fn noting() -> (impl Handlers, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let noted = seen.clone();
    let handlers = handlers_of(move |event: DeliveredEvent| {
        noted.lock().unwrap().push(event.attempt.event().to_string());
        async { Ok(()) }
    });
    (handlers, seen)
}

/// Status and JSON of the answer.
async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = within("the receiver answers and closes", asking).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

async fn admin(receiver: &Receiver, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if method == "GET" { String::new() } else { body.to_string() };
    ask(receiver.admin().ip().unwrap(), method, path, "Content-Type: application/json\r\n", &body).await
}

async fn get(receiver: &Receiver, path: &str) -> Value {
    let (status, answer) = admin(receiver, "GET", path, &Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The id of a new event.
async fn send(receiver: &Receiver, number: usize) -> String {
    let body = format!(r#"{{"event_type":"issue_new","issue_id":"{number}"}}"#);
    let signature = sign(&Secret::new(SECRET).unwrap(), body.as_bytes(), None);
    let headers = format!("X-Pylon-Signature: {signature}\r\n");
    let (status, answer) = ask(receiver.webhooks().unwrap().ip().unwrap(), "POST", "/webhook", &headers, &body).await;
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_receiver_stores_another_one_delivers() {
    let ledger = memory();
    let front = builder(&ledger, Role::Accept).endpoint(endpoint()).destination(in_process());
    let front = within("it starts", front.start()).await.unwrap();
    let before = send(&front, 1).await;
    assert_eq!(get(&front, &format!("/api/events/{before}")).await["state"], "pending");

    let (handlers, seen) = noting();
    let back = within("it starts", builder(&ledger, Role::Deliver).handlers("app", handlers).start()).await.unwrap();
    until("what was stored before is delivered", || seen.lock().unwrap().len() == 1).await;
    let after = send(&front, 2).await;
    until("what is stored now is delivered", || seen.lock().unwrap().len() == 2).await;
    assert_eq!(*seen.lock().unwrap(), [before, after]);
    within("it shuts down", back.shutdown()).await.unwrap();
    within("it shuts down", front.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_only_delivers_listens_for_no_webhooks_and_needs_no_endpoint() {
    let ledger = memory();
    // Nothing of these is there, and nobody asks for them.
    let tls = Tls::new("/nonexistent/certificate.pem", "/nonexistent/key.pem");
    let closed = ListenAddress::from(([192, 0, 2, 1], 80));
    let shared = Config::default()
        .tls(Some(tls))
        .endpoints(vec![EndpointConfig::signed("/webhook", [missing()])])
        .destinations(vec![in_process().endpoints(vec!["webhook".into()])]);
    let without = Config::default().destinations(vec![in_process().endpoints(vec!["webhook".into()])]);
    for config in [shared, without] {
        let (handlers, _) = noting();
        let builder = builder(&ledger, Role::Deliver).config(config.role(Role::Deliver)).handlers("app", handlers);
        let receiver = within("it starts", builder.listen(closed.clone()).admin(anywhere()).start()).await.unwrap();
        assert_eq!((receiver.webhooks(), receiver.unmet()), (None, vec![]));
        assert_eq!(get(&receiver, "/readyz").await, json!({ "status": "ready", "role": "deliver" }));
        assert_eq!(get(&receiver, "/api/stats").await["destinations"][0]["circuit"], "closed");
        let metrics = get(&receiver, "/metrics").await;
        let metrics = metrics.as_str().unwrap();
        assert!(metrics.contains("\npylon_receiver_accepts 0\n"), "{metrics}");
        assert!(metrics.contains("\npylon_receiver_delivers 1\n"), "{metrics}");
        within("it shuts down", receiver.shutdown()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_only_accepts_needs_no_secret_of_a_destination_and_takes_orders() {
    let ledger = memory();
    let transport = HttpTransport::new("http://127.0.0.1:1/".parse().unwrap()).signing(Signing::Pylon(missing()));
    let app = DestinationConfig::new("app", TransportConfig::Http(transport)).kinds(vec!["issue_new".to_owned()]);
    let front = builder(&ledger, Role::Accept).endpoint(endpoint()).destination(app).destination(
        DestinationConfig::new("other", TransportConfig::InProcess).kinds(vec!["issue_assigned".to_owned()]),
    );
    let front = within("it starts", front.start()).await.unwrap();
    assert_eq!(front.unmet(), [""; 0]);
    assert_eq!(get(&front, "/readyz").await, json!({ "status": "ready", "role": "accept" }));
    let id = send(&front, 1).await;
    let (status, answer) = admin(&front, "POST", "/api/events/redeliver", &json!({ "ids": [id] })).await;
    assert_eq!((status, &answer["redelivered"]), (200, &json!(1)), "{answer}");
    let stats = get(&front, "/api/stats").await;
    // No circuit, since nobody here knows it; and configured all the same.
    let expected = |name, waiting| json!({ "destination": name, "waiting": waiting, "held": 0, "delivering": 0, "dead": 0, "orphaned": false });
    let mut destinations = stats["destinations"].clone();
    destinations[0].as_object_mut().unwrap().remove("oldest_due_at");
    assert_eq!(destinations, json!([expected("app", 2), expected("other", 0)]));
    let metrics = get(&front, "/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("\npylon_receiver_accepts 1\n"), "{metrics}");
    assert!(metrics.contains("\npylon_receiver_delivers 0\n"), "{metrics}");
    assert!(!metrics.contains("\npylon_receiver_circuit_open{"), "{metrics}");
    within("it shuts down", front.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_stops_gives_its_work_back_at_once() {
    let ledger = memory();
    let begun = Arc::new(Mutex::new(0));
    let counted = begun.clone();
    let stuck = handlers_of(move |_| {
        *counted.lock().unwrap() += 1;
        pending()
    });
    let mut config = Config::default().endpoints(vec![endpoint()]).listen(anywhere().into()).admin(anywhere().into());
    config.limits.shutdown_timeout = Duration::from_millis(300);
    // Its leases would last for half an hour and more.
    let destination = in_process().timeout(Duration::from_secs(1800));
    let first = builder(&ledger, Role::AcceptAndDeliver).config(config).destination(destination);
    let first = within("it starts", first.handlers("app", stuck).start()).await.unwrap();
    let id = send(&first, 1).await;
    until("its attempt is under way", || *begun.lock().unwrap() == 1).await;

    let (handlers, seen) = noting();
    let second = within("it starts", builder(&ledger, Role::Deliver).handlers("app", handlers).start()).await.unwrap();
    assert_eq!(get(&second, "/api/stats").await["destinations"][0]["delivering"], 1);
    within("it shuts down", first.shutdown()).await.unwrap();
    until("the other one has it", || !seen.lock().unwrap().is_empty()).await;
    assert_eq!(*seen.lock().unwrap(), [id]);
    within("it shuts down", second.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_reload_does_not_change_the_role() {
    let ledger = memory();
    let config = Config::default().endpoints(vec![endpoint()]).destinations(vec![in_process()]);
    let config = config.listen(anywhere().into()).admin(anywhere().into()).role(Role::Accept);
    let receiver = within("it starts", builder(&ledger, Role::Accept).config(config.clone()).start()).await.unwrap();
    let fault = receiver.reload(config.clone().role(Role::Deliver)).await.unwrap_err();
    // The program's handlers are missing only where they would be needed.
    assert!(fault.to_string().contains("expected handlers of the program, found none"), "{fault}");
    let elsewhere = HttpTransport::new("http://127.0.0.1:1/".parse().unwrap());
    let elsewhere = config.clone().destinations(vec![DestinationConfig::new("app", TransportConfig::Http(elsewhere))]);
    let fault = receiver.reload(elsewhere.clone().role(Role::Deliver)).await.unwrap_err();
    assert_eq!(fault.to_string(), "`role` cannot change while the receiver runs: restart it");
    receiver.reload(elsewhere).await.unwrap();
    within("it shuts down", receiver.shutdown()).await.unwrap();
}

#[tokio::test]
async fn sockets_for_webhooks_and_no_listener_do_not_go_together() {
    let socket = || InheritedSocket::Tcp(std::net::TcpListener::bind(anywhere()).unwrap());
    let (handlers, _) = noting();
    let builder = builder(&memory(), Role::Deliver).handlers("app", handlers);
    let fault = builder.inherited(vec![socket(), socket()]).start().await.unwrap_err();
    assert_eq!(
        fault.to_string(),
        "`role` is `deliver`: expected no socket for webhooks from the service manager, found 2; stop and disable the socket unit, \
         or let the receiver accept"
    );
}

#[test]
fn a_file_says_the_role() {
    for &role in Role::ALL {
        let config = parse(&format!("role = \"{role}\"")).unwrap();
        assert_eq!((config.role, config.endpoints.is_empty()), (role, role == Role::Deliver));
        assert_eq!(parse(&show(&config)), Ok(config));
    }
    let named = "role = \"deliver\"\n[[destination]]\nname = \"app\"\nurl = \"http://app/\"\nendpoints = [\"pylon\"]\n";
    assert_eq!(parse(named).unwrap().destinations[0].endpoints, ["pylon"]);
    assert_eq!(
        parse("role = \"delivers\"").unwrap_err().to_string(),
        "line 1: `role`: expected `accept_and_deliver`, `accept` or `deliver`, found `delivers`; did you mean `deliver`?"
    );
    // Nothing listens at `listen`.
    let same = "listen = \"127.0.0.1:8081\"\nadmin = \"127.0.0.1:8081\"\n";
    parse(&format!("role = \"deliver\"\n{same}")).unwrap();
    parse(same).unwrap_err();
}

/// What is found before a start.
struct Found {
    faults: Vec<String>,
    missing: Vec<String>,
    warnings: Vec<String>,
}

fn found(config: &Config) -> Found {
    let Preflight { faults, missing, warnings, .. } = Preflight::of(config);
    Found { faults, missing, warnings }
}

#[test]
fn a_start_looks_only_at_what_the_role_needs() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pylon.db");
    let ledger = LedgerAddress::Sqlite(path.clone());
    let transport = |url: &str| HttpTransport::new(url.parse().unwrap()).signing(Signing::Pylon(missing()));
    let to = |url| DestinationConfig::new("app", TransportConfig::Http(transport(url)));
    let config = Config::default()
        .ledger(ledger)
        .health(Some("/healthz".into()))
        .endpoints(vec![EndpointConfig::signed("/webhook", [missing()])])
        .destinations(vec![to("http://127.0.0.1:8080/")]);
    let secret = |whose: &str| {
        format!(
            "{whose}: no secret: expected one in file /nonexistent/secret, found that it cannot be read (entity not found)"
        )
    };
    let own = "destination app: `url` is the receiver's own `listen` address; use the address of your app";

    let both = found(&config);
    assert_eq!(both.faults, [own]);
    assert_eq!(both.missing, [secret("endpoint webhook"), secret("destination app")]);
    assert_eq!(both.warnings, [""; 0]);

    let accept = found(&config.clone().role(Role::Accept));
    assert_eq!(accept.faults, [own]);
    assert_eq!(accept.missing, [secret("endpoint webhook")]);
    let alone = format!(
        "nothing delivers what this receiver stores as long as it runs: `role` is `accept`, and one process at a time has the \
         ledger sqlite:{}; let this receiver deliver, or use a ledger that receivers share",
        path.display()
    );
    assert_eq!(accept.warnings, [alone]);

    let deliver = found(&config.clone().role(Role::Deliver));
    assert_eq!(deliver.faults, [""; 0]);
    assert_eq!(deliver.missing, [secret("destination app")]);
    let health = "`health`: nothing answers at `/healthz` where `role` is `deliver`; have load balancers and probes ask /readyz \
                  at the admin address";
    assert_eq!(deliver.warnings, [health]);

    let nowhere = found(&config.clone().role(Role::Accept).destinations(vec![]));
    assert_eq!(
        nowhere.faults,
        [
            "`destination`: expected at least one where `role` is `accept`, found none; give this receiver the destinations of those \
          that deliver: it makes each event's deliveries when it stores the event"
        ]
    );
}

#[test]
fn a_ledger_of_the_program_is_no_lonely_file() {
    let config = Config::default().role(Role::Accept).endpoints(vec![endpoint()]).destinations(vec![in_process()]);
    let ((), log) = logged(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let builder = builder(&memory(), Role::Accept).config(config).listen(anywhere()).admin(anywhere());
            let receiver = within("it starts", builder.start()).await.unwrap();
            within("it shuts down", receiver.shutdown()).await.unwrap();
        });
    });
    let log = log.join("\n");
    assert!(log.contains("listening") && !log.contains("nothing delivers"), "{log}");
}

#[test]
fn connections_are_counted_for_what_the_role_opens() {
    let http = HttpTransport::new("http://127.0.0.1:1/".parse().unwrap());
    let mut app = DestinationConfig::new("app", TransportConfig::Http(http));
    app.concurrency = 5000;
    let mut config = Config::default().destinations(vec![app]);
    config.limits.connections = 7000;
    let [both, accept, deliver] = [Role::AcceptAndDeliver, Role::Accept, Role::Deliver]
        .map(|role| descriptors(&config.clone().role(role)).div_euclid(1000));
    assert_eq!((both, accept, deliver), (12, 7, 5));
}

#[test]
fn the_file_of_a_ledger_is_its_own_whatever_the_role() {
    let lines = JsonLinesTransport::new("pylon.db");
    let config = Config::default()
        .role(Role::Accept)
        .endpoints(vec![endpoint()])
        .destinations(vec![DestinationConfig::new("lines", TransportConfig::JsonLines(lines))]);
    assert_eq!(found(&config).faults, ["destination lines: `jsonl` is a file of the ledger; choose another file"]);
}
