//! Takes all events that wait, commits them together, then answers everybody.
//!
//! What a commit costs is the same for one event and for a hundred, nearly. So while one is under way, the next one gathers events for a
//! moment, until there are so many that a second commit beside the first is worth it.

use super::aside::Aside;
use super::behind::part;
use super::database::{Database, WRITERS};
use super::error::Fault;
use super::lent::Lent;
use super::line::lines_of;
use super::record::{self, Taken};
use super::session::Use;
use super::sharing::Sharing;
use super::under_way::{Commits, UnderWay};
use super::waiting::Waiting;
use crate::ledger::{LedgerError, NewEvent, Recorded};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// While another commit is under way, a batch gathers so many events, for so long at most.
const GATHERED: usize = 64;
const GATHER_FOR: Duration = Duration::from_millis(10);
/// How often a batch is tried, when others are in its way or its connection is lost.
const MOST_TRIES: u32 = 5;
/// How long after its time an event is answered that no writer has taken.
const OVERDUE: Duration = Duration::from_millis(100);
/// How long after the first try in vain the next one is made where the server has no memory left; then longer.
const PAUSE: Duration = Duration::from_millis(100);

/// The queue of events that wait to be committed.
pub(super) struct Writers {
    queue: mpsc::Sender<Waiting>,
    answer_within: Duration,
}

impl Writers {
    pub(super) fn start(database: &Arc<Database>) -> Self {
        let (queue, waiting) = mpsc::channel(database.options.queue.max(1));
        let waiting = Arc::new(Mutex::new(waiting));
        let commits = Commits::default();
        for _ in 0..WRITERS {
            drop(database.runtime.spawn(work(Arc::downgrade(database), waiting.clone(), commits.clone())));
        }
        Self { queue, answer_within: database.options.answer_within }
    }

    /// Waits for an event's commit, or answers [`LedgerError::Busy`] if too many wait.
    pub(super) async fn record(&self, event: NewEvent) -> Result<Recorded, LedgerError> {
        // From now on, however many wait before it.
        let until = Instant::now() + self.answer_within;
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Waiting { until, event, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Busy,
            mpsc::error::TrySendError::Closed(_) => LedgerError::Closed,
        })?;
        // The writer that has it says so by itself; it passes over what nobody waits for any more.
        match timeout_at(until + OVERDUE, answer).await {
            Ok(answer) => answer.map_err(|_| LedgerError::Closed)?,
            Err(_) => Err(late().into()),
        }
    }
}

/// One writer: ends with the queue.
async fn work(database: Weak<Database>, waiting: Arc<Mutex<mpsc::Receiver<Waiting>>>, commits: Commits) {
    let Some(ledger) = database.upgrade().map(|database| database.id) else { return };
    // Those that cannot share a commit with one before them.
    let mut behind = VecDeque::new();
    let mut aside = Aside::new(ledger);
    loop {
        let next = next_batch(&waiting, &mut behind, &commits);
        let next = match aside.try_at() {
            None => next.await,
            // Nothing is lost when it comes too late: as long as it waits, what it has is among those behind.
            Some(at) => timeout_at(at, next).await.unwrap_or(Some((Vec::new(), None))),
        };
        let (Some((batch, under_way)), Some(database)) = (next, database.upgrade()) else { return };
        let batch = aside.take_in(batch);
        aside.put(commit(&database, batch, Taken::WaitedForOnce).await);
        drop(under_way);
        let due = aside.take_due();
        let tried = due.len();
        if tried > 0 {
            let in_vain = commit(&database, due, Taken::PassedOver).await;
            aside.put_back(tried, in_vain);
        }
    }
}

/// The next events to commit. Their commit is under way before another writer has the queue.
async fn next_batch<'a>(
    waiting: &Mutex<mpsc::Receiver<Waiting>>,
    behind: &mut VecDeque<Waiting>,
    commits: &'a Commits,
) -> Option<(Vec<Waiting>, Option<UnderWay<'a>>)> {
    let (mut batch, mut later) = (Vec::new(), VecDeque::new());
    let mut sharing = Sharing::default();
    // Another writer has the queue for as long as nothing comes in: who has something to do does not wait for it.
    let mut waiting = match behind.is_empty() {
        true => Some(waiting.lock().await),
        false => waiting.try_lock().ok(),
    };
    if let Some(waiting) = waiting.as_mut().filter(|_| behind.is_empty()) {
        behind.push_back(waiting.recv().await?);
        // What is gathered when the time is over, is.
        let _ = timeout(GATHER_FOR, gather(waiting, behind, commits)).await;
    }
    while !sharing.is_full() {
        let next = match behind.pop_front() {
            Some(next) => next,
            None => match &mut waiting {
                Some(waiting) if batch.is_empty() && later.is_empty() => waiting.recv().await?,
                Some(waiting) => match waiting.try_recv() {
                    Ok(next) => next,
                    Err(_) => break,
                },
                None => break,
            },
        };
        if next.reply.is_closed() {
            continue;
        }
        if !sharing.takes(&next.event) {
            later.push_back(next);
            continue;
        }
        batch.push(next);
    }
    later.append(behind);
    *behind = later;
    Some((batch, Some(commits.begin())))
}

/// Takes events out of the queue while a commit is under way, as long as they are few.
async fn gather(waiting: &mut mpsc::Receiver<Waiting>, gathered: &mut VecDeque<Waiting>, commits: &Commits) {
    let over = commits.over();
    tokio::pin!(over);
    while gathered.len() < GATHERED {
        tokio::select! {
            biased;
            () = &mut over => return,
            next = waiting.recv() => match next {
                Some(next) => gathered.push_back(next),
                None => return,
            },
        }
    }
}

/// Commits, and answers; gives back those that wait for lines that others have locked, and those behind them.
async fn commit(database: &Database, batch: Vec<Waiting>, taken: Taken) -> Vec<Waiting> {
    if batch.is_empty() {
        return batch;
    }
    let events: Vec<&NewEvent> = batch.iter().map(|waiting| &waiting.event).collect();
    let began = Instant::now();
    let until = batch.iter().map(|waiting| waiting.until).max().unwrap_or(began);
    let result = attempt(database, &events, taken, until).await;
    let is_apart = match &result {
        // They go on in parts.
        Err(Fault::Locked(_)) => taken == Taken::WaitedForOnce,
        Err(Fault::TooMuch(_) | Fault::Bad(_)) => events.len() > 1,
        _ => false,
    };
    if let Some(observer) = &database.options.observer {
        match &result {
            Ok(kept) => observer.committed(kept.answers.iter().flatten().count(), began.elapsed()),
            Err(_) => observer.failed(),
        }
    }
    match result {
        Err(Fault::Locked(_)) if is_apart => Box::pin(commit(database, batch, Taken::PassedOver)).await,
        // One of them is at fault: it alone is refused.
        Err(Fault::Bad(_)) if is_apart => commit_parts(database, batch, 1, taken).await,
        Err(Fault::TooMuch(_)) if is_apart => {
            let half = batch.len().div_ceil(2);
            commit_parts(database, batch, half, taken).await
        }
        Ok(kept) => {
            kept.due.iter().for_each(|destination| database.wake(destination));
            let mut aside = Vec::new();
            for (waiting, answer) in batch.into_iter().zip(kept.answers) {
                match answer {
                    // A caller who left is no error.
                    Some(answer) => drop(waiting.reply.send(Ok(answer))),
                    None => aside.push(waiting),
                }
            }
            aside
        }
        Err(fault) => {
            let error = refusal(fault);
            for waiting in batch {
                let _ = waiting.reply.send(Err(error.clone()));
            }
            Vec::new()
        }
    }
}

/// Commits so many at a time.
async fn commit_parts(database: &Database, batch: Vec<Waiting>, size: usize, taken: Taken) -> Vec<Waiting> {
    let (mut batch, mut aside, mut lines) = (VecDeque::from(batch), Vec::new(), HashSet::new());
    while !batch.is_empty() {
        let next = batch.drain(..size.min(batch.len())).collect();
        let (behind, next) = part(database.id, next, &mut lines);
        let passed_over = Box::pin(commit(database, next, taken)).await;
        lines.extend(passed_over.iter().flat_map(|waiting| lines_of(database.id, &waiting.event)));
        aside.extend(passed_over.into_iter().chain(behind));
    }
    aside
}

/// Commits the events. What became of a commit whose answer was lost is not known: the same again by the same ids finds out, on a new
/// connection, until the time for an answer is over or nothing can be connected to.
pub(super) async fn attempt(
    database: &Database,
    events: &[&NewEvent],
    taken: Taken,
    until: Instant,
) -> Result<record::Kept, Fault> {
    let attempts = async {
        let mut tries = 0;
        loop {
            tries += 1;
            database.probe.pass()?;
            let connection = Lent::new(database.connection(Use::Write).await?);
            let before = connection.warnings();
            let result = record::run(&connection, database, events, taken).await;
            let is_warned = connection.warnings() != before;
            match database.probe.confirm(connection.give_back(result), is_warned) {
                Err(Fault::Again(_) | Fault::Away(_)) if tries < MOST_TRIES => {}
                Err(Fault::Locked(_)) if tries < MOST_TRIES && taken != Taken::WaitedForOnce => {}
                Ok(mut kept) if tries > 1 => {
                    kept.due.append(&mut kept.found);
                    return Ok(kept);
                }
                // Others use the memory, for a moment.
                Err(Fault::TooMuch(_)) if tries < MOST_TRIES && events.len() == 1 => sleep(PAUSE * tries).await,
                result => return result,
            }
        }
    };
    match timeout_at(until, attempts).await {
        Ok(result) => result,
        Err(_) => database.probe.confirm(Err(late()), false),
    }
}

fn late() -> Fault {
    Fault::Away("the commit was not confirmed in time".into())
}

/// Why an event was not kept. What is not the event's own fault may be over later: so it is where a newer program has changed the tables,
/// until that program takes over.
pub(super) fn refusal(fault: Fault) -> LedgerError {
    match fault {
        Fault::Other(said) | Fault::Wrong(said) => LedgerError::Unreachable(said),
        fault => fault.into(),
    }
}
