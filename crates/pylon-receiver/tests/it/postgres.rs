//! The ledger on PostgreSQL, beyond the contract: what several sessions do to each other, what it costs, and how it meets the world:
//! addresses, connections, servers that come and go, standbys.

mod address;
mod batches;
mod broken_off;
mod chores;
mod claim_plans;
mod closing;
mod connect;
mod damage;
mod durability;
mod fence;
mod held_up;
mod listener;
mod lists;
mod lock;
mod lost;
mod migrate;
mod order_plans;
mod orders;
mod place;
mod plans;
pub(crate) mod proxy;
mod refused;
mod retention;
mod scale;
mod stage;
mod stop;
mod stranded;
mod terms;
mod tls;
mod trip;

use pylon_receiver::PostgresAddress;
use pylon_receiver::ledger::{Ledger, LedgerError, PostgresLedger, PostgresOptions};
use std::time::{Duration, Instant};

/// The address in this URL, and nothing from the environment.
#[track_caller]
fn address(url: &str) -> PostgresAddress {
    PostgresAddress::read(url, |_| None).unwrap()
}

/// A ledger with every default.
async fn connect(url: &str) -> Result<PostgresLedger, LedgerError> {
    PostgresLedger::connect(&address(url), PostgresOptions::default()).await
}

/// Why the ledger cannot be reached, without what is said of all that cannot.
#[track_caller]
fn unreachable<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> String {
    match result.unwrap_err() {
        LedgerError::Unreachable(found) => found.into(),
        other => panic!("expected it to be unreachable, found {other:?}"),
    }
}

/// Asks until it succeeds; says how long that took.
async fn until_it_works<T, W: Future<Output = Result<T, LedgerError>>>(mut work: impl FnMut() -> W) -> (T, Duration) {
    let began = Instant::now();
    loop {
        match work().await {
            Ok(done) => return (done, began.elapsed()),
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Records an event that came in so many seconds after the tests began.
async fn record(ledger: &dyn Ledger, seconds: i64) -> Result<(), LedgerError> {
    ledger.record(crate::ledger::contract::event(seconds)).await.map(drop)
}
