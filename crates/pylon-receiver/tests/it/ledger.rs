//! The contract of [`Ledger`](pylon_receiver::ledger::Ledger), held against every implementation, and against the plain model that
//! it is compared with.

pub(crate) mod by_hand;
pub(crate) mod contract;
mod copy;
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
            let options = SqliteOptions { refused: REFUSED, clock, indexed_together: 2, ..SqliteOptions::default() };
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

/// The ledger in a SQLite file that moves into another file at each crash.
struct MovingSubject {
    ledger: SqliteSubject,
    moves: u32,
}

impl Subject for MovingSubject {
    async fn fresh(clock: Hands) -> Self {
        Self { ledger: SqliteSubject::fresh(clock).await, moves: 0 }
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.ledger()
    }

    fn second(&self) -> Arc<dyn Ledger> {
        self.ledger.second()
    }

    async fn crash(&mut self) {
        let SqliteSubject { ledger, folder, clock } = &mut self.ledger;
        // Whoever is about to let it go has done so once it can be opened.
        *ledger = None;
        drop(SqliteSubject::start(folder, clock).await);
        let (from, to) = (folder.path().join("pylon.db"), folder.path().join("next.db"));
        copy::moved(&from, &to, clock).await;
        let connection = rusqlite::Connection::open(&to).unwrap();
        // Who prunes is not moved, but the model goes on with it. Both ledgers have just been written; their times differ.
        let from = from.to_str().unwrap();
        connection.execute("ATTACH ?1 AS old", [from]).unwrap();
        connection
            .execute(
                "INSERT INTO main.chores (name, owner, until_ms, place)
                 SELECT name, owner, until_ms - (SELECT latest_ms FROM old.ledger) + (SELECT latest_ms FROM main.ledger), place
                 FROM old.chores",
                [],
            )
            .unwrap();
        drop(connection);
        self.moves += 1;
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if name.starts_with("pylon.db") {
                std::fs::remove_file(&file).unwrap();
            }
        }
        std::fs::rename(&to, folder.path().join("pylon.db")).unwrap();
        *ledger = Some(SqliteSubject::start(folder, clock).await);
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

mod moving {
    super::contract::tests! { crate::ledger::MovingSubject:
        record: [
            a_caller_that_lost_its_answer_may_ask_again
        ]
        claim: [
            no_two_leases_have_one_token
        ]
        order: [
            a_line_is_kept_through_a_crash
        ]
        interrupt: [
            the_first_interruption_costs_nothing
            what_is_interrupted_again_and_again_is_dead
        ]
        keep: [
            everything_is_there_after_a_crash
            a_crash_frees_leases_and_fences_those_who_had_them
        ]
    }

    #[test]
    fn it_answers_as_the_model_does_whatever_is_asked() {
        crate::ledger::properties::check::<crate::ledger::MovingSubject>();
    }
}
