//! Looks every few seconds what a commit is worth, on a connection of its own, and tells the log of each change.

use super::connection::{Session, Use};
use super::database::Database;
use super::durability::{Verdict, look};
use super::error::Fault;
use crate::ledger::Durability;
use crate::promise::Promise;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// How often to look, and how often while nothing can be recorded.
const EVERY: Duration = Duration::from_secs(5);
const EVERY_WHILE_BARRED: Duration = Duration::from_secs(1);
/// How soon after a look somebody's doubt leads to the next.
const LEAST: Duration = Duration::from_millis(250);
/// How often the log is reminded of a promise that is not kept.
const REMIND: Duration = Duration::from_secs(60);

/// What is known of the worth of a commit.
#[derive(Debug)]
pub(super) struct Probe {
    promise: Option<Promise>,
    verdict: Mutex<Option<Verdict>>,
    doubt: Notify,
}

impl Probe {
    pub(super) fn new(promise: Option<Promise>) -> Self {
        Self { promise, verdict: Mutex::default(), doubt: Notify::new() }
    }

    /// Whether an event may be recorded: the promise is kept, and commits come to an end.
    pub(super) fn pass(&self) -> Result<(), Fault> {
        let verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.as_ref().and_then(|verdict| verdict.barred.clone()).map_or(Ok(()), Err)
    }

    /// Whether every commit shows that standbys have all that was committed before it.
    pub(super) fn is_strict(&self) -> bool {
        self.promise.is_some_and(|promise| promise.disks() > 1)
    }

    /// A commit for which the wait for a standby was given up, if it was to wait, counts for nothing.
    pub(super) fn confirm<T>(&self, result: Result<T, Fault>, is_warned: bool) -> Result<T, Fault> {
        if matches!(result, Err(Fault::Away(_))) || is_warned {
            self.doubt.notify_one();
        }
        match result {
            Ok(_) if is_warned && self.is_strict() => Err(Fault::Unconfirmed(
                "the wait for a standby was given up on the server; find out who cancels commits there".into(),
            )),
            result => result,
        }
    }

    /// What was found last.
    pub(super) fn durability(&self) -> Option<Durability> {
        let verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.as_ref().map(|verdict| verdict.durability.clone())
    }

    fn set(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }
}

/// Looks once, and goes on looking until the ledger is closed; nothing if nothing was promised.
pub(super) async fn start(database: &Arc<Database>) -> Result<(), Fault> {
    let Some(promise) = database.probe.promise else { return Ok(()) };
    let session = database.dedicated(Use::Probe).await?.session;
    let mut told = Told::default();
    probe(database, &session, promise, &mut told).await?;
    database.runtime.spawn(run(Arc::downgrade(database), Some(session), promise, told));
    Ok(())
}

async fn run(database: Weak<Database>, mut session: Option<Session>, promise: Promise, mut told: Told) {
    loop {
        let Some(open) = database.upgrade().filter(|open| !open.is_closing()) else { return };
        let looking = async {
            let current = match session.take().filter(|session| !session.is_closed()) {
                Some(session) => session,
                None => open.dedicated(Use::Probe).await?.session,
            };
            probe(&open, &current, promise, &mut told).await?;
            session = Some(current);
            Ok::<(), Fault>(())
        };
        // Where the database is away, what was found last stays: recording finds out by itself.
        let looked = looking.await;
        let is_barred = looked.is_ok() && open.probe.pass().is_err();
        let pause = if is_barred { EVERY_WHILE_BARRED } else { EVERY };
        let doubted = async {
            sleep(LEAST).await;
            open.probe.doubt.notified().await;
        };
        let _ = timeout(pause, doubted).await;
    }
}

async fn probe(database: &Database, session: &Session, promise: Promise, told: &mut Told) -> Result<(), Fault> {
    let verdict = look(session).await?.judge(promise);
    told.tell(&verdict.durability);
    database.probe.set(verdict);
    Ok(())
}

/// What the log has heard last.
#[derive(Debug, Default)]
struct Told {
    last: Option<(Durability, Instant)>,
}

impl Told {
    fn tell(&mut self, durability: &Durability) {
        let is_news = match &self.last {
            None => true,
            Some((last, at)) => last != durability || (durability.unkept.is_some() && at.elapsed() > REMIND),
        };
        if !is_news {
            return;
        }
        let Durability { disks, meaning, unkept, .. } = durability;
        match unkept {
            None => tracing::info!(disks, "a 200 means: the event is {meaning}"),
            Some(unkept) => tracing::error!(disks, "the promise is not kept, and no webhook is accepted: {unkept}"),
        }
        self.last = Some((durability.clone(), Instant::now()));
    }
}
