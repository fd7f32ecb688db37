//! The end of a receiver whose database says nothing any more.

use super::{address, record};
use crate::wait::within;
use pylon_receiver::Receiver;
use pylon_receiver::config::{Config, DestinationConfig, EndpointConfig, HttpTransport, SecretSource, TransportConfig};
use pylon_receiver::ledger::{Ledger, LedgerError, PostgresLedger, PostgresOptions};
use pylon_test_support::http::nowhere;
use pylon_test_support::postgres::Cluster;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_holds_up_no_shutdown() {
    let Some(cluster) = Cluster::start() else { return };
    let url = cluster.url(&cluster.fresh_database());
    let options = PostgresOptions { clean_up_every: Duration::from_millis(10), ..PostgresOptions::default() };
    let ledger: Arc<dyn Ledger> = Arc::new(PostgresLedger::connect(&address(&url), options).await.unwrap());
    record(&*ledger, 1).await.unwrap();
    let app = HttpTransport::new(format!("http://{}/", nowhere()).parse().unwrap());
    let mut config = Config::default()
        .endpoints(vec![EndpointConfig::signed("/webhook", [SecretSource::given("the-secret-of-the-sender")])])
        .destinations(vec![DestinationConfig::new("app", TransportConfig::Http(app))]);
    config.limits.shutdown_timeout = Duration::from_secs(3);
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let builder = Receiver::builder().config(config).listen(anywhere).admin(anywhere).ledger(ledger);
    let receiver = within("it starts", builder.start()).await.unwrap();
    cluster.freeze();
    let began = Instant::now();
    let ended = within("it shuts down", receiver.shutdown()).await;
    let took = began.elapsed();
    cluster.thaw();
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(matches!(&ended, Err(LedgerError::Unreachable(said)) if said.contains("close")), "{ended:?}");
}
