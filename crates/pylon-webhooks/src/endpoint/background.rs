//! Handlers that run after the answer: bounded, drained when the endpoint closes.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;

/// How many events may wait for their handlers, and how many run at once, for
/// [`EndpointBuilder::background`](super::EndpointBuilder::background).
///
/// What waits is in this process's memory: it is lost when the process dies.
///
/// ```
/// use pylon_webhooks::Background;
///
/// let background = Background { capacity: 100, ..Background::default() };
/// assert_eq!(background.workers, 8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Background {
    /// How many events may be accepted and not yet handled, running ones included; further ones are answered 503.
    pub capacity: u32,
    /// How many events are handled at once; with one, they are handled in the order in which they came.
    pub workers: u32,
}

impl Default for Background {
    fn default() -> Self {
        Self { capacity: 1000, workers: 8 }
    }
}

/// The events that were accepted and are not yet handled.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: u32,
    /// One permit for each event that may still be accepted.
    free: Arc<Semaphore>,
    /// One for each that may run. Permits are given in the order in which they were asked for.
    workers: Arc<Semaphore>,
    /// The runtime that this was made in. It outlives those that a server makes for its workers, as actix-web does, and so
    /// what is accepted outlives the server. None: made outside a runtime; each event then runs where it was accepted.
    runtime: Option<Handle>,
}

impl Queue {
    pub(crate) fn new(background: Background) -> Self {
        let permits = |count: u32| Arc::new(Semaphore::new(count.max(1) as usize));
        Self {
            capacity: background.capacity.max(1),
            free: permits(background.capacity),
            workers: permits(background.workers),
            runtime: Handle::try_current().ok(),
        }
    }

    /// How many events may be accepted and not yet handled.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Takes a place for one event, where there is one; none when it is full, is being drained or has been.
    pub(crate) fn reserve(&self) -> Option<Place> {
        let place = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Place { place, workers: Arc::clone(&self.workers), runtime: self.runtime.clone() })
    }

    /// Waits until nothing is left, then takes nothing more.
    pub(crate) async fn drain(&self) {
        // All places are held until it is closed, so that nothing comes in between.
        if let Ok(_all) = self.free.acquire_many(self.capacity).await {
            self.free.close();
        }
    }
}

/// Room for one event.
pub(crate) struct Place {
    place: OwnedSemaphorePermit,
    workers: Arc<Semaphore>,
    runtime: Option<Handle>,
}

impl Place {
    /// Runs the work when its turn comes, and gives the place back when it is through.
    pub(crate) fn spawn(self, work: impl Future<Output = ()> + Send + 'static) {
        let Self { place, workers, runtime } = self;
        // Asked for here, so that turns come as the events came and not as the runtime begins its tasks.
        let mut turn = Box::pin(unconstrained(workers.acquire_owned()));
        let begun = turn.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        runtime.unwrap_or_else(Handle::current).spawn(async move {
            // Nobody closes this semaphore.
            let worker = match begun {
                Poll::Ready(worker) => worker,
                Poll::Pending => turn.await,
            };
            work.await;
            // The task holds only what it names: unnamed, the place would have been free from the start.
            drop((worker, place));
        });
    }
}
