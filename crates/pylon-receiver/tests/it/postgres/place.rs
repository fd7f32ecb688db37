//! A ledger, and a handle of it behind a proxy that can cut connections.

use super::proxy::Proxy;
use crate::ledger::contract::{Desk, claim};
use crate::ledger::postgres::{PostgresSubject, url};
use pylon_receiver::ledger::{Claimed, Exchange, LeasedDelivery, Ledger, LedgerError, PostgresOptions};
use pylon_test_support::postgres::Cluster;
use pylon_test_support::wait::PATIENCE;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The database of these tests.
pub(super) fn database() -> &'static str {
    let (address, _) = url().split_once('?').expect("it has parameters");
    address.rsplit('/').next().expect("there is a last part")
}

/// A ledger of its own, and a handle of it behind a proxy.
pub(super) struct Place {
    pub(super) desk: Desk<PostgresSubject>,
    pub(super) proxy: Proxy,
    pub(super) behind: Arc<dyn Ledger>,
}

impl Place {
    /// None where PostgreSQL is missing, which is said.
    pub(super) async fn new() -> Option<Self> {
        Self::with(PostgresOptions::default()).await
    }

    pub(super) async fn with(options: PostgresOptions) -> Option<Self> {
        let cluster = Cluster::shared()?;
        let desk = Desk::<PostgresSubject>::open().await;
        let proxy = Proxy::to(cluster);
        let behind = desk.subject().by(&proxy.url_as("postgres", database()), options).await;
        Some(Self { desk, proxy, behind })
    }

    /// What the SQL selects: one number.
    pub(super) async fn count(&self, sql: &str) -> i64 {
        self.desk.subject().beside().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until the SQL selects this number.
    pub(super) async fn until(&self, sql: &str, expected: i64) {
        let beside = self.desk.subject().beside().await;
        let began = Instant::now();
        loop {
            let found: i64 = beside.query_one(sql, &[]).await.unwrap().get(0);
            if found == expected {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "still {found}: {sql}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Claims behind the proxy until so many are leased: the transaction of a connection that was cut may take a moment to end.
    pub(super) async fn claim(&self, exchange: Exchange, count: usize) -> Claimed {
        let began = Instant::now();
        let mut all = Claimed::default();
        while all.deliveries.len() < count {
            assert!(began.elapsed() < PATIENCE, "only these: {all:#?}");
            let claimed = match self.behind.exchange(exchange.clone()).await {
                Ok(exchanged) => exchanged.claimed,
                // The end of a connection may be found out by its use.
                Err(LedgerError::Unreachable(_)) => continue,
                Err(error) => panic!("{error}"),
            };
            all.deliveries.extend(claimed.deliveries);
            tokio::time::sleep(claimed.next_due.unwrap_or(Duration::ZERO).min(Duration::from_millis(10))).await;
        }
        all
    }

    /// A lease behind the proxy of the one delivery to "app" that is due at the beginning.
    pub(super) async fn lease(&self) -> LeasedDelivery {
        self.claim(claim(0).exchange(), 1).await.deliveries.remove(0)
    }
}
