//! Handlers that run after the answer: bounded, drained when the endpoint closes.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;

/// How handlers run after the answer, for [`EndpointBuilder::background`](super::EndpointBuilder::background).
///
/// Events that wait are in this process's memory: they are lost when the process dies.
///
/// ```
/// use pylon_webhooks::Background;
/// use std::time::Duration;
///
/// let background = Background::new().capacity(100).workers(1).drain(Duration::from_secs(25));
/// assert_ne!(background, Background::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Background {
    capacity: u32,
    workers: u32,
    drain: Option<Duration>,
}

impl Default for Background {
    fn default() -> Self {
        Self::new()
    }
}

impl Background {
    /// Room for 1000 events, 8 workers, and closing waits without a limit.
    pub const fn new() -> Self {
        Self { capacity: 1000, workers: 8, drain: None }
    }

    /// How many events may be accepted and not yet handled, at least one; running ones count. Further events are answered 503.
    pub const fn capacity(mut self, events: u32) -> Self {
        self.capacity = events;
        self
    }

    /// How many events are handled at once, at least one. With one worker, events are handled in the order in which they came.
    pub const fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// How long [`Endpoint::close`](super::Endpoint::close) waits for accepted events. The log then says how many are left; their
    /// handlers run until the runtime ends. Needs the runtime's timer.
    pub const fn drain(mut self, limit: Duration) -> Self {
        self.drain = Some(limit);
        self
    }
}

/// The events that were accepted and are not yet handled.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: u32,
    drain: Option<Duration>,
    /// One permit for each event that may still be accepted.
    free: Arc<Semaphore>,
    /// One permit for each event that may run. Permits are granted in the order of the requests.
    workers: Arc<Semaphore>,
    /// The runtime in which the queue was made. It outlives the runtimes that a server makes for its workers, as
    /// actix-web does. None: made outside a runtime; each event then runs in the runtime that accepted it.
    runtime: Option<Handle>,
}

impl Queue {
    pub(crate) fn new(background: Background) -> Self {
        let permits = |count: u32| Arc::new(Semaphore::new(count.max(1) as usize));
        Self {
            capacity: background.capacity.max(1),
            drain: background.drain,
            free: permits(background.capacity),
            workers: permits(background.workers),
            runtime: Handle::try_current().ok(),
        }
    }

    /// How many events may be accepted and not yet handled.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Reserves a place for one event; none when the queue is full or closing.
    pub(crate) fn reserve(&self) -> Option<Place> {
        let place = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Place { place, workers: Arc::clone(&self.workers), runtime: self.runtime.clone() })
    }

    /// Waits until no event is left, at most as long as configured, then accepts no more.
    pub(crate) async fn drain(&self) {
        // All places are held until it is closed, so that nothing comes in between.
        let all = self.free.acquire_many(self.capacity);
        let drained = match self.drain {
            Some(limit) => tokio::time::timeout(limit, all).await.ok(),
            None => Some(all.await),
        };
        if drained.is_none() {
            let left = self.capacity as usize - self.free.available_permits();
            tracing::error!(left, "closing no longer waits for accepted events whose handlers have not ended");
        }
        self.free.close();
    }
}

/// Room for one event.
pub(crate) struct Place {
    place: OwnedSemaphorePermit,
    workers: Arc<Semaphore>,
    runtime: Option<Handle>,
}

impl Place {
    /// Runs the work in its turn, and frees the place when the work is done.
    pub(crate) fn spawn(self, work: impl Future<Output = ()> + Send + 'static) {
        let Self { place, workers, runtime } = self;
        // Requested here, so that events run in the order in which they came, whatever the order in which the runtime
        // starts tasks.
        let mut turn = Box::pin(unconstrained(workers.acquire_owned()));
        let begun = turn.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        runtime.unwrap_or_else(Handle::current).spawn(async move {
            // Nobody closes this semaphore.
            let worker = match begun {
                Poll::Ready(worker) => worker,
                Poll::Pending => turn.await,
            };
            work.await;
            // Named here so that the task holds the place until it ends.
            drop((worker, place));
        });
    }
}
