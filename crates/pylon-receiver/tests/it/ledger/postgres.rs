//! The ledger on PostgreSQL, held against the contract: each test has a schema of its own, whose clock is that of the test.

use super::contract::{Ask, Hands, REFUSED, Subject, claim};
use pylon_receiver::PostgresAddress;
use pylon_receiver::ledger::{Ledger, PostgresLedger, PostgresOptions};
use pylon_test_support::postgres::Cluster;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

pub(crate) struct PostgresSubject {
    ledger: Option<Arc<dyn Ledger>>,
    second: Option<Arc<dyn Ledger>>,
    schema: String,
    /// With the copy of the clock.
    _folder: TempDir,
}

/// A database for all of these tests, in which each has a schema.
pub(crate) fn url() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let cluster = Cluster::shared().expect("`is_here` was asked before");
        cluster.url(&cluster.fresh_database())
    })
}

/// A connection beside the ledger, in its schema.
async fn beside(schema: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    client
}

impl PostgresSubject {
    /// A connection beside the ledger, in its schema.
    pub(crate) async fn beside(&self) -> Client {
        beside(&self.schema).await
    }

    /// A handle of the ledger by this address, which has no schema.
    pub(crate) async fn by(&self, url: &str, options: PostgresOptions) -> Arc<dyn Ledger> {
        let address: PostgresAddress = format!("{url}&schema={}", self.schema).parse().unwrap();
        let options = PostgresOptions { refused: REFUSED, ..options };
        Arc::new(PostgresLedger::connect(&address, options).await.unwrap())
    }

    async fn connect(schema: &str) -> Arc<dyn Ledger> {
        Arc::new(Self::connect_itself(schema).await)
    }

    async fn connect_itself(schema: &str) -> PostgresLedger {
        let options = PostgresOptions { refused: REFUSED, indexed_together: 2, ..PostgresOptions::default() };
        let address: PostgresAddress = format!("{}&schema={schema}", url()).parse().unwrap();
        PostgresLedger::connect(&address, options).await.unwrap()
    }

    /// One more handle, as what it is.
    pub(crate) async fn itself(&self) -> PostgresLedger {
        Self::connect_itself(&self.schema).await
    }
}

impl Subject for PostgresSubject {
    fn is_here() -> bool {
        Cluster::shared().is_some()
    }

    async fn fresh(clock: Hands) -> Self {
        let folder = TempDir::new().unwrap();
        let copy = folder.path().join("clock");
        // The server, which is another user, reads it.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        clock.copy_to(copy.clone());
        let schema = format!("contract_{:016x}", fastrand::u64(..));
        let ledger = Self::connect(&schema).await;
        let replace = format!(
            "CREATE OR REPLACE FUNCTION wall_ms() RETURNS bigint LANGUAGE sql STABLE AS $$SELECT pg_read_file('{}')::bigint$$;
             UPDATE clock SET ahead_ms = 0, latest_ms = 0;",
            copy.display()
        );
        beside(&schema).await.batch_execute(&replace).await.unwrap();
        let second = Self::connect(&schema).await;
        Self { ledger: Some(ledger), second: Some(second), schema, _folder: folder }
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone().unwrap()
    }

    fn second(&self) -> Arc<dyn Ledger> {
        self.second.clone().unwrap()
    }

    /// Nobody sees a receiver die: its leases end when their time is over.
    async fn crash(&mut self) {
        (self.ledger, self.second) = (None, None);
        let ledger = Self::connect(&self.schema).await;
        let client = beside(&self.schema).await;
        let leased = client
            .query("UPDATE open SET lease_until = tick() WHERE state = 2 RETURNING destination", &[])
            .await
            .unwrap();
        for row in leased {
            let ask = Ask { destination: row.get::<_, &str>(0).into(), free: 0, ahead: 0, ..claim(0) };
            ledger.exchange(ask.exchange()).await.unwrap();
        }
        self.second = Some(Self::connect(&self.schema).await);
        self.ledger = Some(ledger);
    }
}
