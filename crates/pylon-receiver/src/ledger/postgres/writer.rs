//! Takes all events that wait, commits them together, then answers everybody.
//!
//! What a commit costs is the same for one event and for a hundred, nearly. So while one is under way, the next one gathers events for a
//! moment, until there are so many that a second commit beside the first is worth it.

use super::database::{Database, WRITERS};
use super::error::Fault;
use super::lent::Lent;
use super::record;
use super::session::Use;
use crate::id::EventId;
use crate::ledger::{LedgerError, NewEvent, Recorded};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{timeout, timeout_at};

/// Events in one commit at most, and the bytes of their bodies.
const MOST_EVENTS: usize = 256;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// While another commit is under way, a batch gathers so many events, for so long at most.
const GATHERED: usize = 64;
const GATHER_FOR: Duration = Duration::from_millis(10);
/// How often a batch is tried, when others are in its way or its connection is lost.
const MOST_TRIES: usize = 5;

/// An event and who waits for its answer.
struct Waiting {
    event: NewEvent,
    reply: oneshot::Sender<Result<Recorded, LedgerError>>,
}

/// The queue of events that wait to be committed.
pub(super) struct Writers {
    queue: mpsc::Sender<Waiting>,
}

impl Writers {
    pub(super) fn start(database: &Arc<Database>) -> Self {
        let (queue, waiting) = mpsc::channel(database.options.queue.max(1));
        let waiting = Arc::new(Mutex::new(waiting));
        let commits = watch::Sender::new(0);
        for _ in 0..WRITERS {
            drop(database.runtime.spawn(work(Arc::downgrade(database), waiting.clone(), commits.clone())));
        }
        Self { queue }
    }

    /// Waits for an event's commit, or answers [`LedgerError::Busy`] if too many wait.
    pub(super) async fn record(&self, event: NewEvent) -> Result<Recorded, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Waiting { event, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Busy,
            mpsc::error::TrySendError::Closed(_) => LedgerError::Closed,
        })?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }
}

/// How many commits are under way.
type Commits = watch::Sender<usize>;

/// A commit that is under way until this is dropped.
struct UnderWay<'a>(&'a Commits);

impl<'a> UnderWay<'a> {
    fn begin(commits: &'a Commits) -> Self {
        commits.send_modify(|count| *count += 1);
        Self(commits)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// One writer: ends with the queue.
async fn work(database: std::sync::Weak<Database>, waiting: Arc<Mutex<mpsc::Receiver<Waiting>>>, commits: Commits) {
    // Those that cannot share a commit with one before them.
    let mut behind = VecDeque::new();
    loop {
        let Some(batch) = next_batch(&waiting, &mut behind, &commits).await else { return };
        let (batch, _under_way) = batch;
        let Some(database) = database.upgrade() else { return };
        commit(&database, batch).await;
    }
}

/// The next events to commit, whose commit counts as under way before another writer has the queue.
async fn next_batch<'a>(
    waiting: &Mutex<mpsc::Receiver<Waiting>>,
    behind: &mut VecDeque<Waiting>,
    commits: &'a Commits,
) -> Option<(Vec<Waiting>, UnderWay<'a>)> {
    let (mut batch, mut later) = (Vec::new(), VecDeque::new());
    let mut sharing = Sharing::default();
    // Another writer has the queue for as long as nothing comes in: who has something to do does not wait for it.
    let mut waiting = match behind.is_empty() {
        true => Some(waiting.lock().await),
        false => waiting.try_lock().ok(),
    };
    let mut next = match &mut waiting {
        Some(waiting) if behind.is_empty() => {
            let first = waiting.recv().await?;
            behind.push_back(first);
            gather(waiting, behind, commits).await;
            behind.pop_front()
        }
        _ => behind.pop_front(),
    };
    while let Some(event) = next {
        match sharing.takes(&event.event) {
            true => batch.push(event),
            false => later.push_back(event),
        }
        if sharing.is_full() {
            break;
        }
        next = behind.pop_front().or_else(|| waiting.as_mut()?.try_recv().ok());
    }
    later.append(behind);
    *behind = later;
    Some((batch, UnderWay::begin(commits)))
}

/// Takes events out of the queue while another commit is under way, as long as they are few.
async fn gather(waiting: &mut mpsc::Receiver<Waiting>, gathered: &mut VecDeque<Waiting>, commits: &Commits) {
    let mut commits = commits.subscribe();
    let all = async {
        while gathered.len() < GATHERED {
            tokio::select! {
                biased;
                // The sender is in this task: it does not end.
                _ = commits.wait_for(|&under_way| under_way == 0) => return,
                next = waiting.recv() => match next {
                    Some(next) => gathered.push_back(next),
                    None => return,
                },
            }
        }
    };
    // What is gathered when the time is over, is.
    let _ = timeout(GATHER_FOR, all).await;
}

/// Events that share a commit: no two have one id, or one deduplication key at one endpoint.
#[derive(Default)]
struct Sharing {
    ids: HashSet<EventId>,
    keys: HashSet<(Arc<str>, Box<str>)>,
    bytes: usize,
}

impl Sharing {
    fn is_full(&self) -> bool {
        self.ids.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES
    }

    /// Takes the event in, unless it is the twin of another.
    fn takes(&mut self, event: &NewEvent) -> bool {
        let key = event.deduplication.as_ref().map(|key| (event.endpoint.clone(), key.key.clone()));
        let is_twin = self.ids.contains(&event.id) || key.as_ref().is_some_and(|key| self.keys.contains(key));
        if !is_twin {
            self.ids.insert(event.id);
            self.keys.extend(key);
            self.bytes += event.body.as_bytes().len();
        }
        !is_twin
    }
}

/// How many of these, from the first, can share a commit.
pub(super) fn sharing(events: &[NewEvent]) -> usize {
    let mut sharing = Sharing::default();
    events.iter().take_while(|event| !sharing.is_full() && sharing.takes(event)).count()
}

async fn commit(database: &Database, batch: Vec<Waiting>) {
    let (events, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.event, waiting.reply)).unzip();
    let began = Instant::now();
    let result = attempt(database, &events).await;
    if let Some(observer) = &database.options.observer {
        match &result {
            Ok(_) => observer.committed(events.len(), began.elapsed()),
            Err(_) => observer.failed(),
        }
    }
    match result {
        Ok(kept) => {
            kept.due.iter().for_each(|destination| database.wake(destination));
            for (reply, answer) in replies.into_iter().zip(kept.answers) {
                // A caller who left is no error.
                let _ = reply.send(Ok(answer));
            }
        }
        Err(Fault::Bad(_)) if events.len() > 1 => {
            // One of them is at fault: it alone is refused.
            for (event, reply) in events.into_iter().zip(replies) {
                Box::pin(commit(database, vec![Waiting { event, reply }])).await;
            }
        }
        Err(fault) => {
            let error = refusal(fault);
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

/// Commits the events. What became of a commit whose answer was lost is not known: the same again by the same ids finds out, on a new
/// connection, until the time for an answer is over or nothing can be connected to.
pub(super) async fn attempt(database: &Database, events: &[NewEvent]) -> Result<record::Kept, Fault> {
    let deadline = Instant::now() + database.options.answer_within;
    let attempts = async {
        let mut tries = 0;
        loop {
            tries += 1;
            database.probe.pass()?;
            let connection = Lent::new(database.connection(Use::Write).await?);
            let before = connection.warnings();
            let result = record::run(&connection, database, events).await;
            let is_warned = connection.warnings() != before;
            match database.probe.confirm(connection.give_back(result), is_warned) {
                Err(Fault::Again(_) | Fault::Away(_)) if tries < MOST_TRIES => {}
                result => return result,
            }
        }
    };
    let late = || Fault::Away("the commit was not confirmed in time".into());
    match timeout_at(deadline.into(), attempts).await {
        Ok(result) => result,
        Err(_) => database.probe.confirm(Err(late()), false),
    }
}

/// Why an event was not kept. What is not the event's own fault may be over later.
pub(super) fn refusal(fault: Fault) -> LedgerError {
    match fault {
        Fault::Other(said) => LedgerError::Unreachable(said),
        fault => fault.into(),
    }
}
