//! A ledger with a spool in front of it: what happens while it is away, and when it is back.

mod bounds;
mod drain;
mod duplicates;
mod flapping;
mod ledger_of_its_own;
mod receiver;
mod refused;
mod start;
mod status;
mod stop;
mod ways;

use crate::ledger::contract::{Hands, all};
use crate::ledger::switch::{Switch, Way};
use crate::wait::until;
use pylon_receiver::EventId;
use pylon_receiver::ledger::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(3600);

/// A spool in front of a ledger that can be made to go away, and the clock of both.
struct Stage {
    folder: TempDir,
    clock: Hands,
    beyond: Switch,
    options: SpoolOptions,
}

impl Stage {
    /// The ledger is there. Once it is away, it is asked again soon.
    fn new() -> Self {
        let clock = Hands::new();
        let options = SpoolOptions {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(10),
            reminder: NEVER,
            clock: Arc::new(clock.clone()),
            ..SpoolOptions::default()
        };
        Self { folder: TempDir::new().unwrap(), beyond: Switch::new(clock.clone()), clock, options }
    }

    /// Once it was away, nobody asks it any more.
    fn patient() -> Self {
        let mut stage = Self::new();
        (stage.options.first_pause, stage.options.longest_pause) = (NEVER, NEVER);
        stage
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("spool.db")
    }

    async fn try_start(&self) -> Result<Arc<SpooledLedger>, LedgerError> {
        let beyond = self.beyond.clone();
        let connect = move || {
            let beyond = beyond.clone();
            async move {
                beyond.check().await?;
                Ok(beyond.connected())
            }
        };
        SpooledLedger::start(self.path(), self.options.clone(), connect).await.map(Arc::new)
    }

    /// What had the spool before may still be about to let it go.
    async fn start(&self) -> Arc<SpooledLedger> {
        for _ in 0..1000 {
            match self.try_start().await {
                Ok(ledger) => return ledger,
                Err(LedgerError::InUse(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the file is never let go");
    }

    /// The events of the ledger itself, by their ids.
    async fn beyond(&self) -> Vec<EventId> {
        let events = self.beyond.ledger().events(EventFilter::default(), all()).await.unwrap();
        events.into_iter().map(|event| event.id).collect()
    }
}

fn status(ledger: &SpooledLedger) -> SpoolStatus {
    ledger.spool().expect("it has a spool")
}

fn is_spooling(ledger: &SpooledLedger) -> bool {
    status(ledger).since.is_some()
}

/// Has a patient stage keep an event in the spool, and waits until the ledger was asked for the last time.
async fn spool_patiently(stage: &Stage, ledger: &SpooledLedger, event: NewEvent) {
    let tried = stage.beyond.tried();
    stage.beyond.away();
    keep(ledger, event).await;
    until("the drain has tried", || stage.beyond.tried() > tried).await;
}

/// Waits until events go to the ledger again.
async fn direct(ledger: &SpooledLedger) {
    until("events go to the ledger again", || !is_spooling(ledger)).await;
}

/// Keeps an event that is no duplicate.
async fn keep(ledger: &SpooledLedger, event: NewEvent) -> EventId {
    let id = event.id;
    assert_eq!(ledger.record(event).await, Ok(Recorded::Stored));
    id
}
