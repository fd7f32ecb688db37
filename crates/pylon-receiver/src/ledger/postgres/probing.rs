//! Looks every few seconds what a commit is worth, on a connection of its own, and tells the log of each change.

use super::database::Database;
use super::durability::{Verdict, look};
use super::error::Fault;
use super::session::{Session, Use};
use crate::ledger::Durability;
use crate::promise::Promise;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How often to look, and how often while nothing can be recorded.
const EVERY: Duration = Duration::from_secs(5);
const EVERY_WHILE_BARRED: Duration = Duration::from_secs(1);
/// How soon after a look somebody's doubt leads to the next.
const LEAST: Duration = Duration::from_millis(250);
/// How often the log is reminded of a promise that is not kept.
const REMIND: Duration = Duration::from_secs(60);

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
            let is_of_use = |session: &Session| !session.is_closed() && !open.probe.wants_new_session();
            let current = match session.take().filter(is_of_use) {
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
    told.tell(&verdict);
    if database.probe.set(verdict) {
        session.renewal.renew(session.generation);
    }
    Ok(())
}

/// What the log has heard last.
#[derive(Debug, Default)]
struct Told {
    last: Option<(Durability, Instant)>,
}

impl Told {
    fn tell(&mut self, verdict: &Verdict) {
        let Verdict { durability, barred, .. } = verdict;
        let is_news = match &self.last {
            None => true,
            Some((last, at)) => last != durability || (durability.unkept.is_some() && at.elapsed() > REMIND),
        };
        if !is_news {
            return;
        }
        let Durability { disks, meaning, unkept, .. } = durability;
        match (unkept, barred) {
            (None, _) => tracing::info!(disks, "a 200 means: the event is {meaning}"),
            (Some(unkept), Some(Fault::Away(_))) => {
                tracing::error!("without a spool no webhook is accepted: {unkept}");
            }
            (Some(unkept), _) => tracing::error!("the promise is not kept, and no webhook is accepted: {unkept}"),
        }
        self.last = Some((durability.clone(), Instant::now()));
    }
}
