//! The one thread that writes: takes all jobs that wait, commits them together, then answers everybody.

use super::checkpoint::Checkpointer;
use super::clock::LedgerClock;
use super::error::{self, Damage};
use super::files::LedgerFiles;
use super::options::SqliteOptions;
use super::transaction::Transaction;
use crate::id::EventId;
use crate::ledger::{Bell, CommitObserver, LedgerError};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot};

/// Jobs in one commit at most: enough to share one sync among many, few enough that nobody waits long.
const MOST_JOBS: usize = 256;
/// Jobs that nobody waits for, at a time.
const MOST_UNAWAITED: usize = 64;

/// A job; it may run again, after a rollback.
pub(super) type Run<I, O> = fn(&mut Transaction<'_>, &I) -> rusqlite::Result<O>;

/// The handle of the thread.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Message>>>,
    unawaited: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread on its connection.
    pub(super) fn start(
        connection: Connection,
        checkpointer: Checkpointer,
        files: Arc<LedgerFiles>,
        options: SqliteOptions,
        damage: Damage,
        bell: Bell,
    ) -> Result<Self, LedgerError> {
        let clock = LedgerClock::open(&connection, options.clock.clone())?;
        let (jobs, waiting) = mpsc::channel(options.queue.max(1));
        // A runtime of a single thread may not be driven while its callers wait elsewhere.
        let runtime =
            Handle::try_current().ok().filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                let (unreadable, woken, told) = (HashMap::new(), Vec::new(), None);
                let thread = Thread {
                    connection,
                    clock,
                    checkpointer,
                    options,
                    damage,
                    unreadable,
                    bell,
                    woken,
                    files,
                    runtime,
                    told,
                };
                thread.work(waiting);
            })
            .map_err(|error| LedgerError::Failed(format!("no thread could be started ({})", error.kind()).into()))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), unawaited: Arc::default(), thread: Mutex::new(Some(thread)) })
    }

    /// Does a job, once there is room for it; the job is done even if nobody waits for the answer any more.
    pub(super) async fn submit<I: Send + 'static, O: Send + 'static>(
        &self,
        input: I,
        run: Run<I, O>,
    ) -> Result<O, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let job = Message::Job(Box::new(Work { input, run, output: None, reply }));
        self.jobs()?.send(job).await.map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// The same, for a thread that may wait.
    pub(super) fn submit_blocking<I: Send + 'static, O: Send + 'static>(
        &self,
        input: I,
        run: Run<I, O>,
    ) -> Result<O, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let job = Message::Job(Box::new(Work { input, run, output: None, reply }));
        self.jobs()?.blocking_send(job).map_err(|_| LedgerError::Closed)?;
        answer.blocking_recv().map_err(|_| LedgerError::Closed)?
    }

    /// The same, or [`LedgerError::Busy`] if there is no room now.
    pub(super) async fn submit_now<I: Send + 'static, O: Send + 'static>(
        &self,
        input: I,
        run: Run<I, O>,
    ) -> Result<O, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let job = Message::Job(Box::new(Work { input, run, output: None, reply }));
        self.jobs()?.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Busy,
            mpsc::error::TrySendError::Closed(_) => LedgerError::Closed,
        })?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }

    /// Does a job that nobody waits for, or drops it if many of these wait already: strangers cause them.
    pub(super) fn submit_if_idle<I: Send + 'static>(&self, input: I, run: Run<I, ()>) {
        let Ok(jobs) = self.jobs() else { return };
        let count = Count::one_of(&self.unawaited, MOST_UNAWAITED.min(jobs.max_capacity() / 4));
        if let Some(count) = count {
            // A full queue has better to do.
            let _ = jobs.try_send(Message::Job(Box::new(Unawaited { input, run, _count: count })));
        }
    }

    /// Commits what waits, and ends the thread.
    pub(super) async fn close(&self) -> Result<(), LedgerError> {
        let Some(jobs) = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let (closed, closing) = oneshot::channel();
        if jobs.send(Message::Close(closed)).await.is_ok() {
            let _ = closing.await;
        }
        Ok(())
    }

    fn jobs(&self) -> Result<mpsc::Sender<Message>, LedgerError> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(LedgerError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without a sender the thread ends when it has done what waits; the file is free for others only then.
        self.jobs.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct Thread {
    connection: Connection,
    clock: LedgerClock,
    checkpointer: Checkpointer,
    options: SqliteOptions,
    damage: Damage,
    unreadable: HashMap<i64, EventId>,
    bell: Bell,
    /// Destinations that have something due since the last commit.
    woken: Vec<Arc<str>>,
    /// Dropped after the connection.
    files: Arc<LedgerFiles>,
    /// The runtime of the callers.
    runtime: Option<Handle>,
    /// The last fault in the log.
    told: Option<String>,
}

impl Thread {
    fn work(mut self, mut waiting: mpsc::Receiver<Message>) {
        let mut batch: Vec<Box<dyn Job>> = Vec::with_capacity(MOST_JOBS);
        let mut closed = None;
        while closed.is_none() {
            let Some(first) = waiting.blocking_recv() else { break };
            let rest = std::iter::from_fn(|| waiting.try_recv().ok());
            for message in std::iter::once(first).chain(rest.take(MOST_JOBS - 1)) {
                match message {
                    Message::Job(job) => batch.push(job),
                    Message::Close(reply) => closed = Some(reply),
                }
            }
            self.commit(&mut batch);
        }
        waiting.close();
        while let Some(Message::Job(job)) = waiting.blocking_recv() {
            batch.push(job);
            self.commit(&mut batch);
        }
        // Looks once more, so that what was put there since the last commit stays as it is.
        if self.files.check(self.checkpointer.pages()).is_err() && self.files.is_meddled_with() {
            self.leave_the_file_alone();
        }
        drop(self.checkpointer);
        // The last connection to close copies the WAL into the file and removes it.
        drop(self.connection);
        drop(self.files);
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    /// Commits all jobs in one transaction. If that fails for one of them, each gets its own: a job that met damage may know a way
    /// around it.
    fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let Some(result) = self.attempt(batch) else { return };
        match result {
            Ok(()) => {
                self.answer(std::mem::replace(batch, Vec::with_capacity(MOST_JOBS)));
                self.checkpointer.after_commit(&self.connection);
            }
            Err(Fault::Sqlite(error))
                if (batch.len() > 1 || error::is_damage(&error)) && !error::is_of_the_file(&error) =>
            {
                for job in batch.drain(..) {
                    let mut alone = vec![job];
                    let result = self.attempt(&mut alone).unwrap_or(Ok(())).map_err(LedgerError::from);
                    alone.drain(..).for_each(|job| job.answer(result.clone()));
                    self.woken.drain(..).for_each(|destination| self.bell.ring(&destination));
                }
            }
            Err(error) => {
                let error = LedgerError::from(error);
                batch.drain(..).for_each(|job| job.answer(Err(error.clone())));
            }
        }
    }

    /// Tells everybody that their jobs are committed, and rings for what is due.
    fn answer(&mut self, jobs: Vec<Box<dyn Job>>) {
        let answers = Answers { jobs, woken: std::mem::take(&mut self.woken), bell: self.bell.clone() };
        match &self.runtime {
            // To wake a task from outside its runtime is dear: wake one that wakes the others.
            Some(runtime) => drop(runtime.spawn(async move { drop(answers) })),
            None => drop(answers),
        }
    }

    /// Runs and commits; none if there is nothing to do.
    fn attempt(&mut self, batch: &mut [Box<dyn Job>]) -> Option<Result<(), Fault>> {
        if batch.is_empty() {
            return None;
        }
        let began = Instant::now();
        let result = self.transact(batch);
        let observer: Option<&dyn CommitObserver> = self.options.observer.as_deref();
        match (&result, observer) {
            (Ok(()), Some(observer)) => observer.committed(batch.len(), began.elapsed()),
            (Err(_), Some(observer)) => observer.failed(),
            (_, None) => {}
        }
        self.tell(&result);
        Some(result)
    }

    /// Logs a lasting fault when it begins, when it changes, and when it is over.
    fn tell(&mut self, result: &Result<(), Fault>) {
        if let Err(Fault::Sqlite(error)) = result {
            self.damage.note(error);
        }
        let fault = result.as_ref().err().map(ToString::to_string);
        if fault == self.told {
            return;
        }
        match (&fault, result) {
            (Some(error), Err(Fault::Displaced(_))) => {
                tracing::error!(%error, "the ledger cannot commit");
                if self.files.is_meddled_with() {
                    self.leave_the_file_alone();
                } else {
                    // The WAL may be what nobody finds any more.
                    self.checkpointer.copy(&self.connection);
                }
            }
            (Some(error), _) => tracing::error!(%error, "the ledger cannot commit"),
            (None, _) => tracing::info!("the ledger can commit again"),
        }
        self.told = fault;
    }

    /// Has SQLite write nothing more into a file that has become somebody else's.
    fn leave_the_file_alone(&self) {
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::warn!(%error, "the ledger's WAL will be copied into a file that somebody else has written");
        }
        self.files.set_wal_aside();
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        self.files.check(self.checkpointer.pages())?;
        self.run(batch)?;
        self.files.committed(self.checkpointer.pages());
        // What was committed into files that no path leads to would be lost at the next start.
        self.files.check(self.checkpointer.pages())?;
        Ok(())
    }

    fn run(&mut self, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut transaction = Transaction::new(connection, &self.options, self.clock.now(), &mut self.unreadable);
        let result = batch.iter_mut().try_for_each(|job| job.run(&mut transaction));
        let result = result.and_then(|()| transaction.finish());
        let result = result.and_then(|()| connection.prepare_cached("COMMIT")?.execute([]).map(drop));
        if result.is_ok() {
            // Those of a commit that does not count, since its check failed, wait for the next one.
            self.woken.append(&mut transaction.woken);
        } else if !connection.is_autocommit() {
            // Where even that fails, the next BEGIN says so.
            let _ = connection.execute_batch("ROLLBACK");
        }
        result
    }
}

/// Why jobs were not committed, or do not count as committed.
enum Fault {
    /// SQLite could not.
    Sqlite(rusqlite::Error),
    /// The files are not where they were.
    Displaced(LedgerError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Displaced(error)
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sqlite(error) => error.into(),
            Fault::Displaced(error) => error,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Displaced(error) => error.fmt(f),
        }
    }
}

/// Jobs that are committed. Their callers get the answer in any case, even if a runtime that ends drops the task.
struct Answers {
    jobs: Vec<Box<dyn Job>>,
    woken: Vec<Arc<str>>,
    bell: Bell,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.woken.iter().for_each(|destination| self.bell.ring(destination));
        self.jobs.drain(..).for_each(|job| job.answer(Ok(())));
    }
}

trait Job: Send {
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, committed: Result<(), LedgerError>);
}

struct Work<I, O> {
    input: I,
    run: Run<I, O>,
    output: Option<O>,
    reply: oneshot::Sender<Result<O, LedgerError>>,
}

impl<I: Send, O: Send> Job for Work<I, O> {
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.output = Some((self.run)(transaction, &self.input)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), LedgerError>) {
        // A committed job has run, so there is an output. A caller who left is no error.
        let Self { output, reply, .. } = *self;
        let _ = reply.send(committed.and_then(|()| output.ok_or(LedgerError::Closed)));
    }
}

struct Unawaited<I> {
    input: I,
    run: Run<I, ()>,
    _count: Count,
}

impl<I: Send> Job for Unawaited<I> {
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        (self.run)(transaction, &self.input)
    }

    fn answer(self: Box<Self>, _: Result<(), LedgerError>) {}
}

/// One of a limited number, as long as it lives.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn one_of(counter: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let count = Self(counter.clone());
        (counter.fetch_add(1, Ordering::Relaxed) < most).then_some(count)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
