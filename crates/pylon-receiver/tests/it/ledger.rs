//! The contract of [`Ledger`](pylon_receiver::ledger::Ledger), held against every implementation, and against the plain model that
//! it is compared with.

pub(crate) mod contract;
pub(crate) mod memory;
mod model;
mod operation;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod properties;
mod race;
pub(crate) mod switch;

use contract::{Hands, REFUSED, Subject, contract};
use memory::MemoryLedger;
use pylon_receiver::ledger::{Ledger, LedgerError, SpoolOptions, SpooledLedger, SqliteLedger, SqliteOptions};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The model itself.
struct MemorySubject(Arc<MemoryLedger>);

impl Subject for MemorySubject {
    async fn fresh(clock: Hands) -> Self {
        Self(Arc::new(MemoryLedger::new(REFUSED, Arc::new(clock))))
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.0.clone()
    }

    fn second(&self) -> Arc<dyn Ledger> {
        Arc::new(self.0.shared())
    }

    async fn crash(&mut self) {
        self.0 = Arc::new(self.0.crashed());
    }
}

/// The ledger in a SQLite file.
struct SqliteSubject {
    /// None while it is down.
    ledger: Option<Arc<dyn Ledger>>,
    folder: TempDir,
    clock: Hands,
}

impl SqliteSubject {
    /// What served the file may still be about to let it go.
    async fn start(folder: &TempDir, clock: &Hands) -> Arc<dyn Ledger> {
        for _ in 0..1000 {
            let clock = Arc::new(clock.clone());
            let options = SqliteOptions { refused: REFUSED, clock, ..SqliteOptions::default() };
            match SqliteLedger::open(folder.path().join("pylon.db"), options) {
                Ok(ledger) => return Arc::new(ledger),
                Err(LedgerError::InUse(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the file is never let go");
    }
}

impl Subject for SqliteSubject {
    async fn fresh(clock: Hands) -> Self {
        let folder = TempDir::new().unwrap();
        Self { ledger: Some(Self::start(&folder, &clock).await), folder, clock }
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone().unwrap()
    }

    /// One process has the file, by one handle.
    fn second(&self) -> Arc<dyn Ledger> {
        self.ledger()
    }

    async fn crash(&mut self) {
        // To the tables it is the same: nothing is told to them that the ledger ends.
        self.ledger = None;
        self.ledger = Some(Self::start(&self.folder, &self.clock).await);
    }
}

/// The model with a spool in front of it, which stays empty.
struct SpooledSubject {
    /// None while it is down.
    ledger: Option<Arc<dyn Ledger>>,
    beyond: Arc<MemoryLedger>,
    folder: TempDir,
    clock: Hands,
}

impl SpooledSubject {
    /// What had the spool may still be about to let it go.
    async fn start(folder: &TempDir, clock: &Hands, beyond: &Arc<MemoryLedger>) -> Arc<dyn Ledger> {
        for _ in 0..1000 {
            let options = SpoolOptions { clock: Arc::new(clock.clone()), ..SpoolOptions::default() };
            let beyond = beyond.clone();
            let connect = move || std::future::ready(Ok(beyond.clone() as Arc<dyn Ledger>));
            match SpooledLedger::start(folder.path().join("spool.db"), options, connect).await {
                Ok(ledger) => return Arc::new(ledger),
                Err(LedgerError::InUse(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the file is never let go");
    }
}

impl Subject for SpooledSubject {
    async fn fresh(clock: Hands) -> Self {
        let beyond = Arc::new(MemoryLedger::new(REFUSED, Arc::new(clock.clone())));
        let folder = TempDir::new().unwrap();
        Self { ledger: Some(Self::start(&folder, &clock, &beyond).await), beyond, folder, clock }
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone().unwrap()
    }

    fn second(&self) -> Arc<dyn Ledger> {
        Arc::new(self.beyond.shared())
    }

    async fn crash(&mut self) {
        self.ledger = None;
        self.beyond = Arc::new(self.beyond.crashed());
        self.ledger = Some(Self::start(&self.folder, &self.clock, &self.beyond).await);
    }
}

/// Makes the tests that race a [`Subject`].
macro_rules! races {
    ($subject:ty: $($promise:ident)*) => {
        mod raced {
            $(
                #[test]
                fn $promise() {
                    $crate::ledger::race::race::<$subject>($crate::ledger::race::$promise);
                }
            )*
        }
    };
}

use races;

mod sqlite {
    super::contract!(crate::ledger::SqliteSubject);
    super::races!(crate::ledger::SqliteSubject: order deduplication idempotence retention);

    #[test]
    fn it_answers_as_the_model_does_whatever_is_asked() {
        crate::ledger::properties::check::<crate::ledger::SqliteSubject>();
    }
}

mod behind_a_spool {
    super::contract!(crate::ledger::SpooledSubject);
    super::races!(crate::ledger::SpooledSubject: order deduplication idempotence retention);
}

mod in_memory {
    super::contract!(crate::ledger::MemorySubject);
    super::races!(crate::ledger::MemorySubject: order deduplication idempotence retention);

    #[test]
    fn it_answers_as_the_model_does_whatever_is_asked() {
        crate::ledger::properties::check::<crate::ledger::MemorySubject>();
    }
}

#[cfg(feature = "postgres")]
mod on_postgres {
    super::contract!(crate::ledger::postgres::PostgresSubject);
    super::races!(crate::ledger::postgres::PostgresSubject: order deduplication idempotence retention);

    #[test]
    fn it_answers_as_the_model_does_whatever_is_asked() {
        crate::ledger::properties::check::<crate::ledger::postgres::PostgresSubject>();
    }
}
