//! A ledger in a schema of its own, a second handle of it, and a session beside it.

use crate::ledger::contract::{Ask, Draft, attempt, claim, event, owner};
use crate::ledger::postgres::url;
use futures_util::future::join_all;
use pylon_receiver::ledger::*;
use pylon_receiver::{EventId, PostgresAddress};
use pylon_test_support::postgres::Cluster;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// Nothing that a test waits for takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// A ledger's tables, and a session that looks at them.
pub(super) struct Stage {
    url: String,
    schema: String,
    pub(super) session: Client,
}

impl Stage {
    /// An empty ledger in the database that these tests share; none where PostgreSQL is missing.
    pub(super) async fn open() -> Option<Self> {
        Cluster::shared()?;
        Some(Self::at(url()).await)
    }

    /// An empty ledger in this database.
    pub(super) async fn at(url: &str) -> Self {
        let schema = format!("stage_{:016x}", fastrand::u64(..));
        let address: PostgresAddress = format!("{url}&schema={schema}").parse().unwrap();
        PostgresLedger::connect(&address, PostgresOptions::default()).await.unwrap().close().await.unwrap();
        Self { url: url.to_owned(), session: connect(url, &schema).await, schema }
    }

    /// A handle of the ledger.
    pub(super) async fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger_with(PostgresOptions::default()).await
    }

    pub(super) async fn ledger_with(&self, options: PostgresOptions) -> Arc<dyn Ledger> {
        self.handle("pylon-receiver", options).await
    }

    /// A handle whose sessions have this name.
    pub(super) async fn ledger_called(&self, name: &str) -> Arc<dyn Ledger> {
        self.handle(&name.replace(' ', "%20"), PostgresOptions::default()).await
    }

    async fn handle(&self, name: &str, options: PostgresOptions) -> Arc<dyn Ledger> {
        let Self { url, schema, .. } = self;
        let address: PostgresAddress = format!("{url}&schema={schema}&application_name={name}").parse().unwrap();
        Arc::new(PostgresLedger::connect(&address, options).await.unwrap())
    }

    /// A handle by another URL of the database, which has parameters and no schema.
    pub(super) async fn ledger_by(&self, url: &str, options: PostgresOptions) -> Arc<dyn Ledger> {
        let address: PostgresAddress = format!("{url}&schema={}", self.schema).parse().unwrap();
        Arc::new(PostgresLedger::connect(&address, options).await.unwrap())
    }

    /// Another session.
    pub(super) async fn another_session(&self) -> Client {
        connect(&self.url, &self.schema).await
    }

    /// A number that SQL tells.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        self.session.query_one(&format!("SELECT ({sql})::bigint"), &[]).await.unwrap().get(0)
    }

    pub(super) async fn sql(&self, sql: &str) {
        self.session.batch_execute(sql).await.unwrap();
    }

    /// Waits until SQL tells true.
    pub(super) async fn until(&self, what: &str, sql: &str) {
        let end = Instant::now() + LONGEST;
        while !self.session.query_one(&format!("SELECT coalesce(({sql}), false)"), &[]).await.unwrap().get::<_, bool>(0)
        {
            assert!(Instant::now() < end, "{what}: not within {} s", LONGEST.as_secs());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until so many other sessions wait for a lock that this one has.
    pub(super) async fn until_waiting_for(&self, holder: &Client, count: i64) {
        let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let waiting =
            format!("SELECT count(*) >= {count} FROM pg_stat_activity WHERE {pid} = ANY(pg_blocking_pids(pid))");
        self.until("somebody waits for the lock", &waiting).await;
    }

    /// Keeps an event with a delivery to "app", which ends like this.
    pub(super) async fn ended(&self, ledger: &dyn Ledger, event: NewEvent, verdict: Verdict) -> EventId {
        let id = event.id;
        assert_eq!(ledger.record(event.to("app")).await, Ok(Recorded::Stored));
        for leased in ledger.exchange(claim(0).exchange()).await.unwrap().claimed.deliveries {
            settle(ledger, leased.lease, verdict.clone()).await;
        }
        id
    }

    /// Whether the numbers that the ledger tells are those of its rows.
    pub(super) async fn check_numbers(&self, ledger: &dyn Ledger) {
        let stats = ledger.stats().await.unwrap();
        assert_eq!(stats.events as i64, self.number("SELECT count(*) FROM events").await);
        assert_eq!(stats.parked as i64, self.number("SELECT count(*) FROM events WHERE parked IS NOT NULL").await);
        let counts = "
            SELECT destination, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1),
                   count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 4)
            FROM (SELECT destination, state FROM open UNION ALL SELECT destination, state FROM finished WHERE state = 4) AS deliveries
            GROUP BY destination ORDER BY destination";
        let counted = self.session.query(counts, &[]).await.unwrap();
        let counted: Vec<_> = counted
            .iter()
            .map(|row| (row.get::<_, String>(0), [1, 2, 3, 4].map(|column| row.get::<_, i64>(column) as u64)))
            .collect();
        let told =
            stats.destinations.into_iter().map(|of| (of.destination, [of.waiting, of.held, of.delivering, of.dead]));
        assert_eq!(told.collect::<Vec<_>>(), counted);
    }
}

async fn connect(url: &str, schema: &str) -> Client {
    let (session, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    session.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    session
}

pub(super) async fn settle(ledger: &dyn Ledger, lease: Lease, verdict: Verdict) {
    let settlement = Settlement { lease, verdict, attempt: Some(attempt(200, "an answer")) };
    let exchange = Exchange { destination: "app".into(), settlements: vec![settlement], claim: None };
    assert_eq!(ledger.exchange(exchange).await.unwrap().settled, [Settled::Recorded]);
}

/// An event that differs from those with another number.
pub(super) fn numbered(number: u32) -> NewEvent {
    let [a, b, c, d] = number.to_be_bytes();
    let received_at = event(0).id.received_at();
    NewEvent { id: EventId::new(received_at, [0, 0, 0, 0, 0, 0, a, b, c, d]), ..event(0) }
}

/// Keeps many events at once.
pub(super) async fn keep_all(ledger: &Arc<dyn Ledger>, events: impl IntoIterator<Item = NewEvent>) -> Vec<EventId> {
    let mut ids = Vec::new();
    let mut events = events.into_iter();
    loop {
        let together: Vec<NewEvent> = events.by_ref().take(2000).collect();
        if together.is_empty() {
            return ids;
        }
        ids.extend(together.iter().map(|event| event.id));
        for recorded in join_all(together.into_iter().map(|event| ledger.record(event))).await {
            assert_eq!(recorded, Ok(Recorded::Stored));
        }
    }
}

/// Has everything that is due at "app" end like this; says how many there were.
pub(super) async fn deliver_all(ledger: &dyn Ledger, verdict: &Verdict) -> usize {
    let (mut settlements, mut all) = (Vec::new(), 0);
    loop {
        let ask = Ask { free: 500, most_repeats: 500, owner: owner(1), ..claim(0) };
        let exchange = Exchange { settlements: std::mem::take(&mut settlements), ..ask.exchange() };
        let exchanged = ledger.exchange(exchange).await.unwrap();
        assert!(exchanged.settled.iter().all(|settled| *settled == Settled::Recorded));
        let leased = exchanged.claimed.deliveries;
        if leased.is_empty() {
            return all;
        }
        all += leased.len();
        settlements.extend(leased.into_iter().map(|leased| Settlement {
            lease: leased.lease,
            verdict: verdict.clone(),
            attempt: Some(attempt(200, "an answer")),
        }));
    }
}
