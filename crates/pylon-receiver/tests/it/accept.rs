//! From the socket to the ledger, over real connections.

mod bodies;
mod commits;
mod connections;
mod deduplication;
mod encodings;
mod fake_ledger;
mod half_closed;
mod loops;
mod not_http;
mod peer;
mod refusals;
mod routes;
mod secrets;
mod sources;
mod stop;
mod stored;
mod table;
mod tls;

use crate::wait::{until, within};
use fake_ledger::FakeLedger;
use peer::{Answer, Peer};
use pylon_receiver::Moment;
use pylon_receiver::config::{
    Config, Deduplication, DestinationConfig, EndpointConfig, JsonLinesTransport, SecretSource, TransportConfig,
};
use pylon_receiver::internals::{
    Acceptor, AcceptorParts, Listener, ListenerLimits, Metrics, Refreshed, Stopped, TlsKeys,
};
use pylon_receiver::ledger::{LedgerError, NewEvent, NewRefused};
use pylon_test_support::log::logged;
use pylon_webhooks::Secret;
use pylon_webhooks::testing::signed_headers;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SECRET: &str = "test-secret";
/// In Unix seconds.
const NOW: u64 = 1_700_000_000;
/// Any free port of this machine.
const HERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
/// How long a limit is that is to be met.
const SHORT: Duration = Duration::from_millis(60);
/// Longer than any test takes, its waits in vain included.
const LONG: Duration = Duration::from_secs(60);

/// An endpoint at `/webhook`, and one destination, `app`, that takes everything.
fn config() -> Config {
    Config::default()
        .endpoints(vec![EndpointConfig::signed("/webhook", [SecretSource::given(SECRET)])])
        .destinations(vec![destination("app")])
}

fn destination(name: &str) -> DestinationConfig {
    DestinationConfig::new(name, TransportConfig::JsonLines(JsonLinesTransport::new("unused")))
}

/// A receiver's front, at work.
struct Front {
    acceptor: Arc<Acceptor>,
    ledger: Arc<FakeLedger>,
    metrics: Arc<Metrics>,
    /// In Unix milliseconds.
    now: Arc<AtomicI64>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Stopped>,
}

impl Front {
    async fn new(config: &Config) -> Self {
        Self::with_tls(config, None).await
    }

    async fn with_tls(config: &Config, keys: Option<Arc<TlsKeys>>) -> Self {
        let (ledger, metrics) = (Arc::new(FakeLedger::default()), Arc::new(Metrics::new()));
        let now = Arc::new(AtomicI64::new(NOW as i64 * 1000));
        let (clock, drawn) = (now.clone(), AtomicU8::new(0));
        let parts = AcceptorParts {
            ledger: ledger.clone(),
            metrics: metrics.clone(),
            recorder: Arc::default(),
            clock: Arc::new(move || Moment::from_unix_milliseconds(clock.load(Ordering::Relaxed))),
            randomness: Arc::new(move |bytes: &mut [u8]| bytes.fill(drawn.fetch_add(1, Ordering::Relaxed))),
        };
        let acceptor = Arc::new(Acceptor::new(config, parts));
        let limits = ListenerLimits::from(&config.limits);
        let mut listener = Listener::bind("listen", &HERE.into(), limits, metrics.clone()).await.unwrap();
        if let Some(keys) = keys {
            listener = listener.with_tls(keys);
        }
        let address = listener.addresses().unwrap()[0].ip().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (answering, shutdown_timeout) = (acceptor.clone(), config.limits.shutdown_timeout);
        let running = tokio::spawn(listener.run(
            move |request, remote| {
                let acceptor = answering.clone();
                async move { acceptor.answer(request, remote).await }
            },
            async move {
                _ = stopped.await;
                Instant::now() + shutdown_timeout
            },
        ));
        Self { acceptor, ledger, metrics, now, address, stop: Some(stop), running }
    }

    fn reload(&self, config: &Config) {
        self.acceptor.install(Acceptor::prepare(config));
    }

    async fn connect(&self) -> Peer {
        Peer::connect(self.address).await
    }

    /// A connection from the address of loopback with this number.
    async fn connect_from(&self, number: u8) -> Peer {
        Peer::connect_from(number, self.address).await
    }

    /// The answer to a request on a connection of its own.
    async fn ask(&self, request: &[u8]) -> Answer {
        let mut peer = self.connect().await;
        peer.send(request).await;
        peer.answer().await
    }

    async fn post(&self, headers: &[(String, String)], body: &[u8]) -> Answer {
        self.ask(&request("POST", "/webhook", headers, body)).await
    }

    /// The answer to an authentic webhook.
    async fn webhook(&self, body: &str) -> Answer {
        self.post(&signed(body.as_bytes()), body.as_bytes()).await
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    fn events(&self) -> Vec<NewEvent> {
        self.ledger.events.lock().unwrap().clone()
    }

    /// The only event that was kept.
    #[track_caller]
    fn event(&self) -> NewEvent {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    fn refused(&self) -> Vec<NewRefused> {
        self.ledger.refused.lock().unwrap().clone()
    }

    /// The only request that was refused.
    #[track_caller]
    fn refusal(&self) -> NewRefused {
        let mut refused = self.refused();
        assert_eq!(refused.len(), 1, "{refused:?}");
        refused.remove(0)
    }

    fn counted(&self, line: &str) -> bool {
        self.metrics.encode().unwrap().lines().any(|counted| counted == line)
    }
}

/// The line of a counter in the metrics.
fn refused_connection(cause: &str, count: u32) -> String {
    format!("pylon_receiver_connections_refused_total{{listener=\"listen\",cause=\"{cause}\"}} {count}")
}

/// A request as it stands on the wire.
fn request(method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut lines = format!("{method} {path} HTTP/1.1\r\nHost: receiver\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        lines += &format!("{name}: {value}\r\n");
    }
    [lines.as_bytes(), b"\r\n", body].concat()
}

fn signed(body: &[u8]) -> Vec<(String, String)> {
    signed_headers(&Secret::new(SECRET).unwrap(), body, None)
}

fn signed_at(body: &[u8], timestamp: u64) -> Vec<(String, String)> {
    signed_headers(&Secret::new(SECRET).unwrap(), body, Some(timestamp))
}

fn header(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.into(), value.into())]
}

/// Runs on this thread alone, whose log it gives as well.
fn run<T>(test: impl Future<Output = T>) -> (T, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    logged(|| runtime.block_on(async { tokio::time::timeout(LONG, test).await.expect("the test takes too long") }))
}
