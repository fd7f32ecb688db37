//! Receivers that deliver to each other, over real connections.

use crate::wait::within;
use pylon_receiver::config::{
    Config, Deduplication, DestinationConfig, EndpointConfig, HttpTransport, LedgerAddress, SecretSource, Signing,
    TransportConfig,
};
use pylon_receiver::{Receiver, wire};
use pylon_webhooks::{Secret, sign};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SECRET: &str = "the-secret-of-the-sender";
const BODY: &str = r#"{"event_type":"issue_new"}"#;

fn config(folder: &TempDir, name: &str) -> Config {
    Config::default()
        .listen(([127, 0, 0, 1], 0).into())
        .admin(([127, 0, 0, 1], 0).into())
        .ledger(LedgerAddress::Sqlite(folder.path().join(name)))
        .endpoints(vec![EndpointConfig::signed("/webhook", [SecretSource::given(SECRET)])])
}

/// Delivers to the other receiver, signed as it asks for, and gives up soon.
fn delivering_to(config: Config, receiver: SocketAddr) -> Config {
    let url = format!("http://{receiver}/webhook").parse().unwrap();
    let transport = HttpTransport::new(url).signing(Signing::Pylon(SecretSource::given(SECRET)));
    let mut destination = DestinationConfig::new("next", TransportConfig::Http(transport));
    (destination.retry.attempts, destination.retry.first_delay) = (3, Duration::from_millis(1));
    config.destinations(vec![destination])
}

async fn ask(address: SocketAddr, request: String) -> String {
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    within("it answers and closes", asking).await
}

async fn webhook(receiver: &Receiver) {
    let signature = sign(&Secret::new(SECRET).unwrap(), BODY.as_bytes(), None);
    let head = format!("POST /webhook HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Pylon-Signature: {signature}\r\n");
    let answer =
        ask(receiver.webhooks().unwrap().ip().unwrap(), format!("{head}Content-Length: {}\r\n\r\n{BODY}", BODY.len()))
            .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// How many events the receiver keeps, how many of its deliveries are unfinished, and how many are dead.
async fn stats(receiver: &Receiver) -> (u64, u64, u64) {
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", wire::path::STATS);
    let answer = ask(receiver.admin().ip().unwrap(), request).await;
    let stats: wire::Stats = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let sum =
        |count: fn(&wire::DestinationStats) -> u64| stats.destinations.iter().map(|there| count(&there.stats)).sum();
    (stats.events, sum(|left| left.waiting + left.held + left.delivering), sum(|left| left.dead))
}

/// Starts receivers, each of which delivers to the next one, and the last one to the first; sends one event. Gives the events and the
/// dead deliveries of each, once nothing is under way.
async fn ring(receivers: usize) -> Vec<(u64, u64)> {
    let folder = TempDir::new().unwrap();
    let mut ring: Vec<Receiver> = Vec::new();
    for number in 0..receivers {
        let mut config = config(&folder, &number.to_string());
        // From the last one on: each knows the next one's address.
        if let Some(next) = ring.last() {
            config = delivering_to(config, next.webhooks().unwrap().ip().unwrap());
        }
        ring.push(within("it starts", Receiver::builder().config(config).start()).await.unwrap());
    }
    let (last, first) = (&ring[0], ring.last().unwrap());
    let closed = delivering_to(config(&folder, "0"), first.webhooks().unwrap().ip().unwrap());
    within("it reloads", last.reload(closed)).await.unwrap();
    webhook(first).await;
    let is_quiet = async || {
        let mut left = 0;
        for receiver in &ring {
            left += stats(receiver).await.1;
        }
        let (_, _, dead) = stats(last).await;
        left == 0 && dead > 0
    };
    within("the event stops", async {
        while !is_quiet().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut found = Vec::new();
    for receiver in ring.iter().rev() {
        let (events, _, dead) = stats(receiver).await;
        found.push((events, dead));
    }
    for receiver in ring {
        within("it shuts down", receiver.shutdown()).await.unwrap();
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_goes_round_a_ring_of_receivers_once() {
    for receivers in [1, 2, 3] {
        let found = ring(receivers).await;
        let expected: Vec<_> = (1..=receivers).map(|number| (1, u64::from(number == receivers))).collect();
        assert_eq!(found, expected, "each keeps it once, and the last one's delivery is refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_redelivers_goes_on_to_the_next_receiver() {
    let folder = TempDir::new().unwrap();
    let mut config_of_next = config(&folder, "next");
    // Two deliveries of one second have one signature.
    config_of_next.endpoints[0].deduplication = Deduplication::Off;
    let next = within("it starts", Receiver::builder().config(config_of_next).start()).await.unwrap();
    let config = delivering_to(config(&folder, "first"), next.webhooks().unwrap().ip().unwrap());
    let first = within("it starts", Receiver::builder().config(config).start()).await.unwrap();
    webhook(&first).await;
    let order = "{\"all\":true}";
    let head = format!("POST {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", wire::path::EVENTS_REDELIVER);
    let order = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{order}", order.len());
    assert!(ask(first.admin().ip().unwrap(), order).await.contains("\"redelivered\":1"));
    within("both deliveries arrive", async {
        while stats(&next).await.0 < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for receiver in [first, next] {
        within("it shuts down", receiver.shutdown()).await.unwrap();
    }
}
